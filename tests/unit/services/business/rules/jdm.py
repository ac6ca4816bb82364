"""Decisions in the JDM format, written as tests need them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Sequence[str]


def table(inputs: Sequence[str], outputs: Sequence[str], rows: Sequence[Row], **content: Any) -> dict[str, Any]:
    """A node with a table; a row has a cell for each column. A column `?x` has no field: its cells are expressions."""
    columns = [{"id": f"c{place}", "name": name, "field": name} for place, name in enumerate((*inputs, *outputs))]
    for column in columns:
        if column["field"].startswith("?"):
            del column["field"]
    written = [
        {"_id": f"row-{number}", **{f"c{place}": cell for place, cell in enumerate(row)}}
        for number, row in enumerate(rows, start=1)
    ]
    parts = {"inputs": columns[: len(inputs)], "outputs": columns[len(inputs) :], "rules": written}
    return node("decisionTableNode", "table", {"hitPolicy": "first", **parts, **content})


def node(kind: str, name: str, content: Any) -> dict[str, Any]:
    """Any node."""
    made = {"id": name, "type": kind, "name": name, "position": {"x": 0, "y": 0}}
    return made if content is None else {**made, "content": content}


def expressions(name: str = "expressions", **values: str) -> dict[str, Any]:
    """A node with expressions, which hands on what it is given."""
    written = [{"id": key, "key": key, "value": value} for key, value in values.items()]
    return node("expressionNode", name, {"expressions": written, "passThrough": True})


def call(key: str, name: str = "call") -> dict[str, Any]:
    """A node that asks another rule."""
    return node("decisionNode", name, {"key": key})


def chain(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A decision whose nodes stand one behind the other."""
    whole = [node("inputNode", "request", None), *nodes, node("outputNode", "answer", None)]
    return graph(whole, [(one["id"], other["id"]) for one, other in itertools.pairwise(whole)])


def graph(nodes: Sequence[dict[str, Any]], edges: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """A decision; an edge may name the way out of a switch."""
    written = [
        {
            "id": f"e{place}",
            "type": "edge",
            "sourceId": source,
            "targetId": target,
            "sourceHandle": "".join(way) or None,
        }
        for place, (source, target, *way) in enumerate(edges)
    ]
    return {"contentType": "application/vnd.gorules.decision", "nodes": list(nodes), "edges": written}


def sources(rules: Mapping[str, dict[str, Any]], **descriptions: str) -> dict[str, bytes]:
    """Files of a folder: rules by name, descriptions by name."""
    files = {f"{name}.json": json.dumps(rule, ensure_ascii=False, indent=1).encode() for name, rule in rules.items()}
    return files | {f"{name}.yml": text.encode() for name, text in descriptions.items()}


def write(folder: Path, rules: Mapping[str, dict[str, Any]], **descriptions: str) -> Path:
    """A folder of rules."""
    folder.mkdir(exist_ok=True)
    for name, source in sources(rules, **descriptions).items():
        (folder / name).write_bytes(source)
    return folder
