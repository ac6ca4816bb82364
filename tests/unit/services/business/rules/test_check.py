import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import zen
from hypothesis import given
from hypothesis import strategies as st

from cli.settings import PROJECT
from services.business.rules.check import check_rules, check_set
from services.business.rules.rule_set import Undecided, read_rule_set
from shared.assistants.yaml_source import Mistakes
from tests.unit.services.business.rules.jdm import call, chain, expressions, graph, node, sources, table, write

DESCRIBED = """\
facts:
  kind: {one_of: [a, b]}
  days: {type: integer, least: 0}
gives:
  outcome: {one_of: [yes, no]}
"""


def findings(rules: dict[str, Any], **descriptions: str) -> tuple[list[str], list[str]]:
    """What is wrong with rules, and what is noted."""
    mistakes, notes = Mistakes(), list[str]()
    check_set(read_rule_set(sources(rules, **descriptions), "rules", mistakes), mistakes, notes)
    return mistakes.found, notes


def rule(*rows: tuple[str, str, str], **content: Any) -> dict[str, Any]:
    return {"r": chain(table(["kind", "days"], ["outcome"], rows, **content))}


def test_a_table_that_answers_everything_is_right() -> None:
    rows = [("'a'", "<= 7", "'yes'"), ("'a'", "> 7", "'no'"), ("'b'", "", "'no'")]
    assert findings(rule(*rows), r=DESCRIBED) == ([], [])
    assert findings({"r": chain(table(["kind"], ["outcome"], [("", "'yes'")]))}) == ([], [])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("'a'", "<= 7", "'yes'"), ("'b'", "", "'no'")], "no row matches kind=a, days=8"),
        ([("'a'", "< 7", "'yes'"), ("'a'", "> 7", "'no'"), ("'b'", "", "'no'")], "no row matches kind=a, days=7"),
        (
            [("'a'", "in [0..4]", "'yes'"), ("'a'", ">= 6", "'no'"), ("'b'", "", "'no'")],
            "no row matches kind=a, days=5",
        ),
        ([("", "> 0", "'yes'")], "no row matches kind=a, days=0"),
        ([("", "", "'yes'"), ("'a'", "3", "'no'")], "row 2 is never reached: row 1 matches whatever it does"),
        ([("'a'", "", "'yes'"), ("'b'", "", "'no'"), ("", "3", "'no'")], "row 3 is never reached: the rows before it"),
        ([("'c'", "", "'yes'"), ("", "", "'no'")], "row 1, kind: \"'c'\" never matches"),
        ([("", "< 'many'", "'yes'"), ("", "", "'no'")], "row 1, days: \"< 'many'\" never matches"),
        ([("", "> 5 and < 3", "'yes'"), ("", "", "'no'")], "never matches"),
        ([("", "< 0", "'yes'"), ("", "", "'no'")], "never matches"),
        ([("", "< < 5", "'yes'"), ("", "", "'no'")], "row 1, days: '< < 5' cannot be read"),
        (
            [("a", "", "'yes'"), ("", "", "'no'")],
            r"there is no fact 'a'; there are days, kind (words need quotes: 'a')",
        ),
        ([("", "", "yes")], "(words need quotes: 'yes')"),
        ([("", "", "'maybe'")], "row 1, outcome: it is 'maybe' and none of yes, no"),
        ([("", "", "5")], "row 1, outcome: it is 5 and none of yes, no"),
        ([("", "", "1 +")], "row 1, outcome: '1 +' cannot be read"),
        ([("", "", "")], "row 1: it gives nothing"),
        ([("", "", "kind")], "its outcome is 'a' and none of yes, no"),
        (
            [("", "days > 3 and kindd == 'a'", "'yes'"), ("", "", "'no'")],
            "there is no fact 'kindd'; did you mean 'kind'?",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place(rows: list[tuple[str, str, str]], said: str) -> None:
    mistakes, _ = findings(rule(*rows), r=DESCRIBED)
    assert any(said in line for line in mistakes), mistakes
    assert all(line.startswith("rules/r.json") for line in mistakes)


def test_a_mistake_in_a_row_names_its_line() -> None:
    rules = rule(("", "3", "'yes'"), ("", "< < 5", "'no'"))
    lines = json.dumps(rules["r"], indent=1).splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if '"_id": "row-2"' in text)
    (mistake,) = findings(rules)[0]
    assert mistake.startswith(f"rules/r.json:{line}: ")


def test_rows_that_overlap_are_noted_once_unless_their_order_is_meant() -> None:
    rows = [("'a'", "", "'yes'"), ("", "<= 3", "'no'"), ("", "", "'yes'")]
    mistakes, (note,) = findings(rule(*rows), r=DESCRIBED)
    assert not mistakes
    assert note.endswith("table: row 1 goes before 2, which match kind=a, days=0 too and give something else")
    assert findings(rule(*rows), r=DESCRIBED + "order_matters: true\n") == ([], [])
    same = [("'a'", "", "'no'"), ("", "<= 3", "'no'"), ("", "", "'yes'")]
    assert findings(rule(*same), r=DESCRIBED) == ([], [])


def test_a_table_that_collects_may_overlap_and_must_answer() -> None:
    rows = [("'a'", "", "'yes'"), ("", "<= 3", "'no'")]
    (mistake,), notes = findings(rule(*rows, hitPolicy="collect"), r=DESCRIBED)
    assert "no row matches kind=b, days=4" in mistake
    assert not notes
    assert findings(rule(*rows, ("", "> 3", "'no'"), hitPolicy="collect"), r=DESCRIBED) == ([], [])


def test_without_a_description_a_gap_is_a_note() -> None:
    mistakes, notes = findings(rule(("'a'", "<= 7", "'yes'"), ("'b'", "", "'no'")))
    assert not mistakes
    assert any("no row matches kind=" in note for note in notes)


def test_a_fact_that_may_be_missing_needs_a_row() -> None:
    optional = DESCRIBED.replace("least: 0", "least: 0, optional: true")
    (mistake,), _ = findings(rule(("", ">= 0", "'yes'")), r=optional)
    assert "no row matches kind=a, days=None" in mistake
    assert findings(rule(("", ">= 0", "'yes'"), ("", "null", "'no'")), r=optional)[0] == []


def test_steps_make_what_lies_between() -> None:
    money = "facts: {amount: {type: number, least: 0, most: 100, step: 0.01}}\ngives: {ok: boolean}\n"
    rows = [("< 50", "true"), ("> 50.01", "false")]
    (mistake,), _ = findings({"r": chain(table(["amount"], ["ok"], rows))}, r=money)
    assert "no row matches amount=50" in mistake
    whole = money.replace("number", "integer").replace("0.01", "1")
    assert findings({"r": chain(table(["amount"], ["ok"], [("< 50", "true"), ("> 49.5", "false")]))}, r=whole) == (
        [],
        [],
    )


def test_results_must_be_described_and_whole() -> None:
    described = DESCRIBED + "  reason: text\n"
    mistakes, _ = findings(rule(("", "", "'yes'")), r=described)
    assert ["its reason is missing" in line for line in mistakes] == [True]
    mistakes, _ = findings({"r": chain(table(["kind"], ["outcme"], [("", "'yes'")]))}, r=DESCRIBED)
    assert any("gives no 'outcme'; did you mean 'outcome'?" in line for line in mistakes)


def test_examples_are_tests() -> None:
    examples = """\
examples:
  - facts: {kind: a, days: 3}
    gives: {outcome: yes}
  - facts: {kind: a, days: 8}
    gives: {outcome: yes}
  - facts: {kind: c, days: 8}
    gives: {outcome: yes}
  - facts: {kind: a, days: 1, dayz: 1}
    gives: {outcome: yes}
"""
    rows = [("'a'", "<= 7", "'yes'"), ("", "", "'no'")]
    mistakes, _ = findings(rule(*rows), r=DESCRIBED + examples)
    assert mistakes == [
        "rules/r.yml:9: the example does not hold: the rule gives outcome=no, by row 2",
        "rules/r.yml:11: the example has no result: the rule r: the fact kind is 'c' and none of a, b",
        "rules/r.yml:13: there is no fact 'dayz'; did you mean 'days'?",
    ]


def test_conditions_on_several_facts_are_tried() -> None:
    facts = (
        "facts: {a: {type: integer, least: 0, most: 9}, b: {type: integer, least: 0, most: 9}}\ngives: {ok: boolean}\n"
    )
    rows = [("$ > b", "true"), ("$ < b", "false")]
    (mistake,), notes = findings({"r": chain(table(["a"], ["ok"], rows))}, r=facts)
    assert "the rule r says nothing for a=0, b=0" in mistake
    assert any("not checked wholly" in note for note in notes)
    whole = [("a > b", "true"), ("", "false")]
    mistakes, notes = findings({"r": chain(table(["?condition"], ["ok"], whole))}, r=facts)
    assert not mistakes
    assert any("all of which are answered" in note for note in notes)


def test_a_graph_is_tried_as_a_whole() -> None:
    facts = "facts: {amount: {type: integer, least: 0, most: 100}}\ngives: {ok: boolean}\n"
    first = expressions(dear="amount >= 10")
    right = {"r": chain(first, table(["dear"], ["ok"], [("true", "false"), ("false", "true")]))}
    mistakes, notes = findings(right, r=facts)
    assert not mistakes
    assert len(notes) == 1
    assert "all of which are answered" in notes[0]
    (mistake,), _ = findings({"r": chain(first, table(["dear"], ["ok"], [("true", "false")]))}, r=facts)
    assert "says nothing for amount=0" in mistake
    (mistake,), _ = findings(
        {"r": chain(expressions(dear="amuont > 1"), table(["dear"], ["ok"], [("", "true")]))}, r=facts
    )
    assert "there is no fact 'amuont'; did you mean 'amount'?" in mistake


def test_a_table_to_which_nothing_leads_says_nothing() -> None:
    mistakes, _ = findings({"r": {**rule(("", "", "'yes'"))["r"], "edges": []}}, r=DESCRIBED)
    assert any("says nothing for kind=a" in line for line in mistakes), mistakes


def test_a_rule_that_is_called_is_tried_with_its_caller() -> None:
    facts = "facts: {days: {type: integer, least: 0}}\ngives: {ok: boolean}\n"
    inner = chain(table(["days"], ["ok"], [("< 3", "true")]))
    mistakes, _ = findings({"outer": chain(call("inner")), "inner": inner}, outer=facts)
    assert any(line.startswith("rules/outer.json: the rule outer says nothing for days=3") for line in mistakes)


def test_a_switch_without_a_way_is_a_gap() -> None:
    facts = "facts: {days: {type: integer, least: 0}}\ngives: {ok: boolean}\n"
    ways = node("switchNode", "ways", {"hitPolicy": "first", "statements": [{"id": "s1", "condition": "days < 3"}]})
    nodes = [
        node("inputNode", "request", None),
        ways,
        expressions("short", ok="true"),
        node("outputNode", "answer", None),
    ]
    edges = [("request", "ways"), ("ways", "short", "s1"), ("short", "answer")]
    (mistake,), _ = findings({"r": graph(nodes, edges)}, r=facts)
    assert "for days=3" in mistake


def test_what_is_too_large_is_tried_in_part_and_said() -> None:
    names = [f"f{place}" for place in range(20)]
    rows = [(*("true" if place == other else "" for other in range(20)), "'x'") for place in range(20)]
    facts = "facts:\n" + "".join(f"  {name}: boolean\n" for name in names) + "gives: {outcome: text}\n"
    mistakes, notes = findings({"r": chain(table(names, ["outcome"], [*rows, (*[""] * 20, "'y'")]))}, r=facts)
    assert not mistakes
    assert any("too large to be checked wholly" in note for note in notes)
    assert any("tried with 5000 of 1048576 cases" in note for note in notes)


CELLS = {
    "kind": ["", "'a'", "'b'", "'a', 'b'", "not in ['a']", "!= 'c'"],
    "days": ["", "<= 2", "> 2", "in [1..3]", "2", "1, 3", ">= 4", "> 1 and < 4", "not in [0, 2]", "< 1 or > 3"],
    "paid": ["", "true", "false"],
}
FACTS: dict[str, list[str | int]] = {"kind": ["a", "b", "c"], "days": list(range(7)), "paid": [True, False]}
ROWS = st.lists(
    st.tuples(*(st.sampled_from(cells) for cells in CELLS.values()), st.sampled_from(["'x'", "'y'"])),
    min_size=1,
    max_size=7,
)
CLOSED = """\
facts: {kind: {one_of: [a, b, c]}, days: {type: integer, least: 0, most: 6}, paid: boolean}
gives: {outcome: text}
"""


@given(rows=ROWS)
def test_brute_force_finds_the_same_gaps_and_unreachable_rows(rows: list[tuple[str, ...]]) -> None:
    rules = {"r": chain(table(list(CELLS), ["outcome"], rows))}
    mistakes, _ = findings(rules, r=CLOSED)
    engine = zen.ZenEngine({"loader": {"type": "static", "content": rules}})
    reached, gap = set(), False
    for values in itertools.product(*FACTS.values()):
        answer = engine.evaluate("r", dict(zip(FACTS, values, strict=True)), {"trace": True})
        gap = gap or not answer["result"]
        if answer["result"]:
            reached.add(answer["trace"]["table"]["traceData"]["index"])
    assert any("no row matches" in line for line in mistakes) == gap
    unreached = {line.split("row ")[1].split(" ")[0] for line in mistakes if "is never reached" in line}
    assert unreached == {str(place + 1) for place in range(len(rows)) if place not in reached}


@given(rows=ROWS, gone=st.integers(0, 6))
def test_the_facts_that_a_gap_names_have_no_answer(rows: list[tuple[str, ...]], gone: int) -> None:
    left = [row for place, row in enumerate(rows) if place != gone] or rows
    mistakes = Mistakes()
    rules = read_rule_set(sources({"r": chain(table(list(CELLS), ["outcome"], left))}, r=CLOSED), "rules", mistakes)
    check_set(rules, mistakes, [])
    for line in mistakes.found:
        if "no row matches " in line:
            said = dict(each.split("=") for each in line.split("no row matches ")[1].split(", "))
            facts = {"kind": said["kind"], "days": int(said["days"]), "paid": said["paid"] == "True"}
            with pytest.raises(Undecided):
                rules.decide("r", facts)


def test_the_demo_s_rules_are_right_and_a_row_less_is_a_gap(tmp_path: Path) -> None:
    demo = PROJECT / "assistants" / "shop" / "rules"
    mistakes, notes = Mistakes(), list[str]()
    check_rules(demo, mistakes, notes)
    assert (mistakes.found, notes) == ([], [])
    refund = json.loads((demo / "refund.json").read_text(encoding="utf-8"))
    refund["nodes"][1]["content"]["rules"].pop()
    check_rules(
        write(tmp_path, {"refund": refund}, refund=(demo / "refund.yml").read_text(encoding="utf-8")), mistakes, notes
    )
    assert any("no row matches status=paid, refund_status=none, days=8" in line for line in mistakes.found)


def test_no_folder_has_no_rules(tmp_path: Path) -> None:
    mistakes = Mistakes()
    assert check_rules(tmp_path / "rules", mistakes, []).rules == {}
    assert not mistakes.found
