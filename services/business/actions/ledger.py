"""The ledger: every action has one row, and its effect is made in the transaction that closes the row.

`accept` writes the row, from what dialogue asks for over HTTP with its own token. From then on the row is the only
truth: what comes off the queue names it and nothing else. An attempt is counted in a transaction of its own before
anything is tried, so that an attempt which kills its process is counted too. Then one transaction claims the row while
it still says `started`, makes the effect and stores the result. However often and from however many processes an id
comes, one claims it, and the others find its result.

When an attempt may be made stands in the row as well. A reference that comes again while an attempt is under way, or
before a failed one may be repeated, does nothing: whoever repeats references cannot use up an action's attempts.
"""

import asyncio
import json
import os
import random
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from services.business import repository
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop import actions
from services.business.shop.actions import Outcome
from shared import faults
from shared.contracts.actions import ActionReceipt, ActionReference, ActionRequest, ActionResult
from shared.errors import Conflict, ZhiyinError
from shared.storage.database import Database, now

__all__ = [
    "BEFORE_COMMIT",
    "GAVE_UP",
    "MAX_PAUSE_SECONDS",
    "PUBLISH_GRACE",
    "UNREADABLE",
    "AttemptFailed",
    "Ledger",
    "NothingToDo",
    "close",
    "describe",
    "pause_before",
    "stored_result",
]

log = structlog.get_logger(__name__)

BEFORE_COMMIT = "business.perform.before_commit"
GAVE_UP = "attempts_exhausted"
UNREADABLE = "request_unreadable"
PUBLISH_GRACE = timedelta(seconds=2)
CLOCKS = timedelta(hours=1)
"""By so much the clocks of dialogue and business may differ."""
MAX_PAUSE_SECONDS = 20.0
MAX_PAYLOAD = 20_000
MAX_ERROR = 200
MAX_DOUBLINGS = 16


class AttemptFailed(ZhiyinError):
    """An attempt was rolled back; another one may succeed, and is made when the row says so."""


class NothingToDo(ZhiyinError):
    """No attempt is to be made now: the action is unknown or done, one is under way, or it is too early for another."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class _Begun:
    """An attempt that was counted and is to be made."""

    request: ActionRequest
    attempts: int


class Ledger:
    """Performs actions, each of them once."""

    def __init__(self, database: Database, rules: RuleBook, settings: Settings) -> None:
        self._database = database
        self._rules = rules
        self._settings = settings

    async def accept(self, request: ActionRequest) -> ActionReceipt:
        """Write down what is to be done; the same action again changes nothing and is answered with its result.

        Raises:
            Conflict: the id was used before for another action, or so long ago that it may have been forgotten.
        """
        try:
            return await self._accept(request)
        except IntegrityError:
            # Another replica has just written the row; this time it is there.
            return await self._accept(request)

    async def _accept(self, request: ActionRequest) -> ActionReceipt:
        async with self._database.transaction(request.tenant) as session:
            record = await repository.find_action(session, request.id)
            if record is None:
                moment = now()
                forgotten = await repository.forgotten_until(session)
                if forgotten is not None and request.requested_at <= forgotten + CLOCKS:
                    raise Conflict("this action is too old to be begun: it may have been done and forgotten")
                record = ActionRecord(
                    action_id=request.id,
                    name=request.name,
                    customer=request.customer,
                    conversation_id=request.conversation_id,
                    request=request.model_dump(mode="json"),
                    status="started",
                    attempts=0,
                    resend_at=moment,
                )
                repository.add_action(session, record)
                log.info("action_accepted", action=request.id, name=request.name)
            elif not _is_same(record.request, request):
                raise Conflict("this id was already used for another action", field="id")
            return ActionReceipt(id=request.id, result=stored_result(record))

    async def perform(self, reference: ActionReference) -> ActionResult:
        """Make one attempt at an action; its result, or that it was given up.

        Raises:
            NothingToDo: no attempt is to be made now.
            AttemptFailed: it did not work this time.
        """
        begun = await self._begin(reference)
        if isinstance(begun, ActionResult):
            return begun
        request = begun.request
        with bound_contextvars(request_id=request.request_id, action=request.id, conversation=request.conversation_id):
            try:
                async with asyncio.timeout(self._settings.action_seconds):
                    return await self._close_with_effect(request)
            except NothingToDo:
                raise
            except Exception as error:
                log.warning("attempt_failed", name=request.name, error=type(error).__name__, attempts=begun.attempts)
                given_up = await self._count_failure(request, error)
                if given_up is None:
                    raise AttemptFailed(describe(error)) from error
                return given_up

    async def _begin(self, reference: ActionReference) -> _Begun | ActionResult:
        """Counts an attempt that is to be made, or gives the action up."""
        try:
            return await self._count_attempt(reference)
        except ValueError as error:
            # Raised where stored JSON is no JSON or no request, which no further attempt would change.
            return await self._give_up_unreadable(reference, error)

    async def _count_attempt(self, reference: ActionReference) -> _Begun | ActionResult:
        moment = now()
        async with self._database.transaction(reference.tenant) as session:
            record = await repository.find_action(session, reference.id, lock=True)
            if record is None:
                raise NothingToDo("unknown")
            if record.status != "started":
                raise NothingToDo("done")
            if record.running_until is not None and record.running_until > moment and _may_run(record.running_on):
                raise NothingToDo("busy")
            if record.not_before is not None and record.not_before > moment:
                raise NothingToDo("early")
            if record.attempts >= self._settings.max_attempts:
                if record.running_until is not None and record.running_until > moment:
                    raise NothingToDo("busy")
                return self._give_up(session, record, record.last_error or "its process ended", moment)
            request = ActionRequest.model_validate(record.request)
            if (request.id, request.tenant) != (record.action_id, record.tenant):
                raise ValueError("the request is another action's")
            record.attempts += 1
            record.sends = 0
            record.running_on = this_process()
            record.running_until = moment + timedelta(seconds=self._settings.hard_limit_seconds)
            record.resend_at = record.running_until
            record.updated_at = moment
            return _Begun(request, record.attempts)

    async def _close_with_effect(self, request: ActionRequest) -> ActionResult:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            claimed = await repository.claim_action(session, request.id, moment)
            record = await repository.find_action(session, request.id)
            assert record is not None
            if not claimed:
                raise NothingToDo("done")
            outcome = await actions.perform(
                session, self._rules, request, moment, most_tickets=self._settings.tickets_per_customer
            )
            result = close(record, outcome, moment)
            if outcome.closes is not None:
                await _close_other(session, outcome.closes, moment)
            await repository.flush(session)
            await faults.point(BEFORE_COMMIT)
        log.info("action_closed", name=request.name, status=result.status, error=result.error_code)
        return result

    async def _count_failure(self, request: ActionRequest, error: Exception) -> ActionResult | None:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            record = await repository.find_action(session, request.id, lock=True)
            if record is None or record.status != "started":
                raise NothingToDo("done")
            record.running_until = record.running_on = None
            record.last_error = describe(error)
            record.updated_at = moment
            if record.attempts >= self._settings.max_attempts:
                return self._give_up(session, record, record.last_error, moment)
            record.not_before = record.resend_at = moment + pause_before(record.attempts, self._settings.retry_seconds)
            return None

    def _give_up(self, session: AsyncSession, record: ActionRecord, error: str, moment: datetime) -> ActionResult:
        letter = DeadLetter(
            action_id=record.action_id,
            name=record.name,
            payload=_as_text(record.request),
            error=error,
            attempts=record.attempts,
            created_at=moment,
        )
        repository.add_dead_letter(session, letter)
        log.error("action_given_up", action=record.action_id, name=record.name, attempts=record.attempts)
        return close(record, Outcome(status="failed", error_code=GAVE_UP), moment)

    async def _give_up_unreadable(self, reference: ActionReference, error: ValueError) -> ActionResult:
        moment = now()
        async with self._database.transaction(reference.tenant) as session:
            record = await repository.find_action(session, reference.id, lock=True, without_json=True)
            if record is None or record.status != "started":
                # What was performed stays performed.
                raise NothingToDo("done") from error
            letter = DeadLetter(
                action_id=record.action_id,
                name=record.name,
                payload="",
                error=UNREADABLE,
                attempts=record.attempts,
                created_at=moment,
            )
            repository.add_dead_letter(session, letter)
            log.error("action_unreadable", action=record.action_id, name=record.name, error=type(error).__name__)
            return close(record, Outcome(status="failed", error_code=UNREADABLE), moment)


def close(record: ActionRecord, outcome: Outcome, moment: datetime) -> ActionResult:
    """Stores what became of an action as the next version of its result."""
    result = ActionResult(
        action_id=record.action_id,
        tenant=record.tenant,
        name=record.name,
        conversation_id=record.conversation_id,
        status=outcome.status,
        version=record.result_version + 1,
        data=outcome.data,
        error_code=outcome.error_code,
    )
    record.status = result.status
    record.result = result.model_dump(mode="json")
    record.result_version = result.version
    record.running_until = record.running_on = record.not_before = None
    # The worker publishes the result itself right after the commit; the outbox leaves it that long.
    record.resend_at = moment + PUBLISH_GRACE
    record.updated_at = moment
    return result


async def _close_other(session: AsyncSession, closed: actions.Closed, moment: datetime) -> None:
    """Closes the action that another one has ended; the outbox publishes its result."""
    other = await repository.find_action(session, closed.action_id, lock=True)
    if other is not None:
        close(other, closed.outcome, moment)
        other.resend_at = moment


def stored_result(record: ActionRecord) -> ActionResult | None:
    """The newest result of an action, if it has one."""
    return None if record.result is None else ActionResult.model_validate(record.result)


def pause_before(attempts: int, first_seconds: float) -> timedelta:
    """How long after so many failed attempts the next one is made: doubles, with jitter."""
    longest = min(MAX_PAUSE_SECONDS, first_seconds * 2.0 ** min(attempts - 1, MAX_DOUBLINGS))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))


def describe(error: BaseException) -> str:
    """An error in a line for an operator, without the values of a statement, which are a customer's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(error).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}".rstrip(": ")[:MAX_ERROR]


@cache
def _host() -> str:
    return socket.gethostname()[:64]


def this_process() -> str:
    """The process that asks: its machine, its number, and when it began, because numbers are used again."""
    return f"{_host()}/{os.getpid()}/{_began(os.getpid())}"


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended. The times follow the state, which is the third field of the file.
    return "" if fields[0] == "Z" else fields[19]


def _may_run(process: str | None) -> bool:
    """Whether an attempt in that process may be under way: one on another machine may, until its time is over.

    This process makes one attempt at a time, so what it began before has ended.
    """
    if process is None or process == this_process():
        return False
    host, _, rest = process.partition("/")
    pid, _, began = rest.partition("/")
    return host != _host() or not pid.isdigit() or _began(int(pid)) == began


def _is_same(stored: dict[str, Any], request: ActionRequest) -> bool:
    """Whether a request asks for what was stored; when, and under which id in the logs, may differ."""
    known = ActionRequest.model_validate(stored)
    loose = {"requested_at", "request_id"}
    return known.model_dump(exclude=loose) == request.model_dump(exclude=loose)


def _as_text(payload: Any) -> str:
    text = json.dumps(payload, ensure_ascii=False, default=repr)[:MAX_PAYLOAD]
    # Half of a character pair can be in JSON and in no database.
    return text.encode("utf-8", "replace").decode("utf-8")
