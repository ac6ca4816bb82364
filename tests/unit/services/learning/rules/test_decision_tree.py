import json
import random
from decimal import Decimal
from typing import Any

import pytest
import yaml
import zen
from hypothesis import given
from hypothesis import strategies as st

from services.business.rules.check import check_set
from services.business.rules.rule_set import RuleSet, read_rule_set
from services.learning.rules.decision_tree import Learned, learn
from services.learning.rules.decisions import Decisions, DecisionsError, Scalar
from shared.assistants.rules import Value
from shared.assistants.yaml_source import Mistakes

FACTS = {
    "kind": Value(one_of=["late", "it's broken", 'said "no"']),
    "days": Value(type="integer", least=0),
    "amount": Value(type="number", step=0.01),
    "member": Value(type="boolean"),
}


def decided(count: int, seed: int = 1, noise: float = 0.0) -> Decisions:
    """Decisions by a policy that a table can say, some of them by chance."""
    draw = random.Random(seed)
    rows: list[dict[str, Scalar]] = []
    outcomes: list[Scalar] = []
    for _ in range(count):
        row: dict[str, Scalar] = {
            "kind": draw.choice(["late", "it's broken", 'said "no"']),
            "days": draw.randint(0, 40),
            "amount": round(draw.uniform(-50, 1500), 2),
            "member": draw.random() < 0.5,
        }
        refused = int(row["days"]) > 30 and not row["member"]
        outcome = "refused" if refused else "approval" if float(row["amount"]) >= 500 else "automatic"
        rows.append(row)
        outcomes.append(draw.choice(["refused", "approval", "automatic"]) if draw.random() < noise else outcome)
    return Decisions(dict(FACTS), Value(one_of=["approval", "automatic", "refused"]), rows, outcomes)


def checked(learned: Learned) -> RuleSet:
    """The learned table as a rule, which the check has nothing against."""
    sources = {"r.json": json.dumps(learned.table).encode(), "r.yml": yaml.safe_dump(learned.description).encode()}
    mistakes, notes = Mistakes(), list[str]()
    rules = read_rule_set(sources, "rules", mistakes)
    check_set(rules, mistakes, notes)
    assert (mistakes.found, notes) == ([], [])
    return rules


def rows_of(learned: Learned) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = learned.table["nodes"][1]["content"]["rules"]
    return found


def test_a_policy_is_found_again_with_round_limits() -> None:
    decisions = decided(1000, noise=0.03)
    learned = learn(decisions, "r", "outcome", depth=4, leaf=10)
    cells = {cell for row in rows_of(learned) for key, cell in row.items() if key.startswith("in-")}
    assert cells <= {"", "true", "false", "<= 30", "> 30", "< 500", ">= 500", "<= 500", "> 500"}
    assert learned.right / learned.held_out > 0.9
    assert learned.trained + learned.held_out == 1000
    rules = checked(learned)
    facts = {"kind": "late", "days": 30, "amount": 20, "member": False}
    assert rules.decide("r", facts) == {"outcome": "automatic"}
    assert rules.decide("r", {**facts, "days": 31}) == {"outcome": "refused"}


def test_rows_say_how_many_decisions_stand_behind_them() -> None:
    decisions = decided(400)
    rows = rows_of(learn(decisions, "r", "outcome", depth=4, leaf=5))
    assert sum(int(row["_description"].split(" ")[0]) for row in rows) == 400
    assert all("% agree" in row["_description"] for row in rows)


def test_the_same_decisions_give_the_same_table() -> None:
    assert learn(decided(300), "r", "outcome", depth=3, leaf=5) == learn(decided(300), "r", "outcome", depth=3, leaf=5)


def test_depth_and_leaves_are_bounded() -> None:
    decisions = decided(600, noise=0.5)
    learned = learn(decisions, "r", "outcome", depth=2, leaf=40)
    assert learned.rows <= 4
    assert all(sum(bool(row[f"in-{fact}"]) for fact in FACTS if f"in-{fact}" in row) <= 2 for row in rows_of(learned))


@given(seed=st.integers(0, 1000), noise=st.sampled_from([0.0, 0.3, 1.0]), depth=st.integers(1, 6))
def test_a_learned_table_answers_everything_and_as_the_tree_does(seed: int, noise: float, depth: int) -> None:
    decisions = decided(120, seed, noise)
    learned = learn(decisions, "r", "outcome", depth=depth, leaf=3)
    rules = checked(learned)
    counted = {row["_id"]: int(row["_description"].split(" ")[0]) for row in rows_of(learned)}
    for row in decisions.rows:
        _, ((_, _, by),) = rules.explain("r", row)
        counted[f"row-{by.number}"] -= 1
    assert set(counted.values()) == {0}, "the engine takes each decision to the row that counted it"


def test_outcomes_may_be_truths_and_numbers() -> None:
    for low, high in ((False, True), (0, 10), ("it's", "no")):
        rows: list[dict[str, Scalar]] = [{"days": each} for each in range(40)]
        outcomes: list[Scalar] = [high if each > 20 else low for each in range(40)]
        value = Value(type="boolean") if isinstance(low, bool) else Value(one_of=[low, high])
        decisions = Decisions({"days": Value(type="integer", least=0)}, value, rows, outcomes)
        assert checked(learn(decisions, "r", "ok", depth=2, leaf=2)).decide("r", {"days": 39}) == {"ok": high}


def test_what_no_fact_explains_is_one_row() -> None:
    decisions = decided(100)
    decisions.outcomes = ["refused" if place % 10 == 0 else "approval" for place in range(100)]
    learned = learn(decisions, "r", "outcome", depth=1, leaf=40)
    assert learned.rows == 1
    assert checked(learned).decide("r", rows_facts(learned, decisions)) == {"outcome": "approval"}


def rows_facts(learned: Learned, decisions: Decisions) -> dict[str, Any]:
    return {fact: decisions.rows[0][fact] for fact in learned.description["facts"]}


def test_too_little_is_not_learned_from() -> None:
    with pytest.raises(DecisionsError, match="5 decisions are too few"):
        learn(decided(5), "r", "outcome", depth=3, leaf=5)
    alike = decided(50)
    alike.outcomes = ["refused"] * 50
    with pytest.raises(DecisionsError, match="all decisions are 'refused'"):
        learn(alike, "r", "outcome", depth=3, leaf=5)


def test_texts_that_no_table_can_name_are_said() -> None:
    decisions = decided(100)
    decisions.facts = {"kind": Value(one_of=["a", "'\""])}
    decisions.rows = [{"kind": "a" if place % 2 else "'\""} for place in range(100)]
    decisions.outcomes = ["refused" if place % 2 else "approval" for place in range(100)]
    with pytest.raises(DecisionsError, match="both kinds of quotes"):
        learn(decisions, "r", "outcome", depth=3, leaf=5)


def test_figures_are_written_plainly() -> None:
    rows: list[dict[str, Scalar]] = [{"n": each * 1_000_000} for each in range(40)]
    outcomes: list[Scalar] = ["a" if each < 20 else "b" for each in range(40)]
    decisions = Decisions({"n": Value(type="number")}, Value(one_of=["a", "b"]), rows, outcomes)
    learned = learn(decisions, "r", "outcome", depth=1, leaf=5)
    limits = {row["in-n"].split(" ")[1] for row in rows_of(learned)}
    assert len(limits) == 1
    assert Decimal(19_000_000) <= Decimal(limits.pop()) <= Decimal(20_000_000)
    assert all(zen.evaluate_unary_expression(row["in-n"], {"$": 0}) in (True, False) for row in rows_of(learned))
