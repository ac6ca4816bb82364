"""The one language of conditions and mappings: that of the decision tables (zen), for flows and connectors too.

It differs from the engine in two points that a conversation needs. What stands where only true or false can stand
(`not x`, `x and …`) may be any value: empty text, zero, an empty list and `null` count as false. And what makes no
sense, such as a comparison of a text with a number, is `null` and no error: a customer's turn goes on, the other way.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, NamedTuple

import zen
from pydantic import JsonValue, PlainValidator

__all__ = ["Expression", "ExpressionField", "Scope", "read_expression", "resolve"]

MAX_LENGTH = 1000
MAX_DEPTH = 30
EXACT = 2**53
"""Above this a floating-point number no longer tells whole numbers apart."""
OTHER_MARKS = re.compile("[“”‘’＝（）［］，]")
KEYWORDS = frozenset(("and", "or", "not", "in", "true", "false", "null"))
OPENING, CLOSING = "([{", ")]}"
TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'[^']*'|"[^"]*")
    | (?P<template>`[^`]*`)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>==|!=|<=|>=|\?\?|\.\.|\S)
    )""",
    re.VERBOSE,
)
INSIDE_TEMPLATE = re.compile(r"\$\{([^}]*)\}")
PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
TRUTH = "__truth"
"""Under this name the engine finds the truth values of names."""

Scope = Mapping[str, JsonValue]


def resolve(scope: Scope, path: str) -> JsonValue:
    """What a dotted name stands for; `None` when any part of it is not there."""
    first, *rest = path.split(".")
    value = scope.get(first)
    for part in rest:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


class Token(NamedTuple):
    """A piece of an expression and where it stands."""

    kind: str
    text: str
    start: int
    end: int


class Chain(NamedTuple):
    """A dotted name: the tokens from `first` up to and without `end`; `truth` where only true or false can stand."""

    path: str
    first: int
    end: int
    truth: bool


@dataclass(frozen=True)
class Expression:
    """An expression, read once; `names` are the dotted names that it uses, below a list those of each item."""

    source: str
    names: frozenset[str]

    def value(self, scope: Scope) -> JsonValue:
        """What it comes to; a name that is not known is `null`, and so is what makes no sense."""
        if PATH.fullmatch(self.source) and self.source not in KEYWORDS:
            return resolve(scope, self.source)
        compiled = _compiled(self.source)
        context: dict[str, JsonValue] = {name: scope.get(name) for name in compiled.roots}
        if compiled.truths:
            context[TRUTH] = {key: bool(resolve(scope, path)) for key, path in compiled.truths.items()}
        try:
            return _plain(compiled.code.evaluate(context))
        except RuntimeError:
            return None

    def holds(self, scope: Scope) -> bool:
        """Whether it is true; empty text, zero, an empty list and `null` are not."""
        return bool(self.value(scope))


class _Compiled(NamedTuple):
    code: "zen.Expression"
    roots: frozenset[str]
    truths: Mapping[str, str]


def read_expression(source: object) -> Expression:
    """Read an expression; raises `ValueError` that says what is wrong with it."""
    if not isinstance(source, str | int | float):
        raise ValueError("an expression is one line, such as: order.status == 'shipped'")
    text = str(source).lower() if isinstance(source, bool) else str(source).strip()
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters")
    tokens = _tokens(text)
    names = {chain.path for chain in _chains(tokens)}
    for token in tokens:
        if token.kind == "template":
            names |= {name for inner in INSIDE_TEMPLATE.findall(token.text) for name in read_expression(inner).names}
    _compiled(text)
    return Expression(text, frozenset(names))


ExpressionField = Annotated[Expression, PlainValidator(read_expression)]


@lru_cache(maxsize=4096)
def _compiled(source: str) -> _Compiled:
    tokens = _tokens(source)
    chains = list(_chains(tokens))
    truths: dict[str, str] = {}
    written, behind = "", 0
    for chain in chains:
        if not chain.truth:
            continue
        key = f"t{len(truths)}"
        truths[key] = chain.path
        written += f"{source[behind : tokens[chain.first].start]}{TRUTH}.{key}"
        behind = tokens[chain.end - 1].end
    written += source[behind:]
    if (problem := zen.validate_expression(written)) is not None:
        raise ValueError(f"cannot read the expression: {source} ({problem['source']}){_slip(source)}")
    roots = {chain.path.split(".")[0] for chain in chains if not chain.truth}
    for token in tokens:
        if token.kind == "template":
            inner = [read_expression(each) for each in INSIDE_TEMPLATE.findall(token.text)]
            roots |= {name.split(".")[0] for each in inner for name in each.names}
    return _Compiled(zen.compile_expression(written), frozenset(roots), truths)


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    place, depth = 0, 0
    while match := TOKEN.match(text, place):
        kind = str(match.lastgroup)
        token = Token(kind, match[kind], match.start(kind), match.end(kind))
        if kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth > MAX_DEPTH:
                raise ValueError("an expression has too many brackets within brackets")
            if token.text in "=;$" or token.text in "'\"`":
                raise ValueError(f"cannot read the expression: {text}{_slip(text)}")
        if kind == "name" and token.text == TRUTH:
            raise ValueError(f"an expression cannot use the name {TRUTH}")
        tokens.append(token)
        place = match.end()
    if not tokens:
        raise ValueError("an expression is missing here")
    return tokens


def _chains(tokens: list[Token]) -> Iterator[Chain]:
    """Every dotted name that stands for a value of the scope: no functions, keys of objects, nor items (`#`)."""
    place = 0
    while place < len(tokens):
        token, before = tokens[place], _text(tokens, place - 1)
        if token.kind != "name" or token.text in KEYWORDS or before in (".", "#"):
            place += 1
            continue
        path, end = _walk(tokens, place)
        after = _text(tokens, end)
        called = after == "("
        key = after == ":" and before in ("{", ",") and _within_object(tokens, place)
        if called and "." in path:  # a method of a value
            path, called = path.rpartition(".")[0], False
            after = "."
        if not called and not key:
            # Alone a name is a value, and in brackets it may be a function's argument.
            truth = before == "not" or (
                before in ("", "and", "or", "(")
                and after in ("", "and", "or", ")", "?")
                and bool({before, after} & {"and", "or"} or after == "?")
            )
            if before == "not" and after not in ("", "and", "or", ")", "]", "}", ",", "?", ":"):
                raise ValueError(f"what `not` stands for needs brackets: not ({path} {after} …)")
            yield Chain(path, place, end, truth=truth)
        place = end


def _walk(tokens: list[Token], place: int) -> tuple[str, int]:
    """A dotted name from its first token on; `[…]` takes an item of a list, whose fields stand below the list."""
    path, place = tokens[place].text, place + 1
    while True:
        if _text(tokens, place) == "." and _kind(tokens, place + 1) == "name":
            path, place = f"{path}.{tokens[place + 1].text}", place + 2
        elif _text(tokens, place) == "[" and _kind(tokens, place + 1) == "number" and _text(tokens, place + 2) == "]":
            place += 3
        else:
            return path, place


def _text(tokens: list[Token], place: int) -> str:
    return tokens[place].text if 0 <= place < len(tokens) else ""


def _kind(tokens: list[Token], place: int) -> str:
    return tokens[place].kind if 0 <= place < len(tokens) else ""


def _within_object(tokens: list[Token], place: int) -> bool:
    depth = 0
    for token in reversed(tokens[:place]):
        if token.kind == "mark" and token.text in CLOSING:
            depth += 1
        elif token.kind == "mark" and token.text in OPENING:
            if depth == 0:
                return token.text == "{"
            depth -= 1
    return False


def _slip(text: str) -> str:
    """What may be meant where an expression cannot be read."""
    if OTHER_MARKS.search(text):
        return "; marks are those of a plain keyboard: == and 'text'"
    if "&&" in text or "||" in text or text.startswith("!"):
        return "; write `and`, `or`, `not`"
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "; to compare, write ==, and a text in quotes: order.status == 'shipped'"
    return ""


def _plain(value: JsonValue) -> JsonValue:
    """Whole numbers as such; the engine knows one kind of number."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < EXACT else value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
