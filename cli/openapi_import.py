"""`zhiyin import openapi`: the draft of a connector from what a system says of itself in OpenAPI 3.0 or 3.1.

One module because every part of the file is drafted from the same few parts of the document.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cli.console import err, harmless
from cli.errors import CommandError, UsageError
from cli.openapi_document import Reader, fetched, listed, mapping, read_document
from shared.assistants.connectors import Argument, read_connectors
from shared.assistants.expressions import KEYWORDS
from shared.assistants.yaml_source import Mistakes

__all__ = ["Draft", "draft", "import_openapi"]

OPERATIONS = 200
FIELDS = 40
DEPTH = 3
METHODS = ("get", "post", "put", "patch", "delete")
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
KEY_HEADER = re.compile(r"(x-)?(idempotency-key|request-id)", re.IGNORECASE)
TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
TAKEN = KEYWORDS | frozenset(
    ("customer", "tenant", "conversation", "action", "language", "now", "before", "response", "status", "item", "items")
)
"""Names that mean something else in an expression."""


@dataclass
class Draft:
    """A connector's file, and what a person has to know of it."""

    text: str = ""
    lookups: int = 0
    actions: int = 0
    left_out: list[str] = field(default_factory=list)


@dataclass
class _Operation:
    """What was made of one operation: its part of the file, with what is to be decided."""

    name: str
    body: dict[str, Any]
    comments: list[str]


def draft(document: Mapping[str, Any], system: str) -> Draft:
    """A connector of a system by its OpenAPI document; what could not be drafted is listed."""
    reader = Reader(document)
    made = Draft()
    lookups: list[_Operation] = []
    actions: list[_Operation] = []
    taken: set[str] = set()
    secured = [mapping(each) for each in listed(document.get("security"))]
    for path, method, operation, shared in operations(reader, document):
        title = f"{method.upper()} {path}"
        if len(taken) >= OPERATIONS:
            made.left_out.append(f"{title}: there are more than {OPERATIONS} operations")
            continue
        if why := unfit(reader, path, operation):
            made.left_out.append(f"{title}: {why}")
            continue
        name = named(operation, method, path, taken)
        found = drafted(reader, name, method, path, operation, shared)
        if isinstance(found, str):
            made.left_out.append(f"{title}: {found}")
            continue
        taken.add(name)
        secured += [mapping(each) for each in listed(operation.get("security"))]
        (lookups if method == "get" else actions).append(found)
    made.lookups, made.actions = len(lookups), len(actions)
    made.text = written(reader, document, system, lookups, actions, secured, made)
    return made


def operations(
    reader: Reader, document: Mapping[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Every operation with its path, its method and all its parameters."""
    for path, found in mapping(document.get("paths")).items():
        item = reader.at(found)
        for method in METHODS:
            if isinstance(operation := item.get(method), dict):
                parameters: dict[tuple[Any, Any], dict[str, Any]] = {}
                for each in [*listed(item.get("parameters")), *listed(operation.get("parameters"))]:
                    one = reader.at(each)
                    parameters[one.get("name"), one.get("in")] = one
                yield str(path), method, operation, list(parameters.values())


def unfit(reader: Reader, path: str, operation: Mapping[str, Any]) -> str:
    """Why an operation cannot be called; nothing when it can."""
    if not re.fullmatch(r"/[^\s?#]{0,500}", path):
        return "its path cannot be one of a connector"
    if operation.get("deprecated") is True:
        return "it is deprecated"
    body = reader.at(operation.get("requestBody"))
    if body.get("required") is True and reader.content(body) is None:
        return "its body is not JSON"
    return ""


def named(operation: Mapping[str, Any], method: str, path: str, taken: set[str]) -> str:
    """A name for an operation that no other one has."""
    given = operation.get("operationId")
    words = str(given) if isinstance(given, str) and given else f"{'' if method == 'get' else method + '_'}{path}"
    name = slug(words) or "operation"
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name[:60]}_{number}", number + 1
    return unique


def slug(words: str) -> str:
    """Words as a name: small letters, digits and `_`."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words)
    return re.sub(r"^[^a-z]+|_+$", "", re.sub(r"[^a-z0-9]+", "_", text.lower()))[:60].rstrip("_")


def drafted(
    reader: Reader,
    name: str,
    method: str,
    path: str,
    operation: Mapping[str, Any],
    parameters: list[dict[str, Any]],
) -> _Operation | str:
    """A look-up or an action from one operation, or why it cannot be one."""
    comments = [line for line in [said(operation.get("summary") or operation.get("description"))] if line]
    arguments: dict[str, Any] = {}
    request: dict[str, Any] = {} if method == "get" else {"method": method.upper()}
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    key_header = ""
    for each in parameters:
        written_as, where = str(each.get("name")), each.get("in")
        if where == "header" and KEY_HEADER.fullmatch(written_as):
            key_header = written_as
            continue
        argument = argument_name(written_as, arguments)
        if where == "path":
            path = path.replace(f"{{{written_as}}}", f"{{{argument}}}")
        elif where == "query":
            query[written_as] = argument
        elif where == "header" and re.fullmatch(r"[A-Za-z0-9-]{1,64}", written_as):
            if written_as.lower() in ("accept", "content-type", "authorization"):
                continue
            headers[written_as] = argument
        elif each.get("required") is True:
            return f"it needs the {where} parameter {written_as}"
        else:
            continue
        required = each.get("required") is True or where == "path"
        arguments[argument] = argument_of(reader.schema(each.get("schema")), required=required)
    if any(name not in arguments for name in re.findall(r"\{([^{}]*)\}", path)):
        return "its path has a parameter that it does not describe"
    request["path"] = path
    if query:
        request["query"] = query
    if headers:
        request["headers"] = headers
    body = reader.content(operation.get("requestBody"))
    if body is not None and method != "get":
        filled = body_of(reader, body, arguments, comments)
        if filled:
            request["body"] = filled
    answer = answered(reader, operation)
    part: dict[str, Any] = {}
    if arguments:
        part["arguments"] = arguments
    if likely := [each for each in arguments if re.search(r"customer|member|client|user", each)]:
        comments.append(
            f"decide: is {likely[0]} the customer who is talking? Then write {{customer}}, and no argument."
        )
    if method == "get":
        if not answer:
            return "its answer is no JSON object or list that says its fields"
        part |= {"request": request}
        if any(each in query for each in ("page", "cursor", "offset", "page_token")):
            comments.append("decide: the answer comes in pages; `pages:` says how the rest is read.")
        return _Operation(name, part | {"answer": answer}, comments)
    if key_header:
        part["delivery"] = "idempotent"
        if key_header != "Idempotency-Key":
            part["idempotency_header"] = key_header
        comments.append(f"decide: it takes {key_header}; is the same key really done once? Else: delivery: once")
    else:
        part["delivery"] = "once"
        comments.append("decide: no Idempotency-Key; can it be asked whether it happened? Then: delivery: queryable")
    part["request"] = request
    declared = mapping(operation.get("responses"))
    if codes := [int(code) for code in declared if str(code) in ("400", "403", "404", "409", "412", "422")]:
        part["refused"] = {code: f"'http_{code}'" for code in codes}
        comments.append("decide: which of `refused` a customer should hear of, and the code that says why.")
    if answer:
        part["answer"] = answer
    return _Operation(name, part, comments)


def argument_name(name: str, taken: Mapping[str, Any]) -> str:
    """A parameter's name as an argument's."""
    found = slug(name) or "value"
    if found in TAKEN:
        found = f"{found}_value"
    unique, number = found, 2
    while unique in taken:
        unique, number = f"{found[:60]}_{number}", number + 1
    return unique


def argument_of(schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """An argument with the limits of its schema."""
    found: dict[str, Any] = {}
    kind = TYPES.get(str(schema.get("type")), "text")
    if kind == "text" and schema.get("format") == "date":
        kind = "date"
    if kind != "text":
        found["type"] = kind
    if not required or "default" in schema:
        found["optional"] = True
    choices = [each for each in listed(schema.get("enum")) if isinstance(each, str | int | float)]
    if choices and len(choices) <= 100:
        found["one_of"] = choices
    if kind == "text":
        longest, shortest = whole(schema.get("maxLength")), whole(schema.get("minLength"))
        if longest is not None and longest >= 1:
            found["longest"] = min(longest, 10_000)
        if shortest is not None and shortest > 1:
            found["shortest"] = min(shortest, 10_000)
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and len(pattern) <= 190:
            # A schema's pattern may match anywhere, an argument's matches the whole.
            start, end = ("" if pattern.startswith("^") else ".*"), ("" if pattern.endswith("$") else ".*")
            if fits(whole_pattern := f"{start}{pattern}{end}"):
                found["pattern"] = whole_pattern
    for key, limit in (("least", "minimum"), ("most", "maximum")):
        value = schema.get(limit)
        if kind in ("integer", "number") and isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = value
    return found


def body_of(reader: Reader, schema: Any, arguments: dict[str, Any], comments: list[str], depth: int = 0) -> Any:
    """A body whose values are arguments; what is nested keeps its shape."""
    found = reader.schema(schema)
    if found.get("type") != "object" or depth >= DEPTH:
        comments.append("decide: the body; a part of it is no object with properties.")
        return {}
    body: dict[str, Any] = {}
    required = set(map(str, listed(found.get("required"))))
    for name, each in list(mapping(found.get("properties")).items())[:FIELDS]:
        part = reader.schema(each)
        if part.get("readOnly") is True:
            continue
        if part.get("type") == "object":
            if inner := body_of(reader, part, arguments, comments, depth + 1):
                body[str(name)] = inner
        elif part.get("type") == "array":
            comments.append(f"decide: `{said(name)}` in the body is a list; write its items as expressions.")
        else:
            argument = argument_name(str(name), arguments)
            arguments[argument] = argument_of(part, required=depth == 0 and str(name) in required)
            body[str(name)] = argument
    return body


def answered(reader: Reader, operation: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer of success."""
    responses = mapping(operation.get("responses"))
    for status in sorted(map(str, responses)):
        if not status.startswith("2"):
            continue
        content = reader.content(responses.get(status)) or {}
        schema = reader.schema(content)
        if schema.get("type") == "array":
            inner = fields_of(reader, schema.get("items"), 1, frozenset())
            return {"items": {"type": "list", "from": "response", "fields": inner}} if inner else {}
        if found := fields_of(reader, content, 0, frozenset()):
            return found
    return {}


def fields_of(reader: Reader, schema: Any, depth: int, above: frozenset[str]) -> dict[str, Any]:
    """The fields of an object, so deep; a schema within itself is left out."""
    references = references_in(schema)
    if depth > DEPTH or references & above:
        return {}
    above |= references
    found = reader.schema(schema)
    fields: dict[str, Any] = {}
    for name, each in list(mapping(found.get("properties")).items())[:FIELDS]:
        key = str(name) if FIELD.fullmatch(str(name)) else slug(str(name))
        if not key or key in fields:
            continue
        made = field_of(reader, each, depth, above)
        if made is not None:
            other = key != name and f"{'item' if depth else 'response'}[{json.dumps(str(name))}]"
            fields[key] = {**({"type": made} if isinstance(made, str) else made), "from": other} if other else made
    return fields


def references_in(schema: Any) -> frozenset[str]:
    """What a schema refers to, itself or as one of its choices."""
    found = mapping(schema)
    parts = [found, *(mapping(each) for key in ("allOf", "anyOf", "oneOf") for each in listed(found.get(key)))]
    return frozenset(str(each["$ref"]) for each in parts if "$ref" in each)


def field_of(reader: Reader, schema: Any, depth: int, above: frozenset[str]) -> str | dict[str, Any] | None:
    """A field's type, with what is below it; `None` where it has no declared shape."""
    found = reader.schema(schema)
    kind = found.get("type")
    if kind == "array":
        inner = fields_of(reader, found.get("items"), depth + 1, above)
        return {"type": "list", "fields": inner} if inner else None
    if kind == "object":
        inner = fields_of(reader, schema, depth + 1, above)
        return {"type": "object", "fields": inner} if inner else None
    if kind == "string" and found.get("format") in ("date", "date-time"):
        return "date" if found["format"] == "date" else "datetime"
    return TYPES.get(str(kind)) or ("text" if found.get("enum") else None)


def written(
    reader: Reader,
    document: Mapping[str, Any],
    system: str,
    lookups: list[_Operation],
    actions: list[_Operation],
    secured: list[dict[str, Any]],
    made: Draft,
) -> str:
    """The file."""
    about = mapping(document.get("info"))
    lines = [
        "# yaml-language-server: $schema=../.schemas/connector.json",
        f"# Drafted from the OpenAPI document of {said(about.get('title')) or 'a system'}"
        f" {said(about.get('version'))}.".replace(" .", "."),
        "# Strike what the assistant does not need; a line with `decide:` is for a person to answer.",
        f"connector: {system}",
    ]
    servers = [str(mapping(each).get("url", "")) for each in listed(document.get("servers"))]
    url = next((each.rstrip("/") for each in servers if re.fullmatch(r"https?://[^\s/?#@{}]+(/[^\s?#{}]*)?", each)), "")
    if url:
        lines.append(dumped({"url": url}))
    else:
        lines.append("# decide: where the system is: url: https://…, or leave it to the installation's settings")
    lines += authorized(reader, document, secured, made)
    for kind, parts in (("lookups", lookups), ("actions", actions)):
        if parts:
            lines.append(f"\n{kind}:")
        for each in parts:
            lines += [f"  # {comment}" for comment in dict.fromkeys(each.comments)]
            lines += [f"  {line}" for line in dumped({each.name: each.body}).splitlines()]
    return "\n".join(lines) + "\n"


def authorized(reader: Reader, document: Mapping[str, Any], secured: list[dict[str, Any]], made: Draft) -> list[str]:
    """How the system is told who asks, from the first scheme that a connector has."""
    schemes = mapping(mapping(document.get("components")).get("securitySchemes"))
    wanted = [str(name) for each in secured for name in each] or [str(name) for name in schemes]
    for name in dict.fromkeys(wanted):
        scheme = reader.at(schemes.get(name))
        secret = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "token"
        kind, style = scheme.get("type"), str(scheme.get("scheme", "")).lower()
        auth: dict[str, Any] | None = None
        if kind == "http" and style in ("bearer", "basic"):
            auth = {"type": style, "secret": secret}
        elif kind == "apiKey" and scheme.get("in") == "header":
            header = str(scheme.get("name"))
            if re.fullmatch(r"[A-Za-z0-9-]{1,64}", header):
                auth = {"type": "header", "secret": secret, "header": header}
        elif kind == "oauth2" and "clientCredentials" in mapping(scheme.get("flows")):
            flow = mapping(mapping(scheme["flows"])["clientCredentials"])
            path = re.sub(r"^https?://[^/]+", "", str(flow.get("tokenUrl", "")))
            if re.fullmatch(r"/?[^\s?#/][^\s?#]{0,490}", path):
                auth = {"type": "client_credentials", "secret": secret, "token_path": "/" + path.lstrip("/")}
        elif kind in ("oauth2", "openIdConnect"):
            auth = {"type": "bearer", "secret": secret}
        if auth is not None:
            note = "# The secret's value is in the environment or in a file, never here: docs/connect-your-systems.md"
            return [note, dumped({"auth": auth})]
        made.left_out.append(f"the security scheme {said(name)}: a connector has none like it")
    return []


def dumped(value: Any) -> str:
    """A piece of YAML as a person would write it."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110).rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def said(text: Any) -> str:
    """Somebody else's words as one line of a comment."""
    return " ".join(harmless(str(text)).split())[:200] if isinstance(text, str | int | float) else ""


def whole(value: Any) -> int | None:
    """A whole number, or none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def fits(pattern: str) -> bool:
    """Whether a pattern is one of an argument, too."""
    try:
        Argument(pattern=pattern)
    except ValidationError:
        return False
    return True


def import_openapi(source: str, system: str, folder: Path, *, force: bool = False) -> None:
    """Writes `connectors/<system>.yml` of an assistant, and says what could not be drafted.

    Raises:
        UsageError: the document or the name cannot be used, or the connector is there already.
        CommandError: nothing in the document can be called.
    """
    if not NAME.fullmatch(system):
        raise UsageError(f"A connector's name has small letters, digits and _, as `core`, and not {system!r}.")
    path = folder / "connectors" / f"{system}.yml"
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; --force writes over it, --system names another one.")
    made = draft(read_document(fetched(source)), system)
    if not made.lookups + made.actions:
        for line in made.left_out:
            err.print(f"left out: {harmless(line)}", soft_wrap=True, markup=False)
        raise CommandError("Nothing in this document can be a look-up or an action.")
    path.parent.mkdir(exist_ok=True)
    path.write_text(made.text, encoding="utf-8")
    mistakes = Mistakes()
    read_connectors(folder, str, mistakes)
    for line in [*(f"left out: {each}" for each in made.left_out), *mistakes.found]:
        err.print(harmless(line), soft_wrap=True, markup=False)
    decide = made.text.count("# decide:")
    err.print(
        f"[green]✓[/] {path} has {made.lookups} look-ups and {made.actions} actions; {decide} lines are to be decided.",
        soft_wrap=True,
    )
