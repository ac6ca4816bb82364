"""A look-up through a connector: the call, or several for a long answer, and what is read out of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog
from pydantic import JsonValue

from services.business.connectors.answers import read_answer
from services.business.connectors.arguments import read_arguments
from services.business.connectors.guard import Guard
from services.business.connectors.outcomes import (
    ConnectionLost,
    NothingHappened,
    OutcomeUnknown,
    SystemAway,
    SystemRefused,
    UnusableAnswer,
)
from services.business.connectors.requests import call_of
from services.business.rules.rule_set import Undecided
from shared.assistants.connectors import Action, AnswerField, Connector, Decide, Lookup
from shared.assistants.plugins import Call, Reply
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import InvalidInput, NotFound, UpstreamError, ZhiyinError

__all__ = ["Question", "Rules", "Served", "answer_lookup", "ask", "decided", "look_up"]

log = structlog.get_logger(__name__)

MOST_DETAIL = 2000
MOST_ITEMS = 10_000
LONGEST_CURSOR = 2000


class Rules(Protocol):
    """Decisions by name: the tables and graphs of an assistant's `rules/`."""

    def decide(self, name: str, facts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """What the rules say to these facts; raises `Undecided` when they say nothing that can be used."""
        ...


@dataclass(frozen=True, kw_only=True)
class Served:
    """A release of a tenant's assistant, as business serves it."""

    tenant: str
    assistant: str
    release: str
    lookups: Mapping[str, tuple[Guard, Connector, Lookup]]
    actions: Mapping[str, tuple[Guard, Connector, Action]]
    rules: Rules


@dataclass(frozen=True, kw_only=True)
class Question:
    """Who asks, and when; `arguments` have been checked."""

    customer: str | None
    moment: datetime
    arguments: Mapping[str, Any] = field(default_factory=dict)
    language: str | None = None
    conversation: str | None = None
    action: str | None = None

    def scope(self, served: Served) -> dict[str, JsonValue]:
        """The names that a request's expressions may use."""
        return {
            **self.arguments,
            "customer": self.customer,
            "tenant": served.tenant,
            "conversation": self.conversation,
            "action": self.action,
            "language": self.language,
            "now": self.moment.isoformat(),
        }


async def look_up(
    served: Served, name: str, question: Question, until: float, *, before: bool = False
) -> dict[str, Any] | None:
    """The answer's fields; `None` when what was asked for does not exist, or nobody known asks.

    Where the rules decide nothing, what they say is `null`: the answer's expressions tell what that means.

    Args:
        until: the deadline on the event loop's clock.
        before: whether an effect depends on it. A field that is just what the rules say may not be undecided then.

    Raises:
        KeyError: there is no such look-up.
        NothingHappened: the system could not be asked.
        OutcomeUnknown: it did not answer; `UnusableAnswer` where its answer is not what the connector declares.
        SystemRefused: it refused in a way that nobody declared.
        Undecided: the rules decide nothing, and what depends on it cannot do without.
    """
    guard, connector, lookup = served.lookups[name]
    if lookup.customer == "required" and question.customer is None:
        return None
    scope = question.scope(served)
    pages = lookup.pages
    # Whether pages are counted, rather than each saying which is the next.
    counted = pages is not None and pages.next is None

    async def page(cursor: str | int | None) -> Reply:
        query = {} if pages is None or cursor is None else {pages.parameter: cursor}
        seconds = lookup.request.timeout or connector.timeout
        return await ask(guard, name, call_of(lookup.request, scope, seconds=seconds, query=query), until)

    reply = await page(pages.first if pages is not None and counted else None)
    if reply.status in lookup.missing:
        return None
    found = scope | _answered(guard, name, reply)
    if pages is not None:
        items: list[JsonValue] = []
        current, seen = found, set[str | int]()
        while True:
            more = pages.items.value(current)
            if more is not None and not isinstance(more, list):
                raise UnusableAnswer(f"the answer of '{guard.connector}' to '{name}': its items are no list")
            items += (more or [])[: MOST_ITEMS - len(items)]
            cursor = pages.first + len(seen) + 1 if pages.next is None else pages.next.value(current)
            if not cursor or not isinstance(cursor, str | int) or len(str(cursor)) > LONGEST_CURSOR or cursor in seen:
                break
            seen.add(cursor)
            if (counted and not more) or len(seen) >= pages.most or len(items) >= MOST_ITEMS:
                break
            reply = await page(cursor)
            if reply.status in lookup.missing:
                break
            current = scope | _answered(guard, name, reply)
        found["items"] = items
    if lookup.missing_if is not None and lookup.missing_if.holds(found):
        return None
    found |= decided(served.rules, lookup.decide, found, tolerant=True)
    undecided = {each for each in lookup.decide if found[each] is None}
    if before and any(_is_said_by(field, undecided) for field in lookup.answer.values()):
        raise Undecided(f"the rules that '{name}' asks decide nothing")
    try:
        return read_answer(lookup.answer, found)
    except ValueError as error:
        if undecided:
            raise Undecided(f"the rules that '{name}' asks decide nothing") from error
        raise UnusableAnswer(f"the answer of '{guard.connector}' to '{name}': {error}") from error


async def answer_lookup(
    served: Served, name: str, request: LookupRequest, *, moment: datetime, until: float
) -> LookupAnswer:
    """The answer to a look-up that a conversation asks for.

    Raises:
        NotFound: there is no such look-up.
        InvalidInput: the arguments do not fit it.
        SystemAway: the system could not be asked, or did not answer.
        UpstreamError: what it answered cannot be used, or the rules say nothing about it.
    """
    if name not in served.lookups:
        raise NotFound(f"there is no such look-up; there are {', '.join(sorted(served.lookups))}"[:MOST_DETAIL])
    arguments, wrong = read_arguments(served.lookups[name][2].arguments, request.arguments)
    if wrong:
        detail = "; ".join(f"{each.field}: {each.message}" for each in wrong)
        raise InvalidInput(detail[:MOST_DETAIL], errors=wrong)
    question = Question(customer=request.customer, moment=moment, arguments=arguments, language=request.language)
    try:
        data = await look_up(served, name, question, until)
    except NothingHappened as error:
        raise SystemAway(str(error), retry_after=error.again_after) from error
    except (UnusableAnswer, SystemRefused) as error:
        log.warning("lookup_unusable", lookup=name, reason=str(error))
        raise UpstreamError(str(error)) from error
    except OutcomeUnknown as error:
        raise SystemAway(str(error)) from error
    except ZhiyinError as error:
        log.warning("lookup_undecided", lookup=name, error=type(error).__name__)
        raise UpstreamError(f"the rules that '{name}' asks say nothing that can be used") from error
    return LookupAnswer(name=name, found=data is not None, data=data or {})


async def ask(guard: Guard, name: str, call: Call, until: float) -> Reply:
    """A question without effects; asked by GET it is asked again once when the connection breaks."""
    try:
        return await guard.call(name, call, until)
    except ConnectionLost:
        if call.method != "GET":
            raise
    return await guard.call(name, call, until)


def decided(
    rules: Rules, declared: Mapping[str, Decide], scope: Mapping[str, JsonValue], *, tolerant: bool = False
) -> dict[str, JsonValue]:
    """What the rules say, by the names that the connector gives it; each may use those before it.

    Args:
        tolerant: whether what is not decided is `null`, as it is where nothing is done about it.

    Raises:
        Undecided: the rules say nothing usable for these facts.
    """
    said: dict[str, JsonValue] = {}
    for name, decide in declared.items():
        within = {**scope, **said}
        facts = {fact: each.value(within) for fact, each in decide.facts.items()}
        try:
            said[name] = rules.decide(decide.rule, facts)
        except Undecided:
            if not tolerant:
                raise
            said[name] = None
    return said


def _is_said_by(field: AnswerField, decisions: Collection[str]) -> bool:
    """Whether a field, or a part of it, is nothing but what one of these says, as `terms.outcome` is."""
    source = field.source
    if source is not None and source.source in source.names and source.source.partition(".")[0] in decisions:
        return True
    return any(_is_said_by(part, decisions) for part in field.fields.values())


def _answered(guard: Guard, name: str, reply: Reply) -> dict[str, JsonValue]:
    """What an answer adds to the names in scope."""
    if reply.status == 429 or reply.status >= 500:
        raise NothingHappened(f"'{guard.connector}' answered '{name}' with status {reply.status}", reply.again_after)
    if reply.status >= 300:
        raise SystemRefused(f"'{guard.connector}' answered '{name}' with status {reply.status}")
    if reply.garbled is not None:
        raise UnusableAnswer(f"the answer of '{guard.connector}' to '{name}': {reply.garbled}")
    return {"response": reply.body, "status": reply.status}
