"""Tries every operation of a running service with input that its OpenAPI document allows, and with what it does not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

__all__ = ["OTHERS_DRAW", "Attempt", "explore", "faults_of", "with_unstorable_texts"]

OTHERS_DRAW = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
"""For tests that explore: services in this process draw pauses meanwhile, which hypothesis takes for our strategies."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
]


def explore(base_url: str, *, headers: Mapping[str, str] | None = None, examples: int | None = None) -> int:
    """Raises for the first answer that is a 5xx or that the document does not allow; blocks, so run it in a thread.

    Args:
        examples: how many of each operation and mode; by default a fifth of what hypothesis' profile says.

    Returns:
        How many operations were tried.
    """
    tried = examples or max(4, settings().max_examples // 5)
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    operations = 0
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()
        operation = result.ok()
        operations += 1
        takes_something = bool(operation.body) or any(True for _ in operation.iter_parameters())
        for mode in GenerationMode if takes_something else [GenerationMode.POSITIVE]:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=tried,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            def check(case: Case[Any]) -> None:
                case.call_and_validate(headers=dict(headers or {}), checks=CHECKS, timeout=30)

            check()
    return operations


BINARY = ("application/octet-stream",)
PROBLEM = "application/problem+json"
IN_PATH = re.compile(r"{([^}]+)}")


def faults_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Why generators of clients would not make whole ones of a document, or would let callers send too much."""
    operations = [
        (f"{method.upper()} {path}", path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    in_paths = {name for _, path, _ in operations for name in IN_PATH.findall(path)}
    ids = [operation["operationId"] for _, _, operation in operations]
    for name, path, operation in operations:
        if ids.count(operation["operationId"]) > 1:
            yield f"{name}: its operationId is not its own"
        if not operation.get("summary") or not operation.get("description") or not operation.get("tags"):
            yield f"{name}: no summary, description or tag"
        parameters = operation.get("parameters", [])
        own = [each["name"] for each in parameters if each["in"] == "path"]
        if sorted(own) != sorted(IN_PATH.findall(path)):
            yield f"{name}: its path has {IN_PATH.findall(path)}, its parameters are {own}"
        for each in parameters:
            about = f"{name}: the {each['in']} parameter {each['name']}"
            if each["in"] == "path" and not (each.get("required") and each["schema"].get("type")):
                yield f"{about} may be missing or null"
            if any(variant.get("type") == "null" for variant in each["schema"].get("anyOf", ())):
                yield f"{about} may be null, which nothing but JSON can say"
            if each["in"] == "query" and each["name"] in in_paths:
                yield f"{about} is one of a path elsewhere"
            yield from _unbounded(document, each["schema"], about)
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield from _unbounded(document, content.get("schema", {}), f"{name}: the body {kind}")
            if kind in BINARY and content.get("schema", {}).get("format") != "binary":
                yield f"{name}: the body {kind} is not said to be binary"
        for status, answer in operation["responses"].items():
            kinds = answer.get("content", {})
            if int(status) >= 400 and list(kinds) != [PROBLEM]:
                yield f"{name}: {status} is no problem document"
            if 200 <= int(status) < 300 and status != "204" and not kinds:
                yield f"{name}: {status} has no content"
            for kind, content in kinds.items():
                if kind in BINARY and content.get("schema", {}).get("format") != "binary":
                    yield f"{name}: {status} {kind} is not said to be binary"
    for name in document.get("components", {}).get("schemas", {}):
        # FastAPI tells two of the same name apart by their modules; generators call both the same.
        if "__" in name:
            yield f"there are two schemas {name.rpartition('__')[2]}"
    for reference in _references(document):
        if reference not in document["components"]["schemas"]:
            yield f"there is no schema {reference}"


def _unbounded(document: Mapping[str, Any], schema: Mapping[str, Any], about: str) -> Iterator[str]:
    """The parts of an input that may be of any size, as far as the document says."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type")
    if not {"minimum", "maximum", "enum", "const"} & schema.keys() and kind == "integer":
        yield f"{about}: a number of any size"
    limited = {"maxLength", "pattern", "enum", "const", "format"} & schema.keys()
    if kind == "string" and not limited:
        yield f"{about}: a string of any length"
    if kind == "array" and "maxItems" not in schema:
        yield f"{about}: any number of items"
    for name, each in schema.get("properties", {}).items():
        yield from _unbounded(document, each, f"{about}.{name}")
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *([schema["items"]] if "items" in schema else [])):
        yield from _unbounded(document, each, about)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for each in part.values():
            yield from _references(each)
    elif isinstance(part, list):
        for each in part:
            yield from _references(each)


UNSTORABLE = ("\x00", "a\x00b", "\ud800", "x" * 5000)
"""What some database does not take."""
TEXTS = ("abc", "a1b2c3", "C1001", "shop", "client_credentials", "1.5", "yes")
"""One of them is right for every text whose schema has a pattern."""


@dataclass(frozen=True)
class Attempt:
    """One request: `path` with its parameters and the query, and the body, if there is one."""

    method: str
    path: str
    body: Any
    about: str


def with_unstorable_texts(document: Mapping[str, Any]) -> Iterator[Attempt]:
    """Every operation of an OpenAPI document with each of its texts in turn one that no database takes."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            good = None if body is None else _example(document, body)
            given = {
                (each["in"], each["name"]): _example(document, each["schema"])
                for each in operation.get("parameters", ())
                if each["in"] in ("path", "query")
            }
            for value in UNSTORABLE:
                for place in given:
                    if value.isprintable() or "\x00" in value:
                        attempt = _attempt(method, path, {**given, place: value}, good)
                        yield replace(attempt, about=f"{place[0]} {place[1]}")
                for name, changed in _changed(good, value):
                    yield replace(_attempt(method, path, given, changed), about=f"body {name}")


def _attempt(method: str, path: str, given: Mapping[tuple[str, str], Any], body: Any) -> Attempt:
    for (place, name), value in given.items():
        if place == "path":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    query = urlencode({name: value for (place, name), value in given.items() if place == "query"})
    return Attempt(method.upper(), f"{path}?{query}", body, "")


def _changed(value: Any, text: str) -> Iterator[tuple[str, Any]]:
    """The value with each of its texts, and each name of a free member, in turn replaced by the text."""
    if isinstance(value, str):
        yield "", text
    elif isinstance(value, list):
        for place, each in enumerate(value):
            for name, changed in _changed(each, text):
                yield f"{place}.{name}", [*value[:place], changed, *value[place + 1 :]]
    elif isinstance(value, dict):
        yield "a name", {**value, text: text}
        for key, each in value.items():
            for name, changed in _changed(each, text):
                yield f"{key}.{name}", {**value, key: changed}


def _example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Something that the schema allows."""
    if "$ref" in schema:
        return _example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _example(document, schema[several][0])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        members = {name: _example(document, each) for name, each in schema.get("properties", {}).items()}
        return members or {"order_number": "20261103001", "title": "abc"}
    if kind == "array":
        return [_example(document, schema.get("items", {}))]
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    pattern = schema.get("pattern", "")
    return next((each for each in TEXTS if re.search(pattern, each)), TEXTS[0])
