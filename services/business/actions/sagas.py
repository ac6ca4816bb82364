"""Which effect of a saga comes next, told from what became of those before: pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.business.actions.repository import Effect
from shared.assistants.connectors import SagaStep
from shared.contracts.actions import ActionStatus

__all__ = ["End", "Todo", "end_of", "following", "key_of"]

Effects = Mapping[tuple[int, bool], Effect]

BEFORE = ("ready", "called", "unknown")
"""Steps that have not come to their end; what is unknown has to be known before the saga goes on."""


@dataclass(frozen=True)
class Todo:
    """A step to be done, or to be taken back, with what it is given."""

    step: int
    undo: bool
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class End:
    """What became of all of it."""

    status: ActionStatus
    data: dict[str, Any]
    error_code: str | None


def key_of(action_id: str, step: int, *, undo: bool) -> str:
    """Under which id a call is made once."""
    return action_id if step == 0 else f"{action_id}.{step}{'.undo' if undo else ''}"


def following(steps: Sequence[SagaStep], effects: Effects, scope: Mapping[str, Any]) -> Todo | None:
    """What comes next; nothing when it has come to its end."""
    for number, step in enumerate(steps, 1):
        status = _status(effects, number, undo=False)
        if status in BEFORE:
            return Todo(number, False, step.action, _values(step.arguments, _known(steps, effects, scope)))
        if status != "done":
            return _taking_back(steps, effects, scope, number)
    return None


def end_of(steps: Sequence[SagaStep], effects: Effects) -> End:
    """The result of a saga that has come to its end."""
    for number, step in enumerate(steps, 1):
        effect = effects[number, False]
        if effect.status == "done":
            continue
        undone, left = [], []
        for before in range(number - 1, 0, -1):
            taken_back = _status(effects, before, undo=True) == "done"
            (undone if taken_back else left).append(steps[before - 1].action)
        data = (effect.data or {}) | {"step": step.action, "undone": undone, "not_undone": left}
        return End("rejected" if effect.status == "refused" else "failed", data, effect.code)
    return End("succeeded", _saved(steps, effects), None)


def _taking_back(steps: Sequence[SagaStep], effects: Effects, scope: Mapping[str, Any], failed: int) -> Todo | None:
    for number in range(failed - 1, 0, -1):
        undo = steps[number - 1].undo
        # One that was given up has a dead letter, and does not keep the others from being taken back.
        if undo is not None and _status(effects, number, undo=True) in ("ready", "called"):
            return Todo(number, True, undo.action, _values(undo.arguments, _known(steps, effects, scope)))
    return None


def _status(effects: Effects, step: int, *, undo: bool) -> str:
    found = effects.get((step, undo))
    return "ready" if found is None else found.status


def _saved(steps: Sequence[SagaStep], effects: Effects) -> dict[str, Any]:
    return {
        step.save: effects[number, False].data or {}
        for number, step in enumerate(steps, 1)
        if step.save is not None and _status(effects, number, undo=False) == "done"
    }


def _known(steps: Sequence[SagaStep], effects: Effects, scope: Mapping[str, Any]) -> dict[str, Any]:
    return {**scope, **_saved(steps, effects)}


def _values(arguments: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: each.value(scope) for name, each in arguments.items()}
    return {name: value for name, value in found.items() if value is not None}
