"""Past decisions from a CSV file: facts and an outcome in each row, typed by a rule's description or as they look."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from shared.assistants.rules import RuleDescription, Value
from shared.errors import ConfigurationError

__all__ = ["Decisions", "DecisionsError", "Scalar", "read_decisions"]

MAX_BYTES = 50_000_000
MAX_DECISIONS = 200_000
MAX_COLUMNS = 200
MAX_CATEGORIES = 20
FACT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
INTEGER = re.compile(r"[+-]?\d{1,12}")
TRUTHS = {"true": True, "false": False}

Scalar = str | bool | int | float
"""A fact or an outcome."""


class DecisionsError(ConfigurationError):
    """Past decisions cannot be learned from; the message says why."""


@dataclass
class Decisions:
    """Past decisions: `facts` by name with what they can be, a value each in `rows`, and the outcomes beside them."""

    facts: dict[str, Value]
    outcome: Value
    rows: list[dict[str, Scalar]]
    outcomes: list[Scalar]
    ignored: dict[str, str] = field(default_factory=dict)
    """Columns that are not learned from, and why."""
    incomplete: int = 0
    """Rows in which a value is missing or cannot be read; they are left out."""


def read_decisions(
    path: Path, outcome: str, description: RuleDescription | None, only: Iterable[str] = ()
) -> Decisions:
    """Reads past decisions; `only` names the facts to learn from, by default all that can be.

    Raises:
        DecisionsError: the file cannot be read, or there is nothing to learn in it.
    """
    header, table = _table(path)
    if outcome not in header:
        raise DecisionsError(f"{path.name} has no column {outcome!r}; it has {', '.join(header)}")
    columns = {name: [row[place].strip() for row in table] for place, name in enumerate(header)}
    wanted = list(only) or [name for name in header if name != outcome]
    if missing := [name for name in wanted if name not in header or name == outcome]:
        raise DecisionsError(f"{path.name} has no column {missing[0]!r} to learn from")
    ignored: dict[str, str] = {name: "not asked for" for name in header if name not in wanted and name != outcome}
    facts: dict[str, Value] = {}
    for name in wanted:
        value = _value(name, columns[name], description.facts if description else None)
        if isinstance(value, str):
            ignored[name] = value
        else:
            facts[name] = value
    if not facts:
        raise DecisionsError(f"{path.name} has no column to learn from: {_said(ignored)}")
    result = _value(outcome, columns[outcome], description.gives if description else None)
    if isinstance(result, str):
        raise DecisionsError(f"{outcome} can be no outcome: {result}")
    if result.one_of is None and result.type != "boolean":
        kind = result.type or "text"
        found = sorted({parsed for text in columns[outcome] if (parsed := _parsed(text, kind)) is not None}, key=str)
        if len(found) > MAX_CATEGORIES:
            raise DecisionsError(f"{outcome} has more than {MAX_CATEGORIES} values; a table gives a few")
        result = Value(one_of=found) if found else result
    decisions = Decisions(facts, result, [], [], ignored)
    for place in range(len(table)):
        row = {name: _fitting(columns[name][place], value) for name, value in facts.items()}
        decided = _fitting(columns[outcome][place], result)
        if decided is None or None in row.values():
            decisions.incomplete += 1
        else:
            decisions.rows.append({name: value for name, value in row.items() if value is not None})
            decisions.outcomes.append(decided)
    return decisions


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open("rb") as file:
            source = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DecisionsError(f"{path} cannot be read: {error.strerror}") from None
    if len(source) > MAX_BYTES:
        raise DecisionsError(f"{path} has more than {MAX_BYTES} bytes")
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DecisionsError(f"{path} is not UTF-8 text") from None
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if any(line)]
    except csv.Error as error:
        raise DecisionsError(f"{path} is not CSV: {error}") from None
    if len(lines) < 2:
        raise DecisionsError(f"{path} has no decisions: a line of names, then one line for each")
    header, table = [name.strip() for name in lines[0]], lines[1:]
    if len(table) > MAX_DECISIONS or len(header) > MAX_COLUMNS:
        raise DecisionsError(f"{path} has more than {MAX_DECISIONS} decisions, or {MAX_COLUMNS} columns")
    if twice := [name for name in header if header.count(name) > 1]:
        raise DecisionsError(f"{path} has two columns {twice[0]!r}")
    for number, line in enumerate(table, start=2):
        if len(line) != len(header):
            raise DecisionsError(f"{path}: decision {number - 1} has {len(line)} values, and there are {len(header)}")
    return header, table


def _value(name: str, texts: list[str], described: Mapping[str, Value] | None) -> Value | str:
    """What a column holds, or why it is not used."""
    if not FACT.fullmatch(name):
        return "a name has letters, digits and _ only"
    if described is not None:
        value = described.get(name)
        if value is None:
            return "the description does not have it"
        if value.type != "text" or value.one_of is not None:
            return value
        return value if len(set(texts)) <= MAX_CATEGORIES else f"more than {MAX_CATEGORIES} different texts"
    said = sorted({text for text in texts if text})
    if not said:
        return "it is empty"
    if all(text.lower() in TRUTHS for text in said):
        return Value(type="boolean")
    if all(INTEGER.fullmatch(text) for text in said):
        return Value(type="integer", least=0 if not any(text.startswith("-") for text in said) else None)
    if all(_parsed(text, "number") is not None for text in said):
        places = max(-int(Decimal(text).as_tuple().exponent) for text in said)
        step = float(Decimal(1).scaleb(-places)) if places <= 4 else None
        return Value(type="number", step=step, least=0 if not any(text.startswith("-") for text in said) else None)
    if len(said) > MAX_CATEGORIES:
        return f"more than {MAX_CATEGORIES} different texts"
    return Value(one_of=list(said))


def _parsed(text: str, kind: str) -> Scalar | None:
    if kind == "text":
        return text or None
    if kind == "boolean":
        return TRUTHS.get(text.lower())
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) > Decimal("1e12"):
        return None
    if number == number.to_integral_value():
        return int(number)
    return float(number) if kind == "number" else None


def _fitting(text: str, value: Value) -> Scalar | None:
    """The value that a text stands for; none where it is none of what there can be."""
    if value.one_of is not None:
        return next((each for each in value.one_of if _parsed(text, _kind(each)) == each), None)
    parsed = _parsed(text, str(value.type))
    return None if parsed is None or value.problem(parsed) else parsed


def _kind(value: Scalar) -> str:
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"


def _said(ignored: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in ignored.items())
