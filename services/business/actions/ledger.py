"""The ledger: every action has one row, and its effect is made in the transaction that closes the row.

An attempt is counted in a transaction of its own before anything is tried, so that an attempt which kills its process
is counted too. Then one transaction claims the row while it still says `started`, makes the effect and stores the
result. However often and from however many processes an id comes, one claims it, and the others find its result.
"""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.business import repository
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop import actions
from services.business.shop.actions import Outcome
from shared import faults
from shared.contracts.actions import ActionRequest, ActionResult, Identifier
from shared.errors import ZhiyinError
from shared.storage.database import Database, now

__all__ = ["BEFORE_COMMIT", "GAVE_UP", "PUBLISH_GRACE", "AttemptFailed", "Ledger", "close", "describe", "stored_result"]

log = structlog.get_logger(__name__)

BEFORE_COMMIT = "business.perform.before_commit"
GAVE_UP = "attempts_exhausted"
PUBLISH_GRACE = timedelta(seconds=2)
MAX_PAYLOAD = 20_000
MAX_ERROR = 200

DEAD = Counter("zhiyin_business_dead_letters_total", "Messages that were given up")

_identifier: TypeAdapter[str] = TypeAdapter(Identifier)


class AttemptFailed(ZhiyinError):
    """An attempt was rolled back; another one may succeed."""


class Ledger:
    """Performs actions, each of them once."""

    def __init__(self, database: Database, rules: RuleBook, settings: Settings) -> None:
        self._database = database
        self._rules = rules
        self._settings = settings

    async def perform(self, request: ActionRequest) -> ActionResult | None:
        """Make one attempt at an action, unless it has its result already.

        Returns:
            The result; `None` when all attempts are used and the last one may still be running elsewhere.

        Raises:
            AttemptFailed: it did not work this time.
        """
        begun, result = await self._begin(request)
        if not begun:
            return result
        try:
            async with asyncio.timeout(self._settings.action_seconds):
                return await self._close_with_effect(request)
        except Exception as error:
            log.warning("attempt_failed", action=request.id, name=request.name, error=type(error).__name__)
            given_up = await self._count_failure(request, error)
            if given_up is None:
                raise AttemptFailed(describe(error)) from error
            return given_up

    async def bury(self, payload: Any, reason: str) -> None:
        """Keep a malformed message for an operator; the same action's message is kept once."""
        known = payload if isinstance(payload, dict) else {}
        action_id = _text_of(known.get("id"))
        async with self._database.transaction(_text_of(known.get("tenant")) or self._settings.tenant) as session:
            if action_id is not None and await repository.is_buried(session, action_id):
                return
            letter = DeadLetter(action_id=action_id, payload=_as_text(payload), error=reason[:MAX_ERROR])
            repository.add_dead_letter(session, letter)
        DEAD.inc()
        log.error("message_malformed", action=action_id)

    async def _begin(self, request: ActionRequest) -> tuple[bool, ActionResult | None]:
        """Counts an attempt; whether it may be made, and the result if there is one."""
        try:
            return await self._count_attempt(request)
        except IntegrityError:
            # Another process has just written the row's first version; this time it is there.
            return await self._count_attempt(request)

    async def _count_attempt(self, request: ActionRequest) -> tuple[bool, ActionResult | None]:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            record = await repository.find_action(session, request.id, lock=True)
            if record is None:
                record = ActionRecord(
                    action_id=request.id,
                    name=request.name,
                    customer=request.customer,
                    conversation_id=request.conversation_id,
                    request=request.model_dump(mode="json"),
                    status="started",
                    attempts=0,
                )
                repository.add_action(session, record)
            elif record.status != "started":
                return False, stored_result(record)
            elif record.attempts >= self._settings.max_attempts:
                if record.running_until is not None and record.running_until > moment:
                    return False, None
                return False, self._give_up(session, record, record.last_error or "its process ended", moment)
            record.attempts += 1
            record.running_until = moment + timedelta(seconds=self._settings.hard_limit_seconds)
            record.resend_at = record.running_until + timedelta(seconds=self._settings.resend_seconds)
            record.updated_at = moment
        return True, None

    async def _close_with_effect(self, request: ActionRequest) -> ActionResult | None:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            claimed = await repository.claim_action(session, request.id, moment)
            record = await repository.find_action(session, request.id)
            assert record is not None
            if not claimed:
                return stored_result(record)
            outcome = await actions.perform(session, self._rules, request, moment)
            result = close(record, outcome, moment)
            if outcome.closes is not None:
                await _close_other(session, outcome.closes, moment)
            await repository.flush(session)
            await faults.point(BEFORE_COMMIT)
        log.info("action_closed", action=request.id, name=request.name, status=result.status, error=result.error_code)
        return result

    async def _count_failure(self, request: ActionRequest, error: Exception) -> ActionResult | None:
        moment = now()
        async with self._database.transaction(request.tenant) as session:
            record = await repository.find_action(session, request.id, lock=True)
            if record is None or record.status != "started":
                return None if record is None else stored_result(record)
            record.running_until = None
            record.last_error = describe(error)
            record.updated_at = moment
            if record.attempts >= self._settings.max_attempts:
                return self._give_up(session, record, record.last_error, moment)
            return None

    def _give_up(self, session: AsyncSession, record: ActionRecord, error: str, moment: datetime) -> ActionResult:
        repository.add_dead_letter(
            session,
            DeadLetter(
                action_id=record.action_id,
                name=record.name,
                payload=_as_text(record.request),
                error=error,
                attempts=record.attempts,
                created_at=moment,
            ),
        )
        DEAD.inc()
        log.error("action_given_up", action=record.action_id, name=record.name, attempts=record.attempts)
        return close(record, Outcome(status="failed", error_code=GAVE_UP), moment)


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
    record.running_until = None
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


def describe(error: BaseException) -> str:
    """An error in a line for an operator, without the values of a statement, which are a customer's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(error).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}".rstrip(": ")[:MAX_ERROR]


def _as_text(payload: Any) -> str:
    text = json.dumps(payload, ensure_ascii=False, default=repr)[:MAX_PAYLOAD]
    # Half of a character pair can be in JSON and in no database.
    return text.encode("utf-8", "replace").decode("utf-8")


def _text_of(value: Any) -> str | None:
    try:
        return _identifier.validate_python(value, strict=True)
    except ValidationError:
        return None
