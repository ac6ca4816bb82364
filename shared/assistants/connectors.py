"""What may stand in `connectors/*.yml`: a company's system, its look-ups and its actions.

Business calls by it; dialogue takes from it which look-ups and actions there are, what they need and what they give.
Strings where a value is wanted are expressions (`shared.assistants.expressions`); a text in one needs quotes: "'paid'".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, PlainValidator, StringConstraints, TypeAdapter, model_validator
from pydantic_core import SchemaError

from shared.assistants.expressions import Expression, ExpressionField, read_expression
from shared.assistants.yaml_source import Document, Mistakes, Part, read_documents

__all__ = [
    "Action",
    "Answer",
    "AnswerField",
    "Approval",
    "Argument",
    "Auth",
    "Before",
    "Breaking",
    "Connector",
    "ConnectorFiles",
    "Decide",
    "Lookup",
    "Pages",
    "Query",
    "Refusal",
    "Request",
    "SagaStep",
    "Template",
    "Undo",
    "fields_given",
    "read_connectors",
]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Status = Annotated[int, Field(ge=100, le=599)]
Seconds = Annotated[float, Field(gt=0, le=60, strict=False)]
Texts = Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=60)]], Field(min_length=1)]

DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
PARAMETER = re.compile(r"\{([^{}]*)\}")


def duration(value: object) -> timedelta:
    """`30m`, `12h`, `3d`."""
    found = DURATION.fullmatch(str(value))
    if found is None:
        raise ValueError("a time is a number and a unit: 30s, 15m, 12h or 3d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


Duration = Annotated[timedelta, PlainValidator(duration)]

Template = Expression | dict[str, Any] | list[Any]
"""JSON whose values are expressions."""


def template(value: object) -> Template:
    """Reads the expressions in a piece of YAML."""
    if isinstance(value, dict):
        return {str(key): template(each) for key, each in value.items()}
    if isinstance(value, list):
        return [template(each) for each in value]
    return read_expression("null" if value is None else value)


TemplateField = Annotated[Any, PlainValidator(template)]


def same_names(value: object) -> object:
    """`[order_number]` is short for `{order_number: order_number}`."""
    return {name: name for name in value} if isinstance(value, list) else value


Arguments = Annotated[dict[str, ExpressionField], BeforeValidator(same_names)]


def only_a_type(value: object) -> object:
    """`number` is short for `{type: number}`."""
    return {"type": value} if isinstance(value, str) else value


class Argument(Part):
    """What a look-up or an action is given: its type and its limits."""

    type: Literal["text", "integer", "number", "boolean", "date"] = "text"
    optional: bool = False
    shortest: Annotated[int, Field(ge=0)] = 1
    longest: Annotated[int, Field(ge=1, le=10_000)] = 500
    pattern: Annotated[str, Field(max_length=200)] | None = None
    """A regular expression for the whole text; without look-around, so that no text makes it slow."""
    one_of: Annotated[list[JsonValue], Field(min_length=1, max_length=100)] | None = None
    least: Annotated[float | None, Field(strict=False)] = None
    most: Annotated[float | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _pattern_is_one(self) -> Self:
        if self.pattern is not None:
            try:
                TypeAdapter(self.text)
            except SchemaError as error:
                raise ValueError(f"not a regular expression: {str(error).splitlines()[-1].strip()}") from None
        return self

    @property
    def text(self) -> Any:
        """The type of a text that fits."""
        pattern = None if self.pattern is None else rf"\A(?:{self.pattern})\z"
        return Annotated[str, StringConstraints(min_length=self.shortest, max_length=self.longest, pattern=pattern)]


class AnswerField(Part):
    """A field of an answer: its type, and the expression that gives it.

    Without `from` it is the field of the same name in `response`, below a list or an object in `item`.
    """

    type: Literal["text", "integer", "number", "boolean", "date", "datetime", "localized", "object", "list"]
    source: Annotated[ExpressionField | None, Field(alias="from")] = None
    required: bool = False
    """Whether an answer without it is none; otherwise it is `null` then."""
    longest: Annotated[int, Field(ge=1, le=20_000)] = 2000
    most: Annotated[int, Field(ge=1, le=500)] = 100
    """Items of a list that are kept."""
    fields: "Answer" = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_fields_where_it_has_parts(self) -> Self:
        if bool(self.fields) != (self.type in ("object", "list")):
            raise ValueError("an object or a list says its fields, and nothing else does")
        return self


Answer = dict[FieldName, Annotated[AnswerField, BeforeValidator(only_a_type)]]


class Request(Part):
    """One HTTP request. In the path `{name}` stands for a value; `null` is left out of query, headers and body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Annotated[str, Field(pattern=r"^/[^\s?#]{0,500}$")]
    query: dict[str, ExpressionField] = Field(default_factory=dict)
    headers: dict[HeaderName, ExpressionField] = Field(default_factory=dict)
    body: TemplateField | None = None
    timeout: Seconds | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(PARAMETER.findall(self.path))


class Pages(Part):
    """How the rest of a long answer is read: `next` is the cursor in an answer; without it pages are counted."""

    items: ExpressionField
    parameter: Annotated[str, Field(min_length=1, max_length=64)]
    next: ExpressionField | None = None
    first: int = 1
    most: Annotated[int, Field(ge=1, le=50)] = 5
    """Pages that are read; `items` in the answer's expressions are those of all of them."""


class Decide(Part):
    """What the rules say: a table or graph in `rules/`, and the facts that it is given."""

    rule: Name
    facts: dict[FieldName, ExpressionField]


class Lookup(Part):
    """A question without effects."""

    title: Texts | None = None
    arguments: dict[Name, Argument] = Field(default_factory=dict)
    customer: Literal["required", "optional"] = "required"
    """Whether it is asked for a customer who is known only; for anybody else nothing is found."""
    request: Request
    missing: list[Status] = Field(default_factory=lambda: [404])
    """Statuses that say that it does not exist."""
    missing_if: ExpressionField | None = None
    pages: Pages | None = None
    decide: dict[Name, Decide] = Field(default_factory=dict)
    answer: Annotated[Answer, Field(min_length=1)]


class Before(Part):
    """A look-up made again right before the effect; its answer is `before` in the action's expressions."""

    lookup: Name
    arguments: Arguments = Field(default_factory=dict)
    missing: Name
    """The code with which the action is refused when nothing is found."""


class Refusal(Part):
    """When an action is refused, and the code that says why; the code is an expression too."""

    when: Annotated[ExpressionField, Field(alias="if")]
    code: ExpressionField


class Approval(Part):
    """A person has to agree before the effect; after `within` nobody has, and the action is refused."""

    when: Annotated[ExpressionField | None, Field(alias="if")] = None
    within: Duration = timedelta(days=7)
    remind: Duration | None = None


class Query(Part):
    """How to ask whether an action happened; for `settle` after a call it may still take effect."""

    request: Request
    happened: ExpressionField
    settle: Duration = timedelta(seconds=10)


class Undo(Part):
    """The action that takes a step back."""

    action: Name
    arguments: Arguments = Field(default_factory=dict)


class SagaStep(Part):
    """One of several effects: an action, what its data is called from then on, and how it is taken back."""

    action: Name
    arguments: Arguments = Field(default_factory=dict)
    save: Name | None = None
    undo: Undo | None = None


class Action(Part):
    """An effect, made exactly once as far as the system allows (`delivery`).

    `idempotent`: the system takes the action's id as a key, and does the same key once. `queryable`: it can be asked
    whether it happened. `once`: neither, so it is tried at most once, and what is unknown then goes to a person.
    """

    title: Texts | None = None
    arguments: dict[Name, Argument] = Field(default_factory=dict)
    customer: Literal["required", "optional"] = "required"
    before: Before | None = None
    decide: dict[Name, Decide] = Field(default_factory=dict)
    refuse: list[Refusal] = Field(default_factory=list)
    approval: Approval | None = None
    request: Request | None = None
    saga: Annotated[list[SagaStep], Field(min_length=1, max_length=20)] | None = None
    delivery: Literal["idempotent", "queryable", "once"] = "once"
    idempotency_header: HeaderName = "Idempotency-Key"
    query: Query | None = None
    refused: dict[Status, ExpressionField] = Field(default_factory=dict)
    """Statuses that are a refusal of the system, with the code that says why."""
    refused_if: list[Refusal] = Field(default_factory=list)
    """Answers of success that are a refusal none the less."""
    retry: list[Status] = Field(default_factory=lambda: [425, 429, 503])
    """Statuses which say that nothing happened; after another 5xx it is unknown whether something did."""
    answer: Answer = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.request is None) == (self.saga is None):
            raise ValueError("an action has a request, or a saga")
        if (self.delivery == "queryable") != (self.query is not None):
            raise ValueError("`query` belongs to the delivery `queryable`")
        return self


class Auth(Part):
    """How the system is told who asks; the secret is named, and kept by whoever runs the installation."""

    type: Literal["bearer", "basic", "header", "client_credentials"]
    secret: SecretName
    """For `basic` and `client_credentials` it holds `user:password`."""
    header: HeaderName = "X-Api-Key"
    token_path: Annotated[str, Field(pattern=r"^/[^\s?#]{0,500}$")] = "/oauth/token"
    scope: str = ""


class Breaking(Part):
    """After so many failures in a row the system is left alone for so long."""

    failures: Annotated[int, Field(ge=1, le=100)] = 5
    seconds: Seconds = 10.0


class Connector(Part):
    """One system of the company; `url` may be left to the installation's settings, `plugin` names one in Python."""

    connector: Name
    title: Texts | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")] | None = None
    plugin: Name | None = None
    auth: Auth | None = None
    headers: dict[HeaderName, Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")]] = Field(
        default_factory=dict
    )
    timeout: Seconds = 5.0
    at_once: Annotated[int, Field(ge=1, le=256)] = 16
    per_second: Annotated[float | None, Field(gt=0, le=10_000, strict=False)] = None
    breaker: Breaking = Breaking()
    largest: Annotated[int, Field(ge=1000, le=10_000_000)] = 1_000_000
    """Bytes of an answer; a longer one is none."""
    lookups: dict[Name, Lookup] = Field(default_factory=dict)
    actions: dict[Name, Action] = Field(default_factory=dict)


@dataclass(frozen=True)
class ConnectorFiles:
    """An assistant's connectors by name, with where each stands in its file."""

    connectors: Mapping[str, Connector]
    documents: Mapping[str, Document]
    whole: bool = True
    """Whether every file could be read."""

    def lookups(self) -> dict[str, tuple[Connector, Lookup]]:
        """Every look-up by its name."""
        return {name: (each, found) for each in self.connectors.values() for name, found in each.lookups.items()}

    def actions(self) -> dict[str, tuple[Connector, Action]]:
        """Every action by its name."""
        return {name: (each, found) for each in self.connectors.values() for name, found in each.actions.items()}


def read_connectors(folder: Path, name_of: Callable[[Path], str], mistakes: Mistakes) -> ConnectorFiles:
    """Reads `connectors/*.yml` of an assistant's folder; `name_of` is what mistakes call a file."""
    connectors: dict[str, Connector] = {}
    documents: dict[str, Document] = {}
    owners: dict[tuple[str, str], str] = {}
    known = len(mistakes.found)
    for path in sorted((folder / "connectors").glob("*.yml")):
        found = read_documents(path, name_of(path), mistakes)
        for further in found[1:]:
            mistakes.add(further.where(), "one file is one system; write the other one into a file of its own")
        for document in found[:1]:
            connector = document.parse(Connector, mistakes)
            if connector is None:
                continue
            if connector.connector != path.stem:
                mistakes.add(document.where("connector"), f"the file is called {path.name}, so write: {path.stem}")
            for kind, names in (("lookups", connector.lookups), ("actions", connector.actions)):
                for name in names:
                    if (other := owners.setdefault((kind, name), connector.connector)) != connector.connector:
                        mistakes.add(document.where(kind, name), f"'{name}' is there in connectors/{other}.yml too")
            connectors[connector.connector] = connector
            documents[connector.connector] = document
    return ConnectorFiles(connectors, documents, whole=len(mistakes.found) == known)


def fields_given(answer: Mapping[str, AnswerField]) -> Iterable[str]:
    """The dotted names of an answer's fields; what is in each item of a list stands below the list."""

    def below(fields: Mapping[str, AnswerField], prefix: str) -> Iterator[str]:
        for name, field in fields.items():
            yield f"{prefix}{name}"
            yield from below(field.fields, f"{prefix}{name}.")

    return below(answer, "")
