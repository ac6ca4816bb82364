"""One decision in the JDM format, read and checked as a whole before it answers anything."""

import itertools
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

import zen
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.business.rules.facts import NUMBER_FACTS, TEXT_FACTS, OrderFacts
from services.business.rules.rule_set import RulesError

__all__ = ["DecisionTable", "RulesError"]

KEY = "decision"
MAX_ROWS = 200
NUMBER = re.compile(r"\d+(?:\.\d+)?")
STEP = {"days": Decimal(1), "amount": Decimal("0.01")}
LARGE = Decimal(1_000_000)
MAX_NUMBERS = 12
"""Thresholds a column may have; beside each one, below and above it, the whole table is tried."""

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Column(_Document):
    id: str
    name: str = ""
    field: str = ""


class _Content(_Document):
    inputs: list[_Column] = Field(min_length=1)
    outputs: list[_Column] = Field(min_length=1)
    rules: list[dict[str, str]] = Field(min_length=1, max_length=MAX_ROWS)


class _Node(_Document):
    type: str
    name: str = ""
    content: Any = None


class _Jdm(_Document):
    nodes: list[_Node]


class DecisionTable(Generic[AnswerT]):
    """A checked decision.

    Raises:
        RulesError: something in the file cannot be read, or some order would get no answer.
    """

    def __init__(self, path: Path, source: bytes, answer: type[AnswerT]) -> None:
        self._path = path
        self._model = answer
        try:
            content = json.loads(source.decode("utf-8"))
            document = _Jdm.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise self._wrong(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"it is not JSON ({error})") from error
        try:
            self._engine = zen.ZenEngine({"loader": {"type": "static", "content": {KEY: content}}})
            self._engine.get_decision(KEY).validate()
        except Exception as error:  # the engine raises nothing more exact
            raise self._wrong(_first_line(error)) from error
        self._asked: set[str] = set()
        self._thresholds: dict[str, set[Decimal]] = {fact: set() for fact in NUMBER_FACTS}
        tables = [node for node in document.nodes if node.type == "decisionTableNode"]
        if not tables:
            raise self._wrong("there is no decision table in it")
        for node in tables:
            self._check_table(node)
        self._check_answers()

    def answer(self, facts: OrderFacts) -> AnswerT:
        """What the tables say.

        Raises:
            ValidationError: they say nothing, or something that is no answer to this question.
            RulesError: they cannot be evaluated.
        """
        return self._model.model_validate(self._evaluate(facts.context()))

    def _evaluate(self, order: dict[str, Any]) -> object:
        # Not `evaluate_batch`: a forked process does not have its threads and would wait for them without end.
        try:
            return self._engine.evaluate(KEY, order)["result"]
        except Exception as error:  # nothing more exact here either
            raise self._wrong(_first_line(error)) from error

    def _check_table(self, node: _Node) -> None:
        try:
            content = _Content.model_validate(node.content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise self._wrong(f"table {node.name!r}: {where}: {first['msg']}") from error
        for column in content.inputs:
            if column.field not in TEXT_FACTS and column.field not in NUMBER_FACTS:
                known = ", ".join([*TEXT_FACTS, *NUMBER_FACTS])
                raise self._wrong(f"table {node.name!r}: there is no fact {column.field!r}; there are {known}")
            self._asked.add(column.field)
        for number, row in enumerate(content.rules, start=1):
            for column in content.inputs:
                cell = row.get(column.id, "").strip()
                if cell:
                    self._check_condition(f"{node.name}, row {number}, {column.name or column.field}", column, cell)
            for column in content.outputs:
                cell = row.get(column.id, "").strip()
                self._check_result(f"{node.name}, row {number}, {column.name or column.field}", cell)

    def _check_condition(self, where: str, column: _Column, cell: str) -> None:
        samples: list[Any]
        if column.field in TEXT_FACTS:
            samples = list(TEXT_FACTS[column.field])
        else:
            numbers = {Decimal(found) for found in NUMBER.findall(cell)}
            self._thresholds[column.field] |= numbers
            if len(self._thresholds[column.field]) > MAX_NUMBERS:
                raise self._wrong(f"{where}: a column may have {MAX_NUMBERS} different numbers at most")
            samples = [float(sample) for sample in _around(numbers, STEP[column.field])]
        try:
            matches = [zen.evaluate_unary_expression(cell, {"$": sample}) for sample in samples]
        except RuntimeError as error:
            raise self._wrong(f"{where}: {cell!r} cannot be read: {_first_line(error)}") from error
        if not any(matches):
            hint = " (words need quotes: 'paid')" if column.field in TEXT_FACTS else ""
            raise self._wrong(f"{where}: {cell!r} never matches{hint}")

    def _check_result(self, where: str, cell: str) -> None:
        try:
            value = zen.evaluate_expression(cell, {}) if cell else None
        except RuntimeError as error:
            raise self._wrong(f"{where}: {cell!r} cannot be read: {_first_line(error)}") from error
        if value is None:
            raise self._wrong(f"{where}: {cell!r} is no value (words need quotes: 'automatic')")

    def _check_answers(self) -> None:
        for order in self._orders():
            facts = ", ".join(f"{fact}={value}" for fact, value in order.items())
            try:
                self._model.model_validate(self._evaluate(order))
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(map(str, first["loc"]))
                raise self._wrong(f"an order with {facts} gets no usable answer: {field}: {first['msg']}") from error

    def _orders(self) -> Iterator[dict[str, Any]]:
        """Every order that the tables can tell apart."""
        choices: dict[str, list[Any]] = {fact: list(values) for fact, values in TEXT_FACTS.items()}
        for fact in NUMBER_FACTS:
            choices[fact] = [float(number) for number in _around(self._thresholds[fact], STEP[fact])]
        for fact in choices.keys() - self._asked:
            del choices[fact][1:]
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))

    def _wrong(self, reason: str) -> RulesError:
        return RulesError(f"the rules in {self._path} cannot be used: {reason}")


def _around(numbers: set[Decimal], step: Decimal) -> list[Decimal]:
    """Nothing, very much, and each number with its neighbours."""
    beside = {number + offset for number in numbers for offset in (-step, Decimal(0), step)}
    return sorted({Decimal(0), LARGE} | {number for number in beside if number >= 0})


def _first_line(error: object) -> str:
    """What the rules engine says, without the frames that it adds."""
    return str(error).strip().split("\n\nStack backtrace", 1)[0].replace("\n", " ")
