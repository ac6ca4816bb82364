"""Dialogue's outbox: decided actions, sent to business until their final result has been told.

An action's row is committed with the turn that decided it. Business takes it into its ledger over HTTP, performs an id
once, and answers a repeated one with the newest result, so sending again is also how a result is fetched: at once when
the queue says that there is news, and after growing pauses when it says nothing. What anybody writes into that queue
can only make dialogue ask business.

An action that fails by itself (it cannot be read, business refuses it, its result cannot be told) is tried again after
growing pauses, and becomes a dead letter in the end. That business or a database is away is no failure of the action.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from services.dialogue.actions import repository
from services.dialogue.conversation.models import DeadLetter
from services.dialogue.settings import Settings
from shared.calls.client import ServiceClient
from shared.contracts.actions import ActionReceipt, ActionReference, ActionRequest, ActionResult
from shared.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InternalError,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UpstreamError,
    ZhiyinError,
)
from shared.queue.outbox import OutboxRelay, pause_after
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["ActionOutbox", "DueAction", "NotTold", "action_relay"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
CALL_SECONDS = 5.0
AWAY = timedelta(seconds=2)
MAX_ERROR = 200

AWAY_PROBLEMS = (
    Unavailable,
    DeadlineExceeded,
    UpstreamError,
    InternalError,
    Unauthenticated,
    Forbidden,
    TooManyRequests,
)
"""Answers that say nothing about the action: the same one may be taken in a moment, or once a setting is mended."""

SENT = Counter("zhiyin_outbox_sent_total", "Actions that business was asked for", ["again"])
FAILED = Counter("zhiyin_outbox_failures_total", "Attempts at actions of the outbox that failed by themselves")
DEAD = Counter("zhiyin_outbox_dead_letters_total", "Actions of the outbox that were given up")
LETTERS = Gauge("zhiyin_outbox_dead_letters_waiting", "Dead letters that were neither tried again nor dismissed")
WAITING = Gauge("zhiyin_outbox_waiting", "Actions of which no result was told, approvals that are waited for aside")
OLDEST = Gauge("zhiyin_outbox_oldest_seconds", "For how long the oldest of them has waited")
for _again in ("no", "yes"):
    SENT.labels(_again)


class NotTold(ZhiyinError):
    """A result is there, and the conversation did not take it."""


@dataclass(frozen=True)
class DueAction:
    """An action to be sent, and how often it has been sent, this time included."""

    id: str
    tenant: str
    conversation_id: str
    attempts: int
    failures: int


class ActionOutbox:
    """The rows of the outbox table, sent to business."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: ServiceClient,
        tell: Callable[[ActionResult], Awaitable[None]],
    ) -> None:
        """`tell` hands a result to its conversation; it does nothing for one that was told before."""
        self._settings = settings
        self._database = database
        self._client = client
        self._tell = tell

    async def has_due(self, session: AsyncSession, moment: datetime) -> bool:
        """Whether an action waits to be sent; also keeps the figures of what waits up to date."""
        LETTERS.set(await repository.count_letters(session))
        waiting, oldest = await repository.backlog(session)
        WAITING.set(waiting)
        OLDEST.set(0 if oldest is None else (moment - oldest).total_seconds())
        return await repository.has_due(session, moment)

    async def claim(self, session: AsyncSession, moment: datetime, limit: int) -> Sequence[DueAction]:
        """Due actions; each is due again after a pause that grows with its attempts."""
        items: list[DueAction] = []
        for row in await repository.due_rows(session, moment, limit):
            item = DueAction(row.action_id, row.tenant, row.conversation_id, row.attempts + 1, row.failures)
            await repository.postpone(session, [item.id], moment + self._pause(item.attempts), attempts=1)
            items.append(item)
        return items

    async def send(self, item: DueAction) -> None:
        """Have business perform the action, and tell what has become of it.

        Raises:
            Unavailable: business or the database is away.
            NotTold: the conversation did not take the result.
        """
        async with self._database.reading(item.tenant) as session:
            stored, told = await repository.request_of_action(session, item.id)
        request = ActionRequest.model_validate(stored)
        if (request.id, request.tenant) != (item.id, item.tenant):
            raise NotTold("the request is another action's")
        with bound_contextvars(request_id=request.request_id, action=item.id, conversation=item.conversation_id):
            try:
                receipt = await self._ask(request)
            except Conflict:
                # Business has forgotten by now what was done and told long ago.
                async with self._database.transaction(item.tenant) as session:
                    if not await repository.finish_settled(session, item.id):
                        raise
                return
            SENT.labels("no" if item.attempts == 1 else "yes").inc()
            result = receipt.result
            if result is not None and result.version > told:
                await self._hand_over(item, result)
        async with self._database.transaction(item.tenant) as session:
            await repository.finish(session, item.id, done=result is not None and result.final)

    async def failed(self, item: DueAction, error: Exception) -> None:
        """Count the failure; after so many of them the action is a dead letter."""
        FAILED.inc()
        # Only the kind: a text may repeat what a customer wrote.
        reason = (error.detail if isinstance(error, Problem) else type(error).__name__)[:MAX_ERROR]
        until = now() + self._pause(item.failures + 1)
        async with self._database.transaction(item.tenant) as session:
            failures = await repository.count_failure(session, item.id, reason, until)
            if failures < self._settings.max_failures:
                return
            letter = DeadLetter(
                action_id=item.id, conversation_id=item.conversation_id, error=reason, attempts=failures
            )
            await repository.give_up(session, letter)
        DEAD.inc()
        log.error("action_not_told", action=item.id, conversation=item.conversation_id, failures=failures)

    async def put_off(self, items: Sequence[DueAction]) -> None:
        """Have these sent soon after business is back, with the pauses that they had."""
        async with self._database.transaction(ALL_TENANTS) as session:
            await repository.postpone(session, [item.id for item in items], now() + AWAY, attempts=-1)

    async def news(self, action: ActionReference) -> bool:
        """Somebody says that there is news of an action: have it looked at; whether there is such an action."""
        async with self._database.transaction(action.tenant) as session:
            return await repository.bring_forward(session, action, now())

    async def _ask(self, request: ActionRequest) -> ActionReceipt:
        try:
            answer = await self._client.post(
                "business",
                "/v1/actions",
                json=request.model_dump(mode="json"),
                deadline=CALL_SECONDS,
                retry=True,
                tenant=request.tenant,
            )
        except AWAY_PROBLEMS as error:
            raise Unavailable(f"business does not take actions: {error.detail}") from error
        receipt = ActionReceipt.model_validate(answer)
        result = receipt.result
        if receipt.id != request.id or (
            result is not None
            and (result.action_id, result.tenant, result.conversation_id)
            != (request.id, request.tenant, request.conversation_id)
        ):
            raise NotTold("business answered for another action")
        return receipt

    async def _hand_over(self, item: DueAction, result: ActionResult) -> None:
        try:
            await self._tell(result)
        except (Unavailable, SQLAlchemyError):
            raise
        except ZhiyinError as error:
            raise NotTold(str(error)) from error
        async with self._database.reading(item.tenant) as session:
            _, told = await repository.request_of_action(session, item.id)
        if told < result.version:
            raise NotTold("the conversation did not take the result")

    def _pause(self, attempts: int) -> timedelta:
        return pause_after(
            attempts,
            first_seconds=self._settings.resend_first_seconds,
            most_seconds=self._settings.resend_most_seconds,
        )


def action_relay(database: Database, outbox: ActionOutbox) -> OutboxRelay:
    """The relay of dialogue's outbox."""
    return OutboxRelay("actions", database, outbox, look_seconds=LOOK_SECONDS)
