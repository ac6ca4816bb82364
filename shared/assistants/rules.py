"""What may stand in `rules/<name>.yml`: which facts the rule `rules/<name>.json` is given, what it gives, examples."""

import math
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from shared.assistants.connectors import only_a_type
from shared.assistants.yaml_source import Part

__all__ = ["Example", "RuleDescription", "Value"]

FactName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_]{0,63}){0,3}$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Number = Annotated[float, Field(strict=False, allow_inf_nan=False, ge=-1e12, le=1e12)]
KINDS: dict[str, type] = {"text": str, "boolean": bool, "list": list, "object": dict}
Scalar = str | bool | int | float


class Value(Part):
    """A fact, or a field of a result: of a type, or one of some values."""

    type: Literal["text", "integer", "number", "boolean", "list", "object"] | None = None
    one_of: Annotated[list[Scalar], Field(min_length=1, max_length=200)] | None = None
    least: Number | None = None
    most: Number | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    """What its numbers are multiples of, such as 0.01 for money."""
    optional: bool = False
    """Whether it may be missing."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.type is None and self.one_of is None:
            raise ValueError("say its type, or the values that it can have: {one_of: [paid, shipped]}")
        limits = (self.least, self.most, self.step)
        if any(limit is not None for limit in limits) and (self.one_of or self.type not in ("integer", "number")):
            raise ValueError("`least`, `most` and `step` belong to an integer or a number")
        if self.type == "integer" and self.step is not None and not self.step.is_integer():
            raise ValueError("integers go up in whole steps")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("`least` is more than `most`")
        for value in self.one_of or ():
            if self.type is not None and not of_type(value, self.type):
                raise ValueError(f"{value!r} in `one_of` is no {self.type}")
        return self

    def problem(self, value: JsonValue) -> str | None:
        """What is wrong with a value; `None` when it fits."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None if self.optional else "is missing"
        if self.one_of is not None:
            if not any(same(value, each) for each in self.one_of):
                return f"is {value!r} and none of {', '.join(map(str, self.one_of))}"
        elif not of_type(value, str(self.type)):
            return f"is {value!r} and no {self.type}"
        if isinstance(value, int | float):
            if self.least is not None and value < self.least:
                return f"is {value}, less than {self.least:g}"
            if self.most is not None and value > self.most:
                return f"is {value}, more than {self.most:g}"
        return None


class Example(Part):
    """Facts, and what the rule must give for them; fields that are not named may be anything."""

    note: str = ""
    facts: dict[FactName, JsonValue]
    gives: Annotated[dict[FieldName, JsonValue], Field(min_length=1)]


ValueField = Annotated[Value, BeforeValidator(only_a_type)]


class RuleDescription(Part):
    """One rule: its facts, its result, and examples that must hold."""

    title: Annotated[dict[str, str], Field(min_length=1)] | None = None
    facts: Annotated[dict[FactName, ValueField], Field(max_length=50)]
    gives: Annotated[dict[FieldName, ValueField], Field(min_length=1, max_length=50)]
    order_matters: bool = False
    """Rows overlap on purpose, and the first that matches counts: nobody needs to be told."""
    examples: Annotated[list[Example], Field(max_length=500)] = Field(default_factory=list)


def of_type(value: JsonValue, kind: str) -> bool:
    """Whether a value is of a type; a whole number is one however it is written."""
    if kind in KINDS:
        return isinstance(value, KINDS[kind])
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return math.isfinite(value) and (kind == "number" or value == int(value))


def same(value: JsonValue, other: JsonValue) -> bool:
    """Equality in which true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other
