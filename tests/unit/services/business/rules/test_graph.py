import json
from typing import Any

import pytest

from services.business.rules.graph import MAX_BYTES, Graph, read_graph
from shared.assistants.yaml_source import Mistakes
from tests.unit.services.business.rules.jdm import call, chain, expressions, graph, node, table

RIGHT = chain(table(["days"], ["ok"], [("> 3", "true"), ("", "false")]))


def read(document: Any, name: str = "r") -> tuple[Graph | None, list[str]]:
    mistakes = Mistakes()
    source = document if isinstance(document, bytes) else json.dumps(document, indent=1).encode()
    return read_graph(name, f"rules/{name}.json", source, mistakes), mistakes.found


def test_a_table_is_read_with_its_rows() -> None:
    found, mistakes = read(RIGHT)
    assert not mistakes
    assert found is not None
    assert found.single is not None
    assert [(row.number, row.cell(found.single.inputs[0])) for row in found.single.rows] == [(1, "> 3"), (2, "")]
    assert found.single.first


def test_a_graph_is_no_single_table() -> None:
    found, mistakes = read(
        chain(expressions(dear="amount > 5"), call("other"), table(["dear"], ["ok"], [("", "true")]))
    )
    assert not mistakes
    assert found is not None
    assert found.single is None
    assert found.calls == {"call": "other"}
    assert found.produced == {"dear", "ok"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "rules/r.json: it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b" " * (MAX_BYTES + 1), "more than 256000 bytes"),
        (b'{"nodes": [], "nodes": []}', "'nodes' stands twice"),
        (b'{"nodes": NaN}', "NaN is no number"),
        ([], "this is not what the JDM format has here"),
        ({}, "nodes: Field required"),
        ({"nodes": [], "edges": []}, "nodes: "),
        ({"nodes": [{"id": 1}], "edges": []}, "nodes.0.id: "),
        ({**RIGHT, "nodes": RIGHT["nodes"][1:]}, "the rules engine refuses it"),
        (chain(node("functionNode", "f", "export const handler = (i) => i")), "programs are refused here"),
        (chain(node("customNode", "f", {"kind": "x", "config": {}})), "programs are refused here"),
        (chain(node("fancyNode", "f", {})), "there is no kind of node 'fancyNode'"),
        (chain(node("decisionTableNode", "t", {"inputs": [], "outputs": [], "rules": []})), "t: outputs: "),
        (chain(node("decisionTableNode", "t", [])), "t: this is not what the JDM format has here"),
        (chain(table(["a"], ["b"], [("", "1")], hitPolicy="unique")), "table: hitPolicy: "),
        (chain(table(["a"], ["b"], [("", "1")] * 600)), "table: rules: "),
        (chain(table(["a"], ["?b"], [("", "1")])), "it has no field"),
        (chain(table(["a"], ["b"], [("< <", "1")])), "table, row 1, a: '< <' cannot be read"),
        (chain(expressions(x="foo bar")), "expressions, x: 'foo bar' cannot be read"),
        (chain(expressions(x="map([0..99999999], #)")), "can only stand after `in`"),
        (chain(*[expressions(f"n{number}", x="1") for number in range(60)]), "nodes: "),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(document: Any, said: str) -> None:
    found, mistakes = read(document)
    assert found is None
    assert any(said in line for line in mistakes), mistakes
    assert all(line.startswith("rules/r.json") and "backtrace" not in line for line in mistakes)


def test_a_circle_of_nodes_is_refused() -> None:
    nodes = [
        node("inputNode", "i", None),
        expressions("a", x="1"),
        expressions("b", y="1"),
        node("outputNode", "o", None),
    ]
    found, mistakes = read(graph(nodes, [("i", "a"), ("a", "b"), ("b", "a"), ("b", "o")]))
    assert found is None
    assert "refuses it" in mistakes[0]


@pytest.mark.parametrize("name", ["Refund", "my-rule", "1st", "a" * 80, ".hidden"])
def test_names_are_such_as_connectors_use(name: str) -> None:
    _, mistakes = read(RIGHT, name)
    assert "a rule's name has small letters" in mistakes[0]
