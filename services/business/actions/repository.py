"""The statements about actions under way: the ledger's row of one, its calls to foreign systems, its approval.

They are prepared, since each action runs several of them between its acceptance and its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import DeclarativeBase

from services.business.models import ActionRecord, ApprovalRecord, DeadLetter, EffectRecord, Timer
from shared.storage.statements import Statement, Unit, insert_into, table_of, upsert_into
from shared.storage.timers import Timers

__all__ = [
    "TIMERS",
    "Effect",
    "Entry",
    "Letter",
    "Wait",
    "action_of_letter",
    "add_letter",
    "effects_of",
    "entry_of",
    "letter_of",
    "letters_about",
    "save_effect",
    "save_entry",
    "save_letter",
    "save_wait",
    "submitted",
    "wait_of",
]

TIMERS = Timers(Timer)
"""Business's timers."""


@dataclass(kw_only=True)
class Entry:
    """The ledger's row of an action; what is changed in it is stored by `save_entry`."""

    action_id: str
    tenant: str
    name: str
    customer: str | None
    conversation_id: str
    request: dict[str, Any]
    status: str
    attempts: int
    last_error: str | None
    running_until: datetime | None
    running_on: str | None
    not_before: datetime | None
    put_offs: int
    tried_since: datetime | None
    sends: int
    resend_at: datetime | None
    result: dict[str, Any] | None
    result_version: int
    updated_at: datetime


@dataclass(kw_only=True)
class Effect:
    """A call to a company's system, as `EffectRecord` has it."""

    action_id: str
    step: int
    undo: bool
    name: str
    status: str
    prepared: dict[str, Any]
    calls: int = 0
    called_at: datetime | None = None
    doubtful_since: datetime | None = None
    unknown_at: datetime | None = None
    data: dict[str, Any] | None = None
    code: str | None = None


@dataclass(kw_only=True)
class Wait:
    """What a person decides on, as `ApprovalRecord` has it."""

    action_id: str
    title: dict[str, str] | None
    arguments: dict[str, Any]
    facts: dict[str, Any]
    created_at: datetime
    expires_at: datetime
    remind_seconds: int | None
    reminders: int = 0
    reminded_at: datetime | None = None
    decision: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    note: str | None = None


@dataclass(kw_only=True)
class Letter:
    """What was given up and waits for a person, as `DeadLetter` has it."""

    id: int
    action_id: str | None
    name: str | None
    step: int | None
    undo: bool | None
    retried_at: datetime | None
    retried_by: str | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_because: str | None
    happened: bool | None


def _names(of: type) -> list[str]:
    return [each.name for each in fields(of)]


def _found(model: type[DeclarativeBase], of: type, key: str) -> Statement:
    """The rows of an action or of an id, held until the unit of work ends."""
    table = table_of(model)
    return Statement(
        select(*(table.c[name] for name in _names(of)))
        .where(table.c[key] == bindparam("of"))
        .order_by(table.c.id)
        .with_for_update()
    )


def _changed(table: Table, names: Sequence[str], key: str) -> Statement:
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return Statement(update(table).where(table.c[key] == bindparam("of")).values(values))


ENTRY = _found(ActionRecord, Entry, "action_id")
ENTRY_CHANGES = [
    name
    for name in _names(Entry)
    if name not in ("action_id", "tenant", "name", "customer", "conversation_id", "request")
]
SAVE_ENTRY = _changed(table_of(ActionRecord), ENTRY_CHANGES, "action_id")
EFFECTS = _found(EffectRecord, Effect, "action_id")
SAVE_EFFECT = upsert_into(EffectRecord, *_names(Effect), "updated_at", key=("action_id", "step", "undo"))
WAIT = _found(ApprovalRecord, Wait, "action_id")
SAVE_WAIT = upsert_into(ApprovalRecord, *_names(Wait), key=("action_id",))
LETTER = _found(DeadLetter, Letter, "id")
ABOUT = Statement(select(table_of(DeadLetter).c.action_id).where(table_of(DeadLetter).c.id == bindparam("of")))
LETTERS_OF = _found(DeadLetter, Letter, "action_id")
LETTER_CHANGES = [name for name in _names(Letter) if name not in ("id", "action_id", "name", "step", "undo")]
SAVE_LETTER = _changed(table_of(DeadLetter), LETTER_CHANGES, "id")
ADD_LETTER = insert_into(
    DeadLetter, "action_id", "name", "payload", "error", "attempts", "created_at", "step", "undo"
)  # fmt: skip


def entry_of(unit: Unit, action_id: str) -> Entry | None:
    """An action's row, held until the unit of work ends.

    Raises:
        ValueError: its stored JSON is none.
    """
    row = unit.row(ENTRY, of=action_id)
    return None if row is None else Entry(**dict(zip(_names(Entry), row, strict=True)))


def save_entry(unit: Unit, entry: Entry) -> None:
    """Stores what was changed in it."""
    unit.run(SAVE_ENTRY, of=entry.action_id, **{f"new_{name}": getattr(entry, name) for name in ENTRY_CHANGES})


def effects_of(unit: Unit, action_id: str) -> dict[tuple[int, bool], Effect]:
    """The calls of an action, by step and whether they take it back."""
    found = [Effect(**dict(zip(_names(Effect), row, strict=True))) for row in unit.rows(EFFECTS, of=action_id)]
    return {(each.step, each.undo): each for each in found}


def save_effect(unit: Unit, effect: Effect, moment: datetime) -> None:
    """Stores a call, whether it was known before or not."""
    unit.run(SAVE_EFFECT, **vars(effect), updated_at=moment)


def wait_of(unit: Unit, action_id: str) -> Wait | None:
    """What a person decides or has decided on, held until the unit of work ends."""
    row = unit.row(WAIT, of=action_id)
    return None if row is None else Wait(**dict(zip(_names(Wait), row, strict=True)))


def save_wait(unit: Unit, wait: Wait) -> None:
    """Stores what is decided on, or what became of it."""
    unit.run(SAVE_WAIT, **vars(wait))


def letter_of(unit: Unit, letter_id: int) -> Letter | None:
    """A dead letter, held until the unit of work ends."""
    row = unit.row(LETTER, of=letter_id)
    return None if row is None else Letter(**dict(zip(_names(Letter), row, strict=True)))


def action_of_letter(unit: Unit, letter_id: int) -> str | None:
    """Which action a dead letter is about; nothing is held."""
    row = unit.row(ABOUT, of=letter_id)
    return None if row is None else row[0]


def letters_about(unit: Unit, effect: Effect) -> list[Letter]:
    """The dead letters about a call on which nobody has decided."""
    found = [
        Letter(**dict(zip(_names(Letter), row, strict=True))) for row in unit.rows(LETTERS_OF, of=effect.action_id)
    ]
    return [
        each
        for each in found
        if (each.step, each.undo) == (effect.step, effect.undo) and not (each.retried_at or each.dismissed_at)
    ]


def save_letter(unit: Unit, letter: Letter) -> None:
    """Stores what was decided about a dead letter."""
    unit.run(SAVE_LETTER, of=letter.id, **{f"new_{name}": getattr(letter, name) for name in LETTER_CHANGES})


def add_letter(
    unit: Unit, entry: Entry, *, payload: str, error: str, moment: datetime, effect: Effect | None = None
) -> None:
    """A dead letter about an action, or about one call of it."""
    unit.run(
        ADD_LETTER,
        action_id=entry.action_id,
        name=entry.name if effect is None else effect.name,
        payload=payload,
        error=error,
        attempts=entry.attempts if effect is None else effect.calls,
        created_at=moment,
        step=None if effect is None else effect.step,
        undo=None if effect is None else effect.undo,
    )


def _submitted(of_assistant: bool) -> Statement:
    table = table_of(ActionRecord)
    whose = table.c.assistant == bindparam("assistant") if of_assistant else table.c.assistant.is_(None)
    columns = (table.c[name] for name in ("action_id", "name", "status", "created_at", "request", "result"))
    return Statement(
        select(*columns)
        .where(table.c.customer == bindparam("customer"), whose, table.c.name != bindparam("without"))
        .order_by(table.c.id.desc())
        .limit(bindparam("most"))
    )


SUBMITTED = {True: _submitted(True), False: _submitted(False)}


def submitted(unit: Unit, customer: str, assistant: str | None, *, without: str, most: int) -> list[tuple[Any, ...]]:
    """A customer's newest actions by an assistant: id, name, status, when, request and result."""
    values: dict[str, Any] = {} if assistant is None else {"assistant": assistant}
    return unit.rows(SUBMITTED[assistant is not None], customer=customer, without=without, most=most, **values)
