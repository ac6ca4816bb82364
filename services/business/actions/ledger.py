"""The ledger: every action has one row, which says what is to be done and what became of it.

`accept` writes the row, from what dialogue asks for over HTTP with its own token. From then on the row is the only
truth: what comes off the queue names it and nothing else. An attempt is counted in a transaction of its own before
anything is tried, so that an attempt which kills its process is counted too.

An effect in a company's system is made by `foreign`. One in the demo shop's own tables is made in the transaction that
claims the row while it still says `started`, and stores the result. However often and from however many processes an id
comes, one claims it, and the others find its result.

When an attempt may be made stands in the row as well. A reference that comes again while an attempt is under way, or
before a failed one may be repeated, does nothing: whoever repeats references cannot use up an action's attempts.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from services.business import repository
from services.business.actions import built_in
from services.business.actions import repository as rows
from services.business.actions.effects import Effects
from services.business.actions.foreign import Begun, ForeignActions
from services.business.actions.leases import may_run, this_process
from services.business.actions.repository import Entry
from services.business.actions.results import (
    GAVE_UP,
    UNREADABLE,
    AttemptFailed,
    NothingToDo,
    as_text,
    close,
    describe,
    pause_before,
)
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop import actions
from shared import faults
from shared.contracts.actions import ActionReceipt, ActionReference, ActionRequest, ActionResult
from shared.contracts.built_in import WITHDRAW_ACTION
from shared.errors import Conflict
from shared.storage.database import Database, now
from shared.storage.statements import Unit

__all__ = ["BEFORE_COMMIT", "Ledger"]

log = structlog.get_logger(__name__)

BEFORE_COMMIT = "business.perform.before_commit"
CLOCKS = timedelta(hours=1)
"""By so much the clocks of dialogue and business may differ."""


class Ledger:
    """Performs actions, each of them once."""

    def __init__(
        self, database: Database, rules: RuleBook | None, settings: Settings, effects: Effects | None = None
    ) -> None:
        """Without `effects` nothing is done in foreign systems."""
        self._database = database
        self._rules = rules
        self._settings = settings
        self._foreign = None if effects is None else ForeignActions(database, effects, settings)

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
                    assistant=request.assistant,
                    request=request.model_dump(mode="json"),
                    status="started",
                    attempts=0,
                    resend_at=moment,
                )
                repository.add_action(session, record)
                log.info("action_accepted", action=request.id, name=request.name)
            elif not _is_same(record.request, request):
                raise Conflict("this id was already used for another action", field="id")
            return ActionReceipt(id=request.id, result=_stored_result(record))

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
            if request.name == WITHDRAW_ACTION:
                return await self._withdraw(request)
            # Also where the connector is gone since: a call that was made must not be forgotten.
            if self._foreign is not None and (begun.effects or self._foreign.handles(request)):
                return await self._foreign.perform(begun)
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

    async def _begin(self, reference: ActionReference) -> Begun | ActionResult:
        """Counts an attempt that is to be made, or gives the action up."""
        try:
            begun = await self._database.write(reference.tenant, lambda unit: self._count_attempt(unit, reference))
        except ValueError as error:
            # Raised where stored JSON is no JSON or no request, which no further attempt would change.
            return await self._give_up_unreadable(reference, error)
        if begun is None:
            raise NothingToDo("given up")
        return begun

    def _count_attempt(self, unit: Unit, reference: ActionReference) -> Begun | ActionResult | None:
        moment = now()
        entry = rows.entry_of(unit, reference.id)
        if entry is None:
            raise NothingToDo("unknown")
        if entry.status != "started":
            raise NothingToDo("done")
        if entry.running_until is not None and entry.running_until > moment and may_run(entry.running_on):
            raise NothingToDo("busy")
        if entry.not_before is not None and entry.not_before > moment:
            raise NothingToDo("early")
        effects = rows.effects_of(unit, reference.id)
        if entry.attempts >= self._settings.max_attempts:
            if entry.running_until is not None and entry.running_until > moment:
                raise NothingToDo("busy")
            why = entry.last_error or "its process ended"
            if self._foreign is not None and effects:
                return self._foreign.give_up(unit, entry, effects, why, moment)
            return self._give_up(unit, entry, why, moment)
        request = ActionRequest.model_validate(entry.request)
        if (request.id, request.tenant) != (entry.action_id, entry.tenant):
            raise ValueError("the request is another action's")
        entry.attempts += 1
        entry.sends = 0
        entry.running_on = this_process()
        entry.running_until = moment + timedelta(seconds=self._settings.hard_limit_seconds)
        entry.resend_at = entry.running_until
        entry.updated_at = moment
        rows.save_entry(unit, entry)
        return Begun(request, entry.attempts, effects)

    async def _withdraw(self, request: ActionRequest) -> ActionResult:
        def work(unit: Unit) -> ActionResult:
            entry = rows.entry_of(unit, request.id)
            if entry is None or entry.status != "started":
                raise NothingToDo("done")
            return built_in.withdraw(unit, entry, request, now())

        return await self._database.write(request.tenant, work)

    async def _close_with_effect(self, request: ActionRequest) -> ActionResult:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            claimed = await repository.claim_action(session, request.id, moment)
            record = await repository.find_action(session, request.id)
            assert record is not None
            if not claimed:
                raise NothingToDo("done")
            outcome = actions.Outcome(status="failed", error_code="unknown_action")
            if self._rules is not None:
                outcome = await actions.perform(
                    session, self._rules, request, moment, most_tickets=self._settings.tickets_per_customer
                )
            result = _closed(record, outcome, moment)
            if outcome.closes is not None:
                await _close_other(session, outcome.closes, moment)
            await repository.flush(session)
            await faults.point(BEFORE_COMMIT)
        log.info("action_closed", name=request.name, status=result.status, error=result.error_code)
        return result

    async def _count_failure(self, request: ActionRequest, error: Exception) -> ActionResult | None:
        def work(unit: Unit) -> ActionResult | None:
            moment = now()
            entry = rows.entry_of(unit, request.id)
            if entry is None or entry.status != "started":
                raise NothingToDo("done")
            entry.running_until = entry.running_on = None
            entry.last_error = describe(error)
            entry.updated_at = moment
            if entry.attempts >= self._settings.max_attempts:
                return self._give_up(unit, entry, entry.last_error, moment)
            entry.not_before = entry.resend_at = moment + pause_before(entry.attempts, self._settings.retry_seconds)
            rows.save_entry(unit, entry)
            return None

        return await self._database.write(request.tenant, work)

    def _give_up(self, unit: Unit, entry: Entry, error: str, moment: datetime) -> ActionResult:
        rows.add_letter(unit, entry, payload=as_text(entry.request), error=error, moment=moment)
        log.error("action_given_up", action=entry.action_id, name=entry.name, attempts=entry.attempts)
        result = close(entry, moment, status="failed", data={}, error_code=GAVE_UP)
        rows.save_entry(unit, entry)
        return result

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
            return close(record, moment, status="failed", data={}, error_code=UNREADABLE)


def _closed(record: ActionRecord, outcome: actions.Outcome, moment: datetime) -> ActionResult:
    return close(record, moment, status=outcome.status, data=outcome.data, error_code=outcome.error_code)


async def _close_other(session: AsyncSession, closed: actions.Closed, moment: datetime) -> None:
    """Closes the action that another one has ended; the outbox publishes its result."""
    other = await repository.find_action(session, closed.action_id, lock=True)
    if other is not None:
        _closed(other, closed.outcome, moment)
        other.resend_at = moment


def _stored_result(record: ActionRecord) -> ActionResult | None:
    """The newest result of an action, if it has one."""
    return None if record.result is None else ActionResult.model_validate(record.result)


def _is_same(stored: dict[str, Any], request: ActionRequest) -> bool:
    """Whether a request asks for what was stored; when, and under which id in the logs, may differ."""
    known = ActionRequest.model_validate(stored)
    loose = {"requested_at", "request_id"}
    return known.model_dump(exclude=loose) == request.model_dump(exclude=loose)
