"""What can be told of a condition from its text alone: the names and literals in it, and whether it stays small."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import zen

__all__ = ["Reading", "first_line", "read_condition", "read_full"]

MAX_LENGTH = 1000
MAX_BRACKETS = 30
MAX_LOOPS = 2
TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'[^']*'|"[^"]*"|`[^`]*`)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)
    | (?P<mark>==|!=|<=|>=|\?\?|\.\.|\S)
    )""",
    re.VERBOSE,
)
INSIDE_TEMPLATE = re.compile(r"\$\{([^}]*)\}")
WORDS = frozenset(("and", "or", "not", "in"))
CONSTANTS = {"true": True, "false": False, "null": None}
LOOPS = frozenset(("map", "filter", "some", "all", "none", "one", "count", "flatMap"))
JOINING = frozenset(("+", "[", "{"))
LOOP = 64
SMALL = frozenset(
    ("abs", "all", "avg", "bool", "contains", "count", "len", "max", "min", "none", "number", "one", "some", "sum")
)
"""Functions whose results are a number, or true or false."""
OPENING, CLOSING = ("[", "(", "{"), ("]", ")", "}")
PLAIN_MARKS = frozenset(("==", "!=", "<", "<=", ">", ">=", "..", "[", "]", "(", ")", ",", "$", "-"))
"""Marks that part the values of a column in two at a literal, and nowhere else."""


class Reading(NamedTuple):
    """A condition or an expression, read: dotted names of facts, literals, and whether it only compares with these.

    `mentions` are the names and `$` as often as they stand there, where the result may be made of them: text that is
    joined, lists, objects; each counts many times where there is a loop. `loops` is how deep loops stand in loops.
    """

    names: frozenset[str]
    texts: frozenset[str]
    numbers: frozenset[Decimal]
    truths: frozenset[bool]
    plain: bool
    mentions: tuple[str, ...]
    loops: int


@lru_cache(maxsize=4096)
def read_condition(source: str) -> Reading:
    """A cell of a column with a field, which is `$` in it; raises `ValueError` that says what is wrong."""
    reading = _read(source, unary=True)
    try:
        zen.compile_unary_expression(source)
    except Exception as error:  # the engine raises nothing more exact
        raise ValueError(f"{source!r} cannot be read: {first_line(error)}") from None
    return reading


@lru_cache(maxsize=4096)
def read_full(source: str) -> Reading:
    """A whole expression; raises `ValueError` that says what is wrong."""
    reading = _read(source, unary=False)
    if (problem := zen.validate_expression(source)) is not None:
        raise ValueError(f"{source!r} cannot be read: {problem['source']}")
    return reading


def first_line(error: object) -> str:
    """What the rules engine says, without the frames that it adds."""
    line = str(error).strip().split("\n\nStack backtrace", 1)[0].replace("\n", " ")
    try:
        return str(json.loads(line)["source"])
    except (ValueError, KeyError, TypeError):
        return line


class _Token(NamedTuple):
    kind: str
    text: str


def _read(source: str, *, unary: bool) -> Reading:
    if len(source) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters")
    tokens = [_Token(str(found.lastgroup), found[str(found.lastgroup)]) for found in TOKEN.finditer(source)]
    loops = _stays_small(source, tokens, unary=unary)
    found = list(_names(tokens))
    names, texts, numbers, truths = set(found), set(), set(), set()
    plain = all(_is_plain(token) for token in tokens) and all(
        _is_sign(tokens, place) for place, token in enumerate(tokens) if token.text == "-"
    )
    for place, (kind, text) in enumerate(tokens):
        if kind == "text" and text[0] == "`":
            for inner in INSIDE_TEMPLATE.findall(text):
                inside = list(_read(inner, unary=False).names)
                names |= {*inside}
                found += inside
        elif kind == "text":
            texts.add(text[1:-1])
        elif kind == "number":
            numbers.add(Decimal(text))
            if place and tokens[place - 1].text == "-":
                numbers.add(-Decimal(text))
        elif kind == "name" and isinstance(truth := CONSTANTS.get(text), bool):
            truths.add(truth)
    found += [token.text for token in tokens if token.text == "$"]
    times = LOOP if any(token.text in LOOPS for token in tokens) else 1
    joins = times > 1 or any(token.text in JOINING or token.text[0] == "`" for token in tokens)
    mentions = tuple(found) * times if joins and not _is_call(tokens, SMALL) else ()
    literals = (frozenset(texts), frozenset(numbers), frozenset(truths))
    return Reading(frozenset(names), *literals, plain, mentions, loops)


def _is_call(tokens: list[_Token], functions: frozenset[str]) -> bool:
    """Whether an expression is nothing but the call of one of these functions."""
    if len(tokens) < 3 or tokens[0].text not in functions or tokens[1].text != "(":
        return False
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0 and place:
            return place == len(tokens) - 1
    return False


def _is_plain(token: _Token) -> bool:
    if token.kind == "name":
        return token.text in WORDS or token.text in CONSTANTS
    return token.kind == "number" or token.text in PLAIN_MARKS or (token.kind == "text" and token.text[0] != "`")


def _is_sign(tokens: list[_Token], place: int) -> bool:
    """Whether a minus belongs to the number behind it, and subtracts nothing."""
    if place + 1 == len(tokens) or tokens[place + 1].kind != "number":
        return False
    before = tokens[place - 1] if place else _Token("mark", "")
    return (before.kind == "mark" and before.text not in (")", "]", "$")) or before.text in WORDS


def _names(tokens: list[_Token]) -> Iterator[str]:
    """Dotted names of facts: no functions, no keys of objects, nothing below `$` and `#`."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        before = tokens[place - 1].text if place else ""
        if token.kind != "name" or token.text in WORDS or token.text in CONSTANTS or before in (".", "#", "$"):
            place += 1
            continue
        path, place = [token.text], place + 1
        while place + 1 < len(tokens) and tokens[place].text == "." and tokens[place + 1].kind == "name":
            path.append(tokens[place + 1].text)
            place += 2
        after = tokens[place].text if place < len(tokens) else ""
        if after == "(":
            path.pop()  # a function, or a method of what stands before it
        if path and not (after == ":" and before in ("{", ",")):
            yield ".".join(path)


def _stays_small(source: str, tokens: list[_Token], *, unary: bool) -> int:
    """Refuses what would take long, for the engine cannot be stopped; how deep loops stand in loops, `flatMap` twice.

    A range is to compare with, and no list to walk through.
    """
    opened: list[int] = []
    loops: list[int] = []
    deepest = 0
    for place, token in enumerate(tokens):
        if token.text in OPENING:
            opened.append(place)
            before = tokens[place - 1].text if token.text == "(" and place else ""
            loops.append((before in LOOPS) + (before == "flatMap"))
            deepest = max(deepest, sum(loops))
            if len(opened) > MAX_BRACKETS or sum(loops) > MAX_LOOPS:
                raise ValueError(f"{source!r} has too many brackets, or loops, within one another")
        elif token.text in CLOSING and opened:
            opened.pop()
            loops.pop()
        elif token.text == "..":
            before = tokens[opened[-1] - 1].text if opened and opened[-1] else ""
            if not opened or (before != "in" and not (unary and before in ("", ",", "and", "or"))):
                raise ValueError(f"{source!r}: a range such as [1..5] can only stand after `in`")
    return deepest
