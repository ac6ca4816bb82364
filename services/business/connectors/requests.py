"""From a declared request and the names in scope to the call that is made."""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from pydantic import JsonValue

from services.business.connectors.outcomes import SystemRefused
from shared.assistants.connectors import PARAMETER, Request, Template
from shared.assistants.expressions import Expression, Scope, resolve
from shared.assistants.plugins import Call

__all__ = ["call_of"]

LONGEST = 8000
"""Characters of a header's or a parameter's value."""
LITERAL = "/%{}:@!$&'()*+,;=~"
"""What stays as it is written in a path."""
SEPARATORS = re.compile(r"[/\\]")


def call_of(
    request: Request,
    scope: Scope,
    *,
    seconds: float,
    query: Mapping[str, JsonValue] | None = None,
    headers: Mapping[str, str] | None = None,
    once: bool = False,
) -> Call:
    """The call that a request comes to.

    Args:
        query: parameters besides the request's own.
        headers: headers besides the request's own.

    Raises:
        SystemRefused: a value cannot stand where it should; no system is asked.
    """
    values = {name: expression.value(scope) for name, expression in request.query.items()} | dict(query or {})
    return Call(
        method=request.method,
        path=_path(request.path, scope),
        query=tuple(_pairs(values)),
        headers={**dict(_headers(request.headers, scope)), **(headers or {})},
        body=None if request.body is None else _filled(request.body, scope),
        seconds=seconds,
        once=once,
    )


def _path(path: str, scope: Scope) -> str:
    """The path with its values, each of them one piece of a segment whatever it is."""

    def value(match: re.Match[str]) -> str:
        text = _text(resolve(scope, match[1]))
        if not text:
            raise SystemRefused(f"the path {path} needs '{match[1]}', which is empty")
        if any(part in (".", "..") for part in SEPARATORS.split(text)):
            raise SystemRefused(f"the path {path} cannot take this value of '{match[1]}'")
        return quote(text, safe="")

    filled = PARAMETER.sub(value, quote(path, safe=LITERAL))
    if any(part in (".", "..") for part in filled.split("/")):
        raise SystemRefused(f"the path {path} would lead elsewhere")
    return filled


def _pairs(values: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                yield name, _text(each)


def _headers(headers: Mapping[str, Expression], scope: Scope) -> Iterator[tuple[str, str]]:
    for name, expression in headers.items():
        value = expression.value(scope)
        if value is None:
            continue
        text = _text(value)
        if not (text.isascii() and text.isprintable()):
            raise SystemRefused(f"the header {name} cannot carry this value")
        yield name, text


def _text(value: JsonValue) -> str:
    """A value as it stands in a path, a query or a header."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise SystemRefused("an object or a list cannot stand in a path, a query or a header")
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > LONGEST or "\x00" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise SystemRefused("a value cannot stand in a path, a query or a header")
    return text


def _filled(template: Template, scope: Scope) -> JsonValue:
    """The body; what is `null` is left out."""
    if isinstance(template, Expression):
        return template.value(scope)
    if isinstance(template, dict):
        filled = {name: _filled(each, scope) for name, each in template.items()}
        return {name: value for name, value in filled.items() if value is not None}
    return [value for value in (_filled(each, scope) for each in template) if value is not None]
