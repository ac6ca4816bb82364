"""What the ledger asks of whoever calls foreign systems, over plain HTTP: actions of every delivery, and sagas.

The action's name says what it is: `<delivery>` or `<delivery>_approved`, whose argument `about` says what comes of it.
`trip` is a saga of three steps, the first two of which can be taken back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import aiohttp

from services.business.actions.effects import Delivery, Prepared
from services.business.connectors.outcomes import Done, NothingHappened, OutcomeUnknown, Refused, SystemRefused
from shared.assistants.connectors import Approval, SagaStep
from shared.contracts.actions import ActionRequest

__all__ = ["SETTLE", "HttpEffects", "opened"]

SECONDS = 0.4
SETTLE = timedelta(milliseconds=150)
TRIP = [
    {"action": "idempotent", "arguments": {"about": "flight"}, "save": "booked",
     "undo": {"action": "idempotent", "arguments": {"about": "'cancel ' + booked.number"}}},
    {"action": "queryable", "arguments": {"about": "hotel"}, "undo": {"action": "queryable"}},
    {"action": "idempotent", "arguments": {"refuse": "refuse", "wrong": "wrong", "about": "booked.number"},
     "save": "car"},
]  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """What `prepare` gives."""

    delivery: Delivery
    arguments: dict[str, Any]
    scope: dict[str, Any]
    approval: Approval | None = None
    saga: list[SagaStep] | None = None
    settle: timedelta = SETTLE
    title: dict[str, str] | None = field(default_factory=lambda: {"zh": "动作", "en": "An action"})
    known: dict[str, Any] = field(default_factory=lambda: {"owner": 1})


class HttpEffects:
    """Calls the system of `tests.foreign.system`."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, settle: timedelta = SETTLE) -> None:
        self._url = url
        self._session = session
        self._settle = settle
        self.refuses: str | None = None
        """A check that comes to a refusal, whatever is asked for."""

    def handles(self, request: ActionRequest) -> bool:
        return request.name.split("_")[0] in ("idempotent", "queryable", "once", "trip")

    async def prepare(self, request: ActionRequest, moment: datetime) -> Refused | Checked:
        if self.refuses is not None:
            return Refused(self.refuses, {"checked": True})
        name, _, approved = request.name.partition("_")
        scope = {**request.arguments, "customer": request.customer, "now": moment.isoformat(), "before": {"owner": 1}}
        return Checked(
            delivery=cast(Delivery, "once" if name == "trip" else name),
            arguments=request.arguments,
            scope=scope,
            approval=Approval.model_validate({"within": "3d", "remind": "1d"}) if approved else None,
            saga=[SagaStep.model_validate(each) for each in TRIP] if name == "trip" else None,
            settle=self._settle,
        )

    async def perform(self, request: ActionRequest, prepared: Prepared, *, key: str) -> Done | Refused:
        headers = {"Idempotency-Key": key}
        timeout = aiohttp.ClientTimeout(SECONDS)
        body = {**prepared.arguments, "now": prepared.scope["now"]}
        url = f"{self._url}/effects/{request.name.split('_')[0]}"
        try:
            async with self._session.post(url, json=body, headers=headers, timeout=timeout) as answer:
                if answer.status in (429, 503):
                    raise NothingHappened(str(answer.status), again_after=0.0)
                if answer.status == 409:
                    return Refused((await answer.json())["code"])
                if 400 <= answer.status < 500:
                    raise SystemRefused(str(answer.status))
                if answer.status >= 500:
                    raise OutcomeUnknown(str(answer.status))
                return Done(await answer.json())
        except aiohttp.ClientConnectorError as error:
            raise NothingHappened("refused") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OutcomeUnknown(type(error).__name__) from error

    async def happened(self, _request: ActionRequest, _prepared: Prepared, *, key: str) -> Done | Refused | None:
        try:
            async with self._session.get(f"{self._url}/effects/{key}") as answer:
                return None if answer.status == 404 else Done(await answer.json())
        except aiohttp.ClientError as error:
            raise NothingHappened("away") from error

    def finished(self, _request: ActionRequest, _prepared: Prepared, saved: dict[str, Any]) -> Done:
        return Done(saved)


@asynccontextmanager
async def opened(url: str, *, settle: timedelta = SETTLE) -> AsyncIterator[HttpEffects]:
    """Calls to the system at an address."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield HttpEffects(url, session, settle=settle)
