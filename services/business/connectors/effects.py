"""Effects on companies' systems: what an action comes to before it is made, and one call of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import JsonValue

from services.business.connectors.answers import code_of, read_answer
from services.business.connectors.arguments import read_arguments
from services.business.connectors.guard import Guard
from services.business.connectors.lookups import Question, Served, ask, decided, look_up
from services.business.connectors.outcomes import (
    Done,
    NothingHappened,
    OutcomeUnknown,
    Refused,
    SystemRefused,
    UnusableAnswer,
)
from services.business.connectors.requests import call_of
from shared.assistants.connectors import Action, Approval, Connector, Query, Refusal, SagaStep
from shared.assistants.plugins import Reply
from shared.contracts.actions import ActionRequest

__all__ = ["INVALID_ARGUMENTS", "NO_CUSTOMER", "UNKNOWN_ACTION", "Effects", "FindsAssistants", "Prepared"]

UNKNOWN_ACTION = "unknown_action"
INVALID_ARGUMENTS = "invalid_arguments"
NO_CUSTOMER = "no_customer"
"""An action for a customer who is known, asked for by nobody known."""
MOST_FIELDS = 10
PATIENCE_SECONDS = 30.0
"""How long a call waits for a turn and for its answer together."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An action that may be made now: nothing refuses it.

    `approval` is there where a person has to agree first. `scope` holds every name that the action's expressions may
    use before the call, as JSON; a saga's steps add to it what they save. `known` are the fields of the action's answer
    that can be said before the call.
    """

    title: dict[str, str] | None
    arguments: dict[str, Any]
    known: dict[str, Any]
    scope: dict[str, Any]
    approval: Approval | None
    delivery: Literal["idempotent", "queryable", "once"]
    query: Query | None
    saga: list[SagaStep] | None

    @property
    def settle(self) -> timedelta:
        """For so long after a call it may still take effect."""
        return timedelta() if self.query is None else self.query.settle


class FindsAssistants(Protocol):
    """Knows the releases that there are: `Assistants`, or what brings them to where they are needed first."""

    @property
    def own(self) -> str:
        """The name of the installation's own assistant."""
        ...

    def find(self, tenant: str, assistant: str | None, release: str | None) -> Served | None:
        """The release that is asked for, or else the live one; `None` when there is neither."""
        ...


class _Scoped(Protocol):
    """What was prepared, here or earlier in another process."""

    @property
    def scope(self) -> dict[str, Any]:
        """What expressions may use."""
        ...


class _Found(NamedTuple):
    served: Served
    guard: Guard
    connector: Connector
    action: Action


class Effects:
    """Actions as connectors declare them. What is written down about them is the ledger's."""

    def __init__(self, assistants: FindsAssistants) -> None:
        self._assistants = assistants

    def handles(self, request: ActionRequest) -> bool:
        """Whether the request's assistant has this action by a connector; nobody knows of a release that is away."""
        return self._find(request) is not None or self._is_awaited(request)

    async def prepare(self, request: ActionRequest, moment: datetime) -> Refused | Prepared:
        """Whether an action may be made at a moment, and what for; makes nothing.

        Raises:
            NothingHappened: what has to be looked up before could not be, or the assistant has not come here yet.
            SystemRefused: a look-up before it was refused in a way that nobody declared.
            ZhiyinError: the rules say nothing that can be used.
        """
        found = self._find(request)
        if found is None:
            if self._is_awaited(request):
                raise NothingHappened("the release that asks for it has not come here yet, or has no such action")
            return Refused(UNKNOWN_ACTION)
        served, _, _, action = found
        arguments, wrong = read_arguments(action.arguments, request.arguments)
        if wrong:
            fields = sorted(each.field.removeprefix("arguments.") for each in wrong)
            return Refused(INVALID_ARGUMENTS, {"fields": fields[:MOST_FIELDS]})
        if action.customer == "required" and request.customer is None:
            return Refused(NO_CUSTOMER)
        question = Question(
            customer=request.customer,
            moment=moment,
            arguments=arguments,
            language=request.language,
            conversation=request.conversation_id,
            action=request.id,
        )
        scope = question.scope(served)
        if action.before is not None:
            before = await self._before(served, action, question, scope)
            if before is None:
                return Refused(action.before.missing, _known(action, scope))
            scope["before"] = before
        scope |= decided(served.rules, action.decide, scope)
        refused = _refusal(action.refuse, action, scope)
        if refused is not None:
            return refused
        approval = action.approval
        if approval is not None and approval.when is not None and not approval.when.holds(scope):
            approval = None
        return Prepared(
            title=action.title,
            arguments=arguments,
            known={name: value for name, value in _known(action, scope).items() if value is not None},
            scope=scope,
            approval=approval,
            delivery=action.delivery,
            query=action.query,
            saga=action.saga,
        )

    async def perform(self, request: ActionRequest, prepared: _Scoped, *, key: str) -> Done | Refused:
        """One call that makes the effect.

        Args:
            key: names the effect; the same one again is the same effect for a system that heeds it.

        Raises:
            NothingHappened: the system certainly did nothing.
            OutcomeUnknown: it may have.
            SystemRefused: it refused in a way that nobody declared.
        """
        _, guard, connector, action = self._found(request)
        if action.request is None:
            raise SystemRefused(f"'{request.name}' is made of steps and is no call")
        scope: dict[str, JsonValue] = {**prepared.scope, "action": key}
        call = call_of(
            action.request,
            scope,
            seconds=action.request.timeout or connector.timeout,
            headers={action.idempotency_header: key},
            once=action.delivery != "idempotent",
        )
        reply = await guard.call(request.name, call, _until())
        return _outcome(guard, request.name, action, reply, scope | {"response": reply.body, "status": reply.status})

    async def happened(self, request: ActionRequest, prepared: _Scoped, *, key: str) -> Done | Refused | None:
        """What became of an effect that may have been made; `None` when it was not made.

        Raises:
            NothingHappened: the system could not be asked, or its answer says neither.
        """
        _, guard, connector, action = self._found(request)
        query = action.query
        if query is None:
            raise NothingHappened(f"'{guard.connector}' cannot be asked about '{request.name}'")
        scope: dict[str, JsonValue] = {**prepared.scope, "action": key}
        try:
            call = call_of(query.request, scope, seconds=query.request.timeout or connector.timeout)
            reply = await ask(guard, request.name, call, _until())
        except (OutcomeUnknown, SystemRefused) as error:
            raise NothingHappened(str(error)) from error
        # Whoever is not let in, or asks too much, learns nothing about the effect.
        if not (200 <= reply.status < 300 or reply.status in (404, 410)) or (reply.status < 300 and reply.garbled):
            why = reply.garbled or f"status {reply.status}"
            raise NothingHappened(f"'{guard.connector}' did not say what became of '{request.name}' ({why})")
        scope |= {"response": reply.body, "status": reply.status}
        if not query.happened.holds(scope):
            return None
        return _refusal(action.refused_if, action, scope) or Done(_known(action, scope))

    def finished(self, request: ActionRequest, prepared: _Scoped, saved: dict[str, Any]) -> Done:
        """What a saga answers when its steps are made; `saved` is their data by the names that they save it under."""
        action = self._found(request).action
        return Done(_known(action, {**prepared.scope, **saved}))

    def _is_awaited(self, request: ActionRequest) -> bool:
        """Whether this process has yet to hear of the release that asks, or of any of its assistant."""
        served = self._assistants.find(request.tenant, request.assistant, request.release)
        if served is None:
            return request.assistant not in (None, self._assistants.own)
        # One that has no connectors at all has its actions elsewhere.
        return bool(request.release and served.actions) and served.release != request.release

    def _find(self, request: ActionRequest) -> _Found | None:
        served = self._assistants.find(request.tenant, request.assistant, request.release)
        found = None if served is None else served.actions.get(request.name)
        return None if served is None or found is None else _Found(served, *found)

    def _found(self, request: ActionRequest) -> _Found:
        found = self._find(request)
        if found is None:
            raise SystemRefused(f"there is no action '{request.name}' any more")
        return found

    async def _before(
        self, served: Served, action: Action, question: Question, scope: dict[str, JsonValue]
    ) -> dict[str, Any] | None:
        """What is looked up right before the effect."""
        assert action.before is not None
        name = action.before.lookup
        _, _, lookup = served.lookups[name]
        given = {each: expression.value(scope) for each, expression in action.before.arguments.items()}
        arguments, wrong = read_arguments(lookup.arguments, given)
        if wrong:
            raise SystemRefused(f"'{name}' cannot be looked up before: {wrong[0].field} {wrong[0].message}")
        asked = Question(
            customer=question.customer,
            moment=question.moment,
            arguments=arguments,
            language=question.language,
            conversation=question.conversation,
            action=question.action,
        )
        try:
            return await look_up(served, name, asked, _until(), before=True)
        except OutcomeUnknown as error:
            # It was a question, so nothing has happened.
            raise NothingHappened(str(error)) from error


def _until() -> float:
    return asyncio.get_running_loop().time() + PATIENCE_SECONDS


def _known(action: Action, scope: dict[str, JsonValue]) -> dict[str, Any]:
    """What the action's declared fields come to as far as they are known."""
    return read_answer(action.answer, scope, tolerant=True)


def _refusal(refusals: list[Refusal], action: Action, scope: dict[str, JsonValue]) -> Refused | None:
    for refusal in refusals:
        if refusal.when.holds(scope):
            return Refused(code_of(refusal.code.value(scope)), _known(action, scope))
    return None


def _outcome(guard: Guard, name: str, action: Action, reply: Reply, scope: dict[str, JsonValue]) -> Done | Refused:
    """What the answer to a call means."""
    status = reply.status
    answered = f"'{guard.connector}' answered '{name}' with status {status}"
    if status in action.refused:
        return Refused(code_of(action.refused[status].value(scope)), _known(action, scope))
    if status in action.retry:
        raise NothingHappened(answered, reply.again_after)
    if status >= 500 or status == 303:
        # "See other" may follow an effect.
        raise OutcomeUnknown(answered)
    if status >= 300:
        raise SystemRefused(answered)
    if reply.garbled is not None:
        raise UnusableAnswer(f"{answered}: {reply.garbled}")
    refused = _refusal(action.refused_if, action, scope)
    if refused is not None:
        return refused
    try:
        return Done(read_answer(action.answer, scope))
    except ValueError as error:
        raise UnusableAnswer(f"{answered}: {error}") from error
