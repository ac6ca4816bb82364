"""The small language in which flows say `if`: names, texts, numbers, comparisons, `and`, `or`, `not`, `in`."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import JsonValue, PlainValidator

__all__ = ["Condition", "ConditionField", "Scope", "read_condition", "resolve"]

MAX_LENGTH = 300
ASSIGNMENT = re.compile(r"(?<![=!<>])=(?!=)")
OTHER_MARKS = re.compile("[“”‘’＝（）［］，]")
CONSTANTS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}

Scope = Mapping[str, JsonValue]
Evaluate = Callable[[Scope], JsonValue]


def resolve(scope: Scope, path: str) -> JsonValue:
    """What a dotted name stands for; `None` when any part of it is not there."""
    value: JsonValue = dict(scope)
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


@dataclass(frozen=True)
class Condition:
    """An expression, read once; `names` are the dotted names that it uses."""

    source: str
    names: frozenset[str]
    evaluate: Evaluate

    def value(self, scope: Scope) -> JsonValue:
        """What it comes to; a name that is not known is `null`, a comparison that makes no sense is false."""
        return self.evaluate(scope)

    def holds(self, scope: Scope) -> bool:
        """Whether it is true; empty text, zero, an empty list and `null` are not."""
        return bool(self.evaluate(scope))


def read_condition(source: object) -> Condition:
    """Read an expression; raises `ValueError` that says what is wrong with it."""
    if not isinstance(source, str | int | float):
        raise ValueError("a condition is one line, such as: order.status == 'shipped'")
    text = str(source).lower() if isinstance(source, bool) else str(source).strip()
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a condition has at most {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"cannot read the condition: {text}{slip(text)}") from None
    names: set[str] = set()
    evaluate = compile_node(tree.body, names)
    return Condition(text, frozenset(names), evaluate)


def slip(text: str) -> str:
    """What may be meant where a condition cannot be read."""
    if OTHER_MARKS.search(text):
        return "; marks are those of a plain keyboard: == and 'text'"
    if "&&" in text or "||" in text or text.startswith("!"):
        return "; write `and`, `or`, `not`"
    if ASSIGNMENT.search(text):
        return "; to compare, write ==, and a text in quotes: order.status == 'shipped'"
    return ""


ConditionField = Annotated[Condition, PlainValidator(read_condition)]


def compile_node(node: ast.expr, names: set[str]) -> Evaluate:
    """A function for one node of the expression; only what the language has is let in."""
    match node:
        case ast.Constant(value=str() | int() | float() as constant):
            return lambda scope: constant
        case ast.Name(id=name) if name in CONSTANTS:
            return lambda scope: CONSTANTS[name]
        case ast.Name() | ast.Attribute():
            path = dotted_name(node)
            names.add(path)
            return lambda scope: resolve(scope, path)
        case ast.List(elts=elements):
            items = [compile_node(element, names) for element in elements]
            return lambda scope: [item(scope) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = compile_node(operand, names)
            return lambda scope: not inner(scope)
        case ast.BoolOp(op=operator, values=values):
            parts = [compile_node(value, names) for value in values]
            decide = all if isinstance(operator, ast.And) else any
            return lambda scope: decide(bool(part(scope)) for part in parts)
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARISONS:
            compare = COMPARISONS[type(operator)]
            first, second = compile_node(left, names), compile_node(right, names)
            return lambda scope: compare(first(scope), second(scope))
    raise ValueError(f"a condition cannot contain: {ast.unparse(node)}")


def dotted_name(node: ast.expr) -> str:
    """`order.status` of the nodes that spell it."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{dotted_name(inner)}.{name}"
    raise ValueError(f"a name is made of words and dots, not: {ast.unparse(node)}")


def contains(item: JsonValue, collection: JsonValue) -> bool:
    """`item in collection` for lists and for text in text."""
    if isinstance(collection, list):
        return item in collection
    return isinstance(collection, str) and isinstance(item, str) and item in collection


def ordered(compare: Callable[[float, float], bool]) -> Callable[[JsonValue, JsonValue], bool]:
    """A comparison of numbers that is false for anything else."""

    def safely(left: JsonValue, right: JsonValue) -> bool:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        return numbers and compare(float(left), float(right))  # type: ignore[arg-type]

    return safely


COMPARISONS: dict[type[ast.cmpop], Callable[[JsonValue, JsonValue], bool]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.In: contains,
    ast.NotIn: lambda left, right: not contains(left, right),
    ast.Lt: ordered(lambda left, right: left < right),
    ast.LtE: ordered(lambda left, right: left <= right),
    ast.Gt: ordered(lambda left, right: left > right),
    ast.GtE: ordered(lambda left, right: left >= right),
}
