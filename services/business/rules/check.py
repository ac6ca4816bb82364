"""What is wrong with rules: cells, facts, results, gaps, rows that nothing reaches, and examples that do not hold.

A table that is asked facts one by one is checked wholly, region by region. Where conditions compute, compare facts with
one another, or stand behind other nodes, the decision is tried with cases from all regions that can be told apart by
the literals in it, and a note says so.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import zen
from pydantic import JsonValue

from services.business.rules.expression_text import first_line, read_full
from services.business.rules.graph import MAX_BYTES, Graph, Row, Table
from services.business.rules.regions import Regions, TooLarge, points, regions_of
from services.business.rules.rule_set import Rule, RuleSet, Undecided, nested, read_rule_set
from shared.assistants.rules import Value, same
from shared.assistants.yaml_source import Mistakes, did_you_mean

__all__ = ["check_rules", "check_set", "read_sources"]

MAX_TRIES = 5_000
MAX_NOTES = 20

Cases = Mapping[str, JsonValue]


def check_rules(folder: Path, mistakes: Mistakes, notes: list[str]) -> RuleSet:
    """Reads and checks a folder of rules; what is wrong goes to `mistakes`, what may be meant to `notes`.

    Where there is no such folder there are no rules.
    """
    rules = read_rule_set(read_sources(folder, mistakes), str(folder), mistakes)
    check_set(rules, mistakes, notes)
    return rules


def read_sources(folder: Path, mistakes: Mistakes) -> dict[str, bytes]:
    """The rules and descriptions in a folder, by their files' names."""
    sources: dict[str, bytes] = {}
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.yml")]):
        try:
            with path.open("rb") as file:
                sources[path.name] = file.read(MAX_BYTES + 1)
        except OSError as error:
            mistakes.add(str(path), f"cannot be read: {error.strerror}")
    return sources


def check_set(rules: RuleSet, mistakes: Mistakes, notes: list[str]) -> None:
    """Checks rules that were read."""
    for name in rules.rules:
        _Check(rules, name, mistakes, notes).all()


class _Check:
    def __init__(self, rules: RuleSet, name: str, mistakes: Mistakes, notes: list[str]) -> None:
        self._rules, self._name, self._mistakes, self._notes = rules, name, mistakes, notes
        self._rule: Rule = rules.rules[name]
        self._graph: Graph = self._rule.graph
        self._description = self._rule.description
        self._called = list(rules.called_by(name))
        self._produced = {each for graph in self._called for each in graph.produced}

    def all(self) -> None:
        found = len(self._mistakes.found)
        self._check_names()
        for table in self._graph.tables.values():
            self._check_results(table)
        if len(self._mistakes.found) > found:
            return  # what follows would say the same again, case by case
        whole = self._graph.single is not None
        for table in self._graph.tables.values():
            whole = self._check_table(table) and whole
        if not whole and len(self._mistakes.found) == found:
            self._try_cases()
        self._check_examples()

    def _check_names(self) -> None:
        """Every fact that is asked is there; a word without quotes is taken for a fact."""
        facts = set(self._description.facts) if self._description else None
        fields = {column.field for graph in self._called for table in graph.tables.values() for column in table.inputs}
        apart = {row.where for table in self._graph.tables.values() if table.apart for row in table.rows}
        elsewhere = {where for where, _ in self._graph.expressions}
        for where, field, reading in self._graph.readings():
            if where in apart:
                continue
            for name in sorted(reading.names | ({field} if field else set())):
                root = name.split(".", 1)[0]
                if root in self._produced:
                    continue
                hint = "" if name == field else f" (words need quotes: '{name}')"
                if facts is None:
                    if name != field and name not in fields and "." not in name and where not in elsewhere:
                        self._mistakes.add(where, f"no column asks the fact {name!r}{hint}")
                elif not {name, root} & facts and not any(fact.startswith(f"{name}.") for fact in facts):
                    near = did_you_mean(name, facts) or f"; there are {', '.join(sorted(facts)) or 'none'}"
                    self._mistakes.add(where, f"there is no fact {name!r}{near}{hint}")

    def _check_results(self, table: Table) -> None:
        gives = self._description.gives if self._description else None
        for column in table.outputs:
            if gives is not None and self._graph.single and column.field.split(".", 1)[0] not in gives:
                near = did_you_mean(column.field, gives)
                where = f"{self._graph.file}, {table.name}, {column.label}"
                self._mistakes.add(where, f"the description gives no {column.field!r}{near}")
        for row in table.rows:
            if not any(row.cell(column) for column in table.outputs):
                self._mistakes.add(row.where, f"{table.name}, row {row.number}: it gives nothing")
            for column in table.outputs:
                cell = row.cell(column)
                if not cell or read_full(cell).names:
                    continue
                if (problem := _constant_problem(cell, gives.get(column.field) if gives else None)) is not None:
                    self._mistakes.add(row.where, f"{table.name}, row {row.number}, {column.label}: {problem}")

    def _check_table(self, table: Table) -> bool:
        """Checks a table's rows; whether it could be looked at wholly."""
        if table.apart:
            return False
        facts = self._description.facts if self._description else {}
        try:
            regions = regions_of(table, {name: value for name, value in facts.items() if name not in self._produced})
        except TooLarge:
            self._note(self._graph.file, f"{table.name} is too large to be checked wholly")
            return False
        if regions is None:
            self._note(self._graph.file, f"{table.name} computes or compares facts with each other: not checked wholly")
            return False
        for row, label, cell in regions.never:
            self._mistakes.add(row.where, f"{table.name}, row {row.number}, {label}: {cell!r} never matches")
        if not regions.never:
            if table.first:
                self._check_order(table, regions)
            if self._graph.single is not None:
                self._check_answers(table, regions)
        return True

    def _check_order(self, table: Table, regions: Regions) -> None:
        """Rows of which the first counts: those behind others, and those that overlap."""
        reached = {_lowest(mask) for mask in regions.cases if mask}
        for place, row in enumerate(table.rows):
            if place not in reached:
                before = regions.within[place] & ((1 << place) - 1)
                who = f"row {_lowest(before) + 1} matches" if before else "the rows before it match"
                reason = f"{table.name}, row {row.number} is never reached: {who} whatever it does"
                self._mistakes.add(row.where, reason)
        if self._description is not None and self._description.order_matters:
            return
        overlaps: dict[int, dict[int, Cases]] = {}
        told = list(regions.within)  # who matches wherever an earlier row does is what that row is an exception from
        for mask, case in regions.cases.items():
            if mask:
                first = _lowest(mask)
                for place in _bits(mask & ~told[first]):
                    if place in reached and _results(table, table.rows[first]) != _results(table, table.rows[place]):
                        overlaps.setdefault(first, {})[place] = case
                told[first] |= mask
        for first, others in sorted(overlaps.items())[:MAX_NOTES]:
            numbers = ", ".join(str(place + 1) for place in sorted(others))
            text = f"{table.name}: row {first + 1} goes before {numbers}, which match {_words(others[min(others)])} too"
            self._note(table.rows[first].where, f"{text} and give something else")

    def _check_answers(self, table: Table, regions: Regions) -> None:
        """Where no row matches, and what rows give that is none of the results described."""
        if (case := regions.cases.get(0)) is not None:
            self._gap(f"{table.name}: no row matches {_words(case)}")
        seen: set[int] = set()
        facts = self._description.facts if self._description else {}
        rest: Cases = {name: value for name, values in facts.items() for value in points(values, [])[:1]}
        for mask, case in regions.cases.items():
            if mask and (first := _lowest(mask)) not in seen:
                seen.add(first)
                try:
                    self._rules.decide(self._name, nested({**rest, **case}))
                except Undecided as error:
                    self._mistakes.add(table.rows[first].where, f"{table.name}, row {first + 1}: {error}")

    def _try_cases(self) -> None:
        """Tries the whole decision, with every combination of what can be told apart, or with some of them."""
        axes = self._axes()
        combinations = math.prod(len(values) for values in axes.values())
        for case in _cases(axes, combinations):
            try:
                self._rules.decide(self._name, nested(case))
            except Undecided as error:
                self._gap(str(error))
                break
        else:
            cases = f"{combinations}" if combinations <= MAX_TRIES else f"{MAX_TRIES} of {combinations}"
            self._note(self._graph.file, f"it was tried with {cases} cases, all of which are answered")

    def _axes(self) -> dict[str, list[JsonValue]]:
        readings = [(field, reading) for graph in self._called for _, field, reading in graph.readings()]
        if self._description is not None:
            values: dict[str, Value | None] = dict(self._description.facts)
        else:
            names = {name for field, reading in readings for name in (*reading.names, *([field] if field else []))}
            values = {name: None for name in sorted(names) if name.split(".", 1)[0] not in self._produced}
        return {
            name: points(value, [each for field, each in readings if field == name or name in each.names])
            for name, value in values.items()
        }

    def _gap(self, reason: str) -> None:
        """Facts without an answer: a mistake where it is said which facts there can be."""
        if self._description is not None:
            self._mistakes.add(self._graph.file, reason)
        else:
            self._note(self._graph.file, reason)

    def _check_examples(self) -> None:
        document, description = self._rule.document, self._description
        if document is None or description is None:
            return
        for place, example in enumerate(description.examples):
            where = document.where("examples", place)
            for fact in example.facts.keys() - description.facts.keys():
                self._mistakes.add(where, f"there is no fact {fact!r}{did_you_mean(fact, description.facts)}")
            try:
                result, rows = self._rules.explain(self._name, nested(example.facts))
            except Undecided as error:
                self._mistakes.add(where, f"the example has no result: {error}")
                continue
            given = {field: result.get(field) for field in example.gives}
            if wrong := {field: value for field, value in given.items() if not same(value, example.gives[field])}:
                by = f", by row {rows[-1].row.number}" if rows else ""
                self._mistakes.add(where, f"the example does not hold: the rule gives {_words(wrong)}{by}")

    def _note(self, where: str, text: str) -> None:
        self._notes.append(f"{where}: {text}")


def _constant_problem(cell: str, value: Value | None) -> str | None:
    try:
        result = zen.evaluate_expression(cell, {})
    except RuntimeError as error:
        return f"{cell!r} cannot be evaluated: {first_line(error)}"
    if result is None and cell != "null":
        return f"{cell!r} is no value (words need quotes: 'automatic')"
    problem = None if value is None else value.problem(result)
    return None if problem is None else f"it {problem}"


def _cases(axes: Mapping[str, list[JsonValue]], combinations: int) -> Iterator[Cases]:
    if combinations <= MAX_TRIES:
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True))
        return
    draw = random.Random(0)
    for _ in range(MAX_TRIES):
        yield {name: draw.choice(values) for name, values in axes.items()}


def _results(table: Table, row: Row) -> list[str]:
    return [row.cell(column) for column in table.outputs]


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield _lowest(mask)
        mask &= mask - 1


def _words(facts: Cases) -> str:
    return ", ".join(f"{name}={value}" for name, value in facts.items()) or "anything"
