import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from services.business.rules.rule_set import RuleSet, Undecided, nested, read_rule_set
from shared.assistants.yaml_source import Mistakes
from tests.unit.services.business.rules.jdm import call, chain, expressions, graph, node, sources, table

DAYS = chain(table(["days"], ["ok", "why"], [("> 3", "true", "'late'"), (">= 0", "false", "'early'")]))
DESCRIBED = "facts: {days: {type: integer, least: 0}}\ngives: {ok: boolean, why: text}\n"


def read(rules: Mapping[str, dict[str, Any]], **descriptions: str) -> tuple[RuleSet, list[str]]:
    mistakes = Mistakes()
    return read_rule_set(sources(rules, **descriptions), "rules", mistakes), mistakes.found


def test_a_table_decides_and_says_by_which_row() -> None:
    rules, mistakes = read({"days": DAYS}, days=DESCRIBED)
    assert not mistakes
    assert rules.decide("days", {"days": 5}) == {"ok": True, "why": "late"}
    result, ((rule, of, row),) = rules.explain("days", {"days": 0})
    assert (result["why"], rule, of.name, row.number) == ("early", "days", "table", 2)


def test_a_switch_leads_to_one_of_two_ways() -> None:
    ways = [{"id": "s1", "condition": "amount > 500"}, {"id": "s2", "condition": ""}]
    nodes = [
        node("inputNode", "i", None),
        node("switchNode", "s", {"hitPolicy": "first", "statements": ways}),
        expressions("dear", outcome="'approval'"),
        table(["days"], ["outcome"], [("> 7", "'refused'"), ("", "'automatic'")]),
        node("outputNode", "o", None),
    ]
    edges = [("i", "s"), ("s", "dear", "s1"), ("s", "table", "s2"), ("dear", "o"), ("table", "o")]
    rules, mistakes = read({"r": graph(nodes, edges)})
    assert not mistakes
    assert rules.decide("r", {"amount": 600, "days": 9})["outcome"] == "approval"
    assert rules.decide("r", {"amount": Decimal("499.5"), "days": 9})["outcome"] == "refused"


def test_tables_work_on_what_was_computed_before() -> None:
    score = table(["days"], ["risk"], [("> 30", "'high'"), ("", "'low'")], passThrough=True)
    last = table(
        ["risk", "total"], ["outcome"], [("'high'", "", "'approval'"), ("", "> 100", "'approval'"), ("", "", "'ok'")]
    )
    last = {**last, "id": "last", "name": "last"}
    rules, mistakes = read({"r": chain(expressions(total="price * count"), score, last)})
    assert not mistakes
    assert rules.decide("r", {"price": 30, "count": 4, "days": 1}) == {"outcome": "approval"}
    result, rows = rules.explain("r", {"price": 3, "count": 4, "days": 1})
    assert result == {"outcome": "ok"}
    assert [(of.name, row.number) for _, of, row in rows] == [("table", 2), ("last", 3)]


@pytest.mark.parametrize("key", ["days", "days.json"])
def test_a_rule_calls_another(key: str) -> None:
    rules, mistakes = read({"days": DAYS, "outer": chain(call(key))})
    assert not mistakes
    result, rows = rules.explain("outer", {"days": 4})
    assert result == {"ok": True, "why": "late"}
    assert [(rule, row.number) for rule, _, row in rows] == [("days", 1)]


def test_rows_that_are_collected_are_results() -> None:
    collect = chain(table(["days"], ["ok"], [("> 3", "1"), ("> 5", "2")], hitPolicy="collect"))
    rules, _ = read({"r": collect}, r="facts: {days: integer}\ngives: {ok: integer}\n")
    assert rules.decide("r", {"days": 6}) == {"results": [{"ok": 1}, {"ok": 2}]}
    with pytest.raises(Undecided):
        rules.decide("r", {"days": 1})


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "the fact days is missing"),
        ({"days": "5"}, "the fact days is '5' and no integer"),
        ({"days": True}, "the fact days is True and no integer"),
        ({"days": 5.5}, "the fact days is 5.5 and no integer"),
        ({"days": -1}, "less than 0"),
        ({"days": 5, "more": object()}, "are no JSON"),
        ({"days": 5, "more": float("nan")}, "are no JSON"),
        ({"days": 5, "more": Decimal("Infinity")}, "are no JSON"),
        ({"days": 5, "more": "x" * 40_000}, "more than 32000 characters"),
        ({"days": 5, "more": {"list": [0] * 501}}, "more than 500 items"),
        ({"days": 5, "more": "\ud800"}, "cannot be evaluated"),
        ({"days": 5, "more": 10**400}, "cannot be evaluated"),
    ],
)
def test_facts_that_are_none_leave_it_undecided(facts: dict[str, Any], said: str) -> None:
    rules, _ = read({"days": DAYS}, days=DESCRIBED)
    with pytest.raises(Undecided) as caught:
        rules.decide("days", facts)
    assert said in str(caught.value)


def test_what_nothing_decides_is_undecided() -> None:
    rules, _ = read({"days": DAYS, "passing": chain(table(["days"], ["ok"], [("> 3", "true")], passThrough=True))})
    for name, facts in (("days", {"days": -1}), ("days", {}), ("passing", {"days": 1}), ("dyas", {"days": 1})):
        with pytest.raises(Undecided) as caught:
            rules.decide(name, facts)
    assert "there is no rule 'dyas'; did you mean 'days'?" in str(caught.value)


def test_a_result_that_is_none_of_those_described_is_undecided() -> None:
    rules, _ = read({"days": DAYS}, days=DESCRIBED.replace("why: text", "why: {one_of: [late]}"))
    assert rules.decide("days", {"days": 5})
    with pytest.raises(Undecided, match="its why is 'early' and none of late"):
        rules.decide("days", {"days": 1})


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"a": chain(call("b"))}, "rules/a.json: there is no rule 'b' to call"),
        ({"a": chain(call("a"))}, "rules call one another in a circle: a → a"),
        ({"a": chain(call("b")), "b": chain(call("c")), "c": chain(call("a"))}, "in a circle"),
        (
            {f"r{each}": chain(call(f"r{each + 1}")) if each < 7 else DAYS for each in range(8)},
            "more than 5 rules in a row",
        ),
        (
            {
                "a": chain(*[call("b", f"c{each}") for each in range(30)]),
                "b": chain(*[call("d", f"c{each}") for each in range(30)]),
                "d": DAYS,
            },
            "or 500 nodes",
        ),
        (
            {
                "a": chain(
                    expressions(x="flatMap(items, items)"), expressions("n", y="len(map(x, len(filter(x, # > 1))))")
                )
            },
            "lists within lists",
        ),
        ({"a": chain(*[expressions(f"n{each}", x="x + x") for each in range(20)])}, "may grow too large"),
        (
            {"a": chain(expressions(**{f"x{each}": f"$.x{each - 1} + $.x{each - 1}" for each in range(40)}))},
            "grow too large",
        ),
    ],
)
def test_rules_that_would_not_end_well_are_left_out(rules: dict[str, Any], said: str) -> None:
    found, mistakes = read(rules)
    assert any(said in line for line in mistakes), mistakes
    assert "a" not in found.rules
    assert "r0" not in found.rules


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one document"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("facts: {}\n", "'gives' is missing"),
        ("facts: {days: integr}\ngives: {ok: boolean}\n", "rules/days.yml:1: facts.days.type"),
        ("facts: {days: integer}\ngives: {ok: boolean}\nexampels: []\n", "did you mean 'examples'?"),
        ("facts: [\n", "not YAML"),
        ("facts: {days: integer}\ngives: {ok: boolean}\n" + "#" * 300_000, "larger than"),
    ],
)
def test_a_description_that_is_none_is_said(text: str, said: str) -> None:
    _, mistakes = read({"days": DAYS}, days=text)
    assert any(said in line for line in mistakes), mistakes


def test_a_description_without_its_rule_is_said() -> None:
    _, mistakes = read({"days": DAYS}, dyas=DESCRIBED)
    assert mistakes == ["rules/dyas.yml: there is no rule dyas.json that this describes; did you mean 'days'?"]


def test_dotted_facts_are_parts() -> None:
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_threads_and_forked_processes_decide() -> None:
    rules, _ = read({"days": DAYS})
    facts = [{"days": each} for each in range(40)]
    expected = [{"ok": each > 3, "why": "late" if each > 3 else "early"} for each in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda each: rules.decide("days", each), facts)) == expected
    reading, writing = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: writing.send([rules.decide("days", each) for each in facts])
    )
    child.start()
    try:
        assert reading.poll(10), "the forked process answers"
        assert reading.recv() == expected
    finally:
        child.kill()
        child.join()
