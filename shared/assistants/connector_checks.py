"""What must hold in an assistant's connectors as a whole: names that expressions use, what refers to what, no secrets.

A schema cannot tell; `shared.assistants.connectors` has that. Each mistake is noted with the file and line where it is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from shared.assistants.addresses import address_of, refusal
from shared.assistants.connectors import (
    Action,
    Answer,
    Argument,
    ConnectorFiles,
    Decide,
    Lookup,
    Request,
    SagaStep,
    fields_given,
)
from shared.assistants.expressions import KEYWORDS, Expression
from shared.assistants.rules import RuleDescription
from shared.assistants.yaml_source import Document, Mistakes, Place, did_you_mean, read_documents
from shared.contracts.built_in import SUBMITTED_ACTIONS, WITHDRAW_ACTION

__all__ = ["RESERVED", "check_connectors", "secret_in"]

BASE = frozenset(("customer", "tenant", "conversation", "action", "language", "now"))
"""Names that every expression of a connector may use."""
RESERVED = BASE | KEYWORDS | {"before", "response", "status", "items", "item"}
"""Names that no argument, decision or saved answer may have."""
OWN_HEADERS = frozenset(
    (
        "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect",
        "host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
        "x-deadline-seconds", "x-request-id",
    )
)  # fmt: skip
"""Headers that the call itself sets."""
SECRET_NAME = re.compile(
    r"(^|[-_])(authorization|cookie|api[-_]?key|access[-_]?key|apikey|auth|token|secret|password|passwd|pwd|credentials?)"
    r"([-_]|$)|(token|secret|password|apikey)$",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[opsu]_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}|\bAIza[A-Za-z0-9_-]{35}"
    r"|\b(Bearer|Basic)\s+(?=\S*[0-9=])[A-Za-z0-9+/_.=-]{12,}"
    r"|[a-z][a-z0-9+.-]*://[^\s/@:]+:[^\s/@]+@"
)
LITERAL = re.compile(r"""^\s*(?:'[^']+'|"[^"]+"|`[^`$]+`|\d+)\s*$""")


def secret_in(text: str) -> bool:
    """Whether a text has in it what looks like a key, a token or a password."""
    return SECRET_VALUE.search(text) is not None


def check_connectors(files: ConnectorFiles, folder: Path, mistakes: Mistakes) -> None:
    """Notes what is wrong in the connectors of an assistant's folder."""
    for name, connector in files.connectors.items():
        check = _Check(files, folder / "rules", files.documents[name], mistakes)
        check.secrets_in_clear((), check.document.value)
        check.address(connector.url)
        check.own_headers(connector.headers, ("headers",))
        for kind, own, built_in in (
            ("lookups", connector.lookups, SUBMITTED_ACTIONS),
            ("actions", connector.actions, WITHDRAW_ACTION),
        ):
            if built_in in own:
                check.wrong((kind, built_in), f"every assistant has '{built_in}' already; call it otherwise")
        if not files.whole:
            continue  # what is referred to may be in the file that could not be read
        for lookup_name, lookup in connector.lookups.items():
            check.lookup(lookup, ("lookups", lookup_name))
        for action_name, action in connector.actions.items():
            check.action(action_name, action, ("actions", action_name))


@dataclass(frozen=True)
class _Names:
    """What expressions may use at one place: names, and those whose fields are known."""

    names: frozenset[str]
    fields: Mapping[str, frozenset[str]]

    def and_also(self, *names: str, **fields: Iterable[str]) -> "_Names":
        known = {name: frozenset(each) for name, each in fields.items()}
        return replace(self, names=self.names | set(names) | set(fields), fields={**self.fields, **known})


@dataclass(frozen=True)
class _Check:
    """One connector's file under examination."""

    files: ConnectorFiles
    rules: Path
    document: Document
    mistakes: Mistakes

    def wrong(self, place: Place, message: str) -> None:
        self.mistakes.add(self.document.where(*place), message)

    def lookup(self, lookup: Lookup, place: Place) -> None:
        """A look-up from its arguments to its answer."""
        names = self.arguments(lookup.arguments, place)
        self.request(lookup.request, (*place, "request"), names, lookup)
        after = names.and_also("response", "status")
        if lookup.pages is not None:
            self.expression(lookup.pages.items, (*place, "pages", "items"), after)
            self.expression(lookup.pages.next, (*place, "pages", "next"), after)
            after = after.and_also("items")
        self.expression(lookup.missing_if, (*place, "missing_if"), after)
        after = self.decisions(lookup.decide, (*place, "decide"), after, lookup.arguments)
        self.answer(lookup.answer, (*place, "answer"), after)

    def action(self, name: str, action: Action, place: Place) -> None:
        """An action from its arguments to its answer."""
        names = self.arguments(action.arguments, place)
        if action.before is not None:
            before = (*place, "before")
            found = self.files.lookups().get(action.before.lookup)
            given: Iterable[str] = ()
            if found is None:
                there = self.files.lookups()
                self.wrong(
                    (*before, "lookup"),
                    f"there is no look-up '{action.before.lookup}'{did_you_mean(action.before.lookup, there)}",
                )
            else:
                given = fields_given(found[1].answer)
                self.given(action.before.arguments, found[1].arguments, (*before, "arguments"), names)
            names = names.and_also(before=given) if found is not None else names.and_also("before")
        names = self.decisions(action.decide, (*place, "decide"), names, action.arguments)
        for number, refusal_ in enumerate(action.refuse):
            self.expression(refusal_.when, (*place, "refuse", number, "if"), names)
            self.expression(refusal_.code, (*place, "refuse", number, "code"), names)
        if action.approval is not None:
            self.expression(action.approval.when, (*place, "approval", "if"), names)
        if action.request is not None:
            self.request(action.request, (*place, "request"), names, action)
        after = names.and_also("response", "status")
        if action.query is not None:
            self.request(action.query.request, (*place, "query", "request"), names, action)
            self.expression(action.query.happened, (*place, "query", "happened"), after)
        for status, code in action.refused.items():
            self.expression(code, (*place, "refused", str(status)), after)
        for number, refusal_ in enumerate(action.refused_if):
            self.expression(refusal_.when, (*place, "refused_if", number, "if"), after)
            self.expression(refusal_.code, (*place, "refused_if", number, "code"), after)
        if action.saga is not None:
            after = self.saga(name, action.saga, (*place, "saga"), names, action.arguments)
        self.answer(action.answer, (*place, "answer"), after)

    def saga(
        self, name: str, steps: list[SagaStep], place: Place, names: _Names, arguments: Mapping[str, Argument]
    ) -> _Names:
        """A saga's steps; what the names are behind them."""
        for number, step in enumerate(steps):
            here = (*place, number)
            names = self.step(step, here, names)
            if step.save is not None:
                self.new_name(step.save, (*here, "save"), arguments)
                done = self.files.actions().get(step.action)
                names = names.and_also(**{step.save: fields_given(done[1].answer) if done else ()})
            if step.undo is not None:
                undone = self.effect(step.undo.action, (*here, "undo", "action"))
                if undone is not None:
                    self.given(step.undo.arguments, undone.arguments, (*here, "undo", "arguments"), names)
        return names

    def step(self, step: SagaStep, place: Place, names: _Names) -> _Names:
        action = self.effect(step.action, (*place, "action"))
        if action is not None:
            self.given(step.arguments, action.arguments, (*place, "arguments"), names)
        return names

    def effect(self, name: str, place: Place) -> Action | None:
        """An action that a saga is made of, noted when there is none or it is a saga itself."""
        found = self.files.actions().get(name)
        if found is None:
            self.wrong(place, f"there is no action '{name}'{did_you_mean(name, self.files.actions())}")
            return None
        if found[1].saga is not None:
            self.wrong(place, f"'{name}' is a saga itself; a step is one effect")
            return None
        return found[1]

    def arguments(self, arguments: Mapping[str, Argument], place: Place) -> _Names:
        """The names that a request may use."""
        for name in arguments:
            if name in RESERVED:
                self.wrong(
                    (*place, "arguments", name), f"'{name}' has a meaning of its own; call the argument otherwise"
                )
        return _Names(BASE | set(arguments), {})

    def decisions(
        self, decide: Mapping[str, Decide], place: Place, names: _Names, arguments: Mapping[str, Argument]
    ) -> _Names:
        """What is decided, one after the other; what the names are behind it."""
        for name, decision in decide.items():
            self.new_name(name, (*place, name), arguments)
            if not (self.rules / f"{decision.rule}.json").is_file():
                there = [each.stem for each in self.rules.glob("*.json")]
                self.wrong(
                    (*place, name, "rule"),
                    f"there is no rules/{decision.rule}.json{did_you_mean(decision.rule, there)}",
                )
            for fact, expression in decision.facts.items():
                self.expression(expression, (*place, name, "facts", fact), names)
            description = self.description(decision.rule)
            if description is None:
                names = names.and_also(name)
                continue
            for fact, wanted in description.facts.items():
                if not wanted.optional and fact.partition(".")[0] not in decision.facts:
                    near = did_you_mean(fact, decision.facts.keys() - description.facts.keys())
                    self.wrong((*place, name, "facts"), f"the rule {decision.rule} needs the fact '{fact}'{near}")
            names = names.and_also(**{name: _given(description)})
        return names

    def description(self, rule: str) -> RuleDescription | None:
        """What is said of a rule; what is wrong with that is for whoever checks the rules."""
        path, ignored = self.rules / f"{rule}.yml", Mistakes()
        documents = read_documents(path, path.name, ignored) if path.is_file() else []
        return documents[0].parse(RuleDescription, ignored) if len(documents) == 1 else None

    def new_name(self, name: str, place: Place, arguments: Mapping[str, Argument]) -> None:
        if name in RESERVED or name in arguments:
            self.wrong(place, f"'{name}' is another thing's name already; call it otherwise")

    def given(
        self, given: Mapping[str, Expression], wanted: Mapping[str, Argument], place: Place, names: _Names
    ) -> None:
        """What a look-up or an action is given by an expression for each argument."""
        for name, expression in given.items():
            if name not in wanted:
                self.wrong((*place, name), f"it has no argument '{name}'{did_you_mean(name, wanted)}")
            self.expression(expression, (*place, name), names)
        for name, argument in wanted.items():
            if not argument.optional and name not in given:
                self.wrong(place, f"its argument '{name}' is missing")

    def request(self, request: Request, place: Place, names: _Names, part: Lookup | Action) -> None:
        """One request: everything that its expressions use, and that its path is never without a value."""
        if request.path.count("{") != len(request.parameters) or request.path.count("}") != len(request.parameters):
            self.wrong((*place, "path"), "a value in the path is a name in brackets: /cards/{card}")
        if any(each in (".", "..") for each in request.path.split("/")):
            self.wrong((*place, "path"), "a path has no `.` or `..`")
        for name in request.parameters:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", name):
                self.wrong((*place, "path"), f"'{{{name}}}' is no name")
                continue
            self.name(name, (*place, "path"), names)
            argument = part.arguments.get(name)
            maybe = argument.optional if argument is not None else name == "customer" and part.customer == "optional"
            if maybe:
                self.wrong((*place, "path"), f"the path needs '{name}', which may be missing")
        if request.method == "GET" and request.body is not None:
            self.wrong((*place, "body"), "a GET has no body")
        self.own_headers(request.headers, (*place, "headers"))
        for kind, expressions in (("query", request.query), ("headers", request.headers)):
            for name, expression in expressions.items():
                self.expression(expression, (*place, kind, name), names)
        for inner, expression in _expressions(request.body, (*place, "body")):
            self.expression(expression, inner, names)

    def own_headers(self, headers: Iterable[str], place: Place) -> None:
        """Headers that a connector cannot set."""
        for name in headers:
            if name.lower() in OWN_HEADERS:
                self.wrong((*place, name), f"the header {name} is set by the call itself")
            if name.lower() == "authorization":
                self.wrong((*place, name), "who asks is said by `auth`, with the name of a secret")

    def answer(self, answer: Answer, place: Place, names: _Names) -> None:
        """The fields of an answer and what is in them."""
        for name, field in answer.items():
            here = (*place, name)
            if field.source is not None:
                self.expression(field.source, (*here, "from"), names)
            self.answer(field.fields, (*here, "fields"), names.and_also("item"))

    def expression(self, expression: Expression | None, place: Place, names: _Names) -> None:
        """Every name in an expression is one that is known at its place."""
        for name in sorted(expression.names) if expression is not None else ():
            self.name(name, place, names)

    def name(self, name: str, place: Place, names: _Names) -> None:
        first, _, rest = name.partition(".")
        if first not in names.names:
            self.wrong(place, f"'{first}' is not known here{did_you_mean(first, names.names)}")
        elif rest and first in names.fields and not _has(names.fields[first], rest):
            self.wrong(place, f"'{first}' has no field '{rest}'{did_you_mean(rest, names.fields[first])}")

    def address(self, url: str | None) -> None:
        """An address that is written in the file is a public one, or this machine while one develops."""
        try:
            address = address_of(urlsplit(url or "").hostname or "")
        except ValueError:
            self.wrong(("url",), "this is no address")
            return
        refused = None if address is None or address.is_loopback else refusal(address)
        if refused is not None:
            self.wrong(("url",), f"{address} {refused}; leave `url` to the installation, in ZHIYIN_CONNECTORS")

    def secrets_in_clear(self, place: Place, value: JsonValue) -> None:
        """Secrets are named and never stand in a file."""
        if isinstance(value, dict):
            for key, inner in value.items():
                named = SECRET_NAME.search(str(key)) is not None and _carries(place)
                if named and isinstance(inner, str | int) and (_static(place) or LITERAL.match(str(inner))):
                    self.wrong((*place, str(key)), f"'{key}' looks like a secret in clear; name it in `auth` instead")
                else:
                    self.secrets_in_clear((*place, str(key)), inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                self.secrets_in_clear((*place, number), inner)
        elif isinstance(value, str) and secret_in(value):
            self.wrong(place, "this looks like a secret in clear; name it in `auth` instead")


def _carries(place: Place) -> bool:
    """Whether what stands here is sent to the system."""
    return any(each in ("headers", "query", "body") for each in place)


def _static(place: Place) -> bool:
    """Whether values here are texts as they are; elsewhere they are expressions."""
    return place == ("headers",)


def _has(fields: frozenset[str], name: str) -> bool:
    """Whether a field is among those known, or is a part of one whose parts are not, as a text in languages."""
    whole = name.rpartition(".")[0]
    if any(name.startswith(each.removesuffix("*")) for each in fields if each.endswith(".*")):
        return True
    return name in fields or (whole in fields and not any(each.startswith(f"{whole}.") for each in fields))


def _given(description: RuleDescription) -> Iterator[str]:
    """The fields of a rule's result; a list or an object may have any parts, and so has what all rows give."""
    for name, value in description.gives.items():
        yield name
        if value.type in ("list", "object"):
            yield f"{name}.*"
    yield from ("results", "results.*")


def _expressions(template: Any, place: Place) -> Iterator[tuple[Place, Expression]]:
    if isinstance(template, Expression):
        yield place, template
    elif isinstance(template, Mapping):
        for name, inner in template.items():
            yield from _expressions(inner, (*place, name))
    elif isinstance(template, list):
        for number, inner in enumerate(template):
            yield from _expressions(inner, (*place, number))
