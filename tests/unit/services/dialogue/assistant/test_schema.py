from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.schema import Case, Flow, all_slots, picked
from tests.unit.services.dialogue.assistants import flows, load, mistakes, write_assistant


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("title: {zh: 订位, en: Booking}", "title: {zh: 订位, en: Booking}\nslots: {}", "'slots' stands here twice"),
        ("- collect: way", "- colect: way", "a step has one of: collect,"),
        ("- collect: way", "- colect: way", "did you mean 'collect'?"),
        ("- collect: way", "- just words", "this is no step"),
        ("ask: ask_note", "ask: ask_note\n    aks: x", "'aks' is not known here; did you mean 'ask'?"),
        ("    entity: word\n", "    entity: word\n    pattern: '['\n", "not a regular expression"),
        ("- if: cash", "- if: cash +", "cannot read the expression: cash +"),
        ("attempts: 2", "attempts: many", "attempts: Input should be a valid integer"),
        ("    text: {shortest: 2, longest: 20}\n", "", "a slot needs an entity, text or options"),
        ("handoff: asked", "handoff: ''", "handoff: String should have at least 1 character"),
    ],
)
def test_what_may_not_stand_in_a_flow_is_named_with_its_line(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, flows=flows(old, new))
    [line] = [line for line in found if mistake in line]
    assert line.startswith(("flows/all.yml:", "flows:", "faq/hours.md:"))


def test_a_called_flow_brings_its_slots_and_steps(tmp_path: Path) -> None:
    calling = flows("  - set: {cash: way == 'cash'}", "  - call: book\n  - set: {cash: way == 'cash'}")
    mini = load_assistant(write_assistant(tmp_path, flows=calling))
    assert set(mini.slots["pay"]) == {"way", "address", "table", "note"}
    assert "1.call.5" in mini.steps["pay"]


def test_a_flows_own_slot_goes_before_that_of_a_flow_it_calls() -> None:
    def flow(name: str, ask: str, *steps: dict[str, str]) -> Flow:
        slot = {"name": {"en": "x"}, "entity": "x", "ask": ask}
        return Flow.model_validate({"flow": name, "slots": {"shared": slot, name: slot}, "steps": list(steps)})

    inner, outer = flow("inner", "inner", {"collect": "shared"}), flow("outer", "outer", {"call": "inner"})
    slots = all_slots(outer, {"inner": inner, "outer": outer})
    assert {name: slot.ask for name, slot in slots.items()} == {"shared": "outer", "inner": "inner", "outer": "outer"}


def test_steps_are_walked_in_the_order_in_which_they_stand(tmp_path: Path) -> None:
    mini = load(tmp_path)
    assert list(mini.steps["book"]) == ["0", "0.missing.0", "0.missing.1", "1", "2", "3", "4", "4.no.0", "5"]
    assert list(mini.steps["pay"]) == ["0", "1", "2", "2.then.0", "2.else.0", "2.else.1"]


@pytest.mark.parametrize(("code", "reply"), [("full", "first"), ("late", "second"), ("other", "third")])
def test_the_first_case_that_holds_is_picked(code: str, reply: str) -> None:
    cases = [
        Case.model_validate({"if": "code == 'full'", "reply": "first"}),
        Case.model_validate({"if": "code != 'other'", "reply": "second"}),
        Case.model_validate({"reply": "third"}),
    ]
    assert picked(cases, {"code": code}) == reply
    assert picked(cases[:1], {"code": code}) == (reply if code == "full" else None)
