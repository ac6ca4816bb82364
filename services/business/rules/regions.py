"""The regions into which the conditions of a table part the facts, and which rows match in each.

Within a region every condition answers alike, so one case of each is enough. Regions in which the same rows match are
taken as one after every column: there are far fewer of these than combinations of values.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import zen
from pydantic import JsonValue

from services.business.rules.expression_text import Reading, read_condition
from services.business.rules.graph import Row, Table
from shared.assistants.rules import Value

__all__ = ["Regions", "TooLarge", "points", "regions_of"]

MAX_REGIONS = 20_000
MAX_WORK = 500_000
FAR = Decimal(1_000_000)
OTHER = "another"


class TooLarge(Exception):
    """There are more regions than can be looked at."""


@dataclass(frozen=True)
class Regions:
    """Which rows match where: for each set of rows that match together (a bit a row) one case, facts by name.

    `never` are cells that match no value of their column; `within[i]` are rows that match wherever row `i` does.
    """

    cases: Mapping[int, Mapping[str, JsonValue]]
    never: list[tuple[Row, str, str]]
    within: list[int]


def points(value: Value | None, readings: Iterable[Reading]) -> list[JsonValue]:
    """One value of a fact for each region that these conditions part its values into."""
    found = list(readings)
    texts = sorted({text for each in found for text in each.texts})
    numbers = {number for each in found for number in each.numbers}
    if value is None:
        chosen: list[JsonValue] = [*_words(texts)] if texts else []
        chosen += _numbers(numbers, None, None, None) if numbers else []
        chosen += [True, False] if any(each.truths for each in found) else []
        return chosen or [0]
    missing: list[JsonValue] = [None] if value.optional else []
    if value.one_of is not None:
        return [*value.one_of, *missing]
    if value.type == "boolean":
        return [True, False, *missing]
    if value.type == "text":
        return [*_words(texts), *missing]
    if value.type in ("list", "object"):
        return [[] if value.type == "list" else {}, *missing]
    step = value.step or (1 if value.type == "integer" else None)
    return [*_numbers(numbers, step, value.least, value.most), *missing]


def regions_of(table: Table, values: Mapping[str, Value]) -> Regions | None:
    """The regions of a table, or `None` where a condition asks several facts, or computes: then cases are samples.

    Raises:
        TooLarge: there are too many.
    """
    conditions: dict[str, list[tuple[Row, str, str]]] = {column.field: [] for column in table.inputs}
    for column in table.inputs:
        if not column.field:
            return None
        for row in table.rows:
            if cell := row.cell(column):
                conditions[column.field].append((row, column.label, cell))
    every = (1 << len(table.rows)) - 1
    cases: dict[int, dict[str, JsonValue]] = {every: {}}
    never: list[tuple[Row, str, str]] = []
    within = [every] * len(table.rows)
    work = 0
    for field, cells in conditions.items():
        value = values.get(field)
        readings = [read_condition(cell) for cell in {cell for _, _, cell in cells}]
        closed = value is not None and (value.one_of is not None or value.type == "boolean")
        if any(reading.names or not (reading.plain or closed) for reading in readings):
            return None
        samples = points(value, readings)
        work += len(readings) * len(samples)
        if work > MAX_WORK:
            raise TooLarge
        masks = _masks(cells, samples, every, never)
        for place in range(len(table.rows)):
            for mask in masks:
                within[place] &= mask if mask >> place & 1 else every
        work += len(cases) * len(masks)
        if work > MAX_WORK:
            raise TooLarge
        cases = _parted(cases, field, masks)
    return Regions(cases, never, within)


def _masks(
    cells: list[tuple[Row, str, str]], samples: list[JsonValue], every: int, never: list[tuple[Row, str, str]]
) -> dict[int, JsonValue]:
    """The sets of rows that match together by one fact, each with a value for it."""
    masks = [every] * len(samples)
    rows: dict[str, int] = {}
    for row, _, cell in cells:
        rows[cell] = rows.get(cell, 0) | 1 << (row.number - 1)
    hopeless = set()
    for cell, bits in rows.items():
        matches = condition(cell)
        met = [matches(sample) for sample in samples]
        masks = [mask if hit else mask & ~bits for mask, hit in zip(masks, met, strict=True)]
        if not any(met):
            hopeless.add(cell)
    never += [each for each in cells if each[2] in hopeless]
    return dict(zip(reversed(masks), reversed(samples), strict=True))


def condition(cell: str) -> Callable[[JsonValue], bool]:
    """Whether a value matches a cell; what cannot be compared does not."""
    compiled = zen.compile_unary_expression(cell)

    def matches(value: JsonValue) -> bool:
        try:
            return bool(compiled.evaluate({"$": value}))
        except RuntimeError:
            return False

    return matches


def _parted(
    cases: Mapping[int, dict[str, JsonValue]], field: str, masks: Mapping[int, JsonValue]
) -> dict[int, dict[str, JsonValue]]:
    found: dict[int, dict[str, JsonValue]] = {}
    for rows, facts in cases.items():
        for mask, sample in masks.items():
            if (both := rows & mask) not in found:
                found[both] = {**facts, field: sample}
                if len(found) > MAX_REGIONS:
                    raise TooLarge
    return found


def _words(texts: list[str]) -> list[str]:
    """The texts that are named, and one that is not."""
    other = OTHER
    while other in texts:
        other += "_"
    return [*texts, other]


def _numbers(named: set[Decimal], step: float | None, least: float | None, most: float | None) -> list[JsonValue]:
    """The numbers that are named, one between each two, and one beyond them, as far as steps and limits allow."""
    low = None if least is None else Decimal(str(least))
    high = None if most is None else Decimal(str(most))
    marks = sorted(named | {limit for limit in (low, high) if limit is not None} | {Decimal(0)})
    found: set[Decimal]
    if step is None:
        between = {(one + other) / 2 for one, other in itertools.pairwise(marks)}
        found = {*marks, *between, marks[0] - FAR, marks[-1] + FAR}
    else:
        unit = Decimal(str(step))
        below = {(mark / unit).to_integral_value("ROUND_FLOOR") * unit for mark in marks}
        above = {(mark / unit).to_integral_value("ROUND_CEILING") * unit for mark in marks}
        found = below | above | {mark - unit for mark in below} | {mark + unit for mark in above}
        far = (FAR / unit).to_integral_value() * unit
        found |= {min(found) - far, max(found) + far}
    return [
        _plain(number)
        for number in sorted(found, key=lambda each: (abs(each), each < 0))
        if (low is None or number >= low) and (high is None or number <= high)
    ]


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
