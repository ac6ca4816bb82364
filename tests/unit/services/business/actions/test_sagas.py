from typing import Any

import pytest

from services.business.actions.repository import Effect
from services.business.actions.sagas import Todo, end_of, following, key_of
from shared.assistants.connectors import SagaStep

STEPS = [
    SagaStep.model_validate(each)
    for each in (
        {"action": "a", "arguments": {"x": "amount", "y": "missing"}, "save": "first",
         "undo": {"action": "undo_a", "arguments": {"n": "first.number"}}},
        {"action": "b", "arguments": {"n": "first.number"}},
        {"action": "c", "save": "third", "undo": {"action": "undo_c"}},
        {"action": "d"},
    )
]  # fmt: skip
SCOPE = {"amount": 5}


def effects(*statuses: str, **undone: str) -> dict[tuple[int, bool], Effect]:
    made = {(number, False): status for number, status in enumerate(statuses, 1)}
    made |= {(int(number.removeprefix("u")), True): status for number, status in undone.items()}
    return {
        (step, undo): Effect(
            action_id="x", step=step, undo=undo, name="n", status=status, prepared={}, code="why",
            data={"number": step},
        )
        for (step, undo), status in made.items()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("done", "todo"),
    [
        (effects(), Todo(1, False, "a", {"x": 5})),
        (effects("called"), Todo(1, False, "a", {"x": 5})),
        (effects("done"), Todo(2, False, "b", {"n": 1})),
        (effects("done", "unknown"), Todo(2, False, "b", {"n": 1})),
        (effects("done", "done", "done", "done"), None),
        (effects("refused"), None),
        (effects("done", "refused"), Todo(1, True, "undo_a", {"n": 1})),
        (effects("done", "done", "done", "failed"), Todo(3, True, "undo_c", {})),
        (effects("done", "done", "done", "failed", u3="called"), Todo(3, True, "undo_c", {})),
        (effects("done", "done", "done", "failed", u3="done"), Todo(1, True, "undo_a", {"n": 1})),
        (effects("done", "done", "done", "failed", u3="failed"), Todo(1, True, "undo_a", {"n": 1})),
        (effects("done", "done", "done", "failed", u3="unknown", u1="done"), None),
    ],
)
def test_the_next_effect_follows_from_those_before(done: Any, todo: Todo | None) -> None:
    assert following(STEPS, done, SCOPE) == todo


def test_the_end_says_what_was_saved_or_what_was_taken_back() -> None:
    end = end_of(STEPS, effects("done", "done", "done", "done"))
    assert (end.status, end.data, end.error_code) == (
        "succeeded",
        {"first": {"number": 1}, "third": {"number": 3}},
        None,
    )

    end = end_of(STEPS, effects("done", "done", "done", "refused", u3="failed", u1="done"))
    assert (end.status, end.error_code) == ("rejected", "why")
    assert end.data == {"number": 4, "step": "d", "undone": ["a"], "not_undone": ["c", "b"]}
    assert end_of(STEPS, effects("failed")).status == "failed"


def test_every_call_has_an_id_of_its_own() -> None:
    assert [key_of("x", 0, undo=False), key_of("x", 2, undo=False), key_of("x", 2, undo=True)] == [
        "x",
        "x.2",
        "x.2.undo",
    ]
