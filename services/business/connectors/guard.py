"""A system behind its limits: so many calls at once and a second, a breaker, a time limit; measured and logged."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.business.connectors.outcomes import ConnectionLost, NothingHappened, OutcomeUnknown
from shared.assistants.connectors import Connector
from shared.assistants.plugins import Call, NotSent, Reply, System
from shared.calls.circuit_breaker import Breaker, BreakerPolicy

__all__ = ["Guard"]

log = structlog.get_logger(__name__)

CALLS = Counter("zhiyin_connector_calls_total", "Calls to companies' systems", ["connector", "outcome"])
SECONDS = Histogram("zhiyin_connector_call_seconds", "Time a call to a company's system took", ["connector"])
OPEN = Gauge("zhiyin_connector_open_breakers", "Systems that are left alone for a moment", ["connector"])

MOST_NAMES = 200
OTHERS = "other"
"""Stands in metrics for the connectors beyond so many: anybody who publishes an assistant names some."""
_named: set[str] = set()


def _label(connector: str) -> str:
    if connector not in _named and len(_named) < MOST_NAMES:
        _named.add(connector)
    return connector if connector in _named else OTHERS


class Guard:
    """What calls of one system go through."""

    def __init__(self, connector: Connector, system: System) -> None:
        self.connector = connector.connector
        self._system = system
        self._label = _label(connector.connector)
        self._room = asyncio.Semaphore(connector.at_once)
        self._pace = None if connector.per_second is None else _Pace(connector.per_second)
        self._breaker = Breaker(
            BreakerPolicy(failures=connector.breaker.failures, open_seconds=connector.breaker.seconds)
        )
        self._pause = connector.breaker.seconds
        self._open = False

    async def close(self) -> None:
        """Gives connections back."""
        self._note_breaker(open_now=False)
        await self._system.close()

    async def call(self, name: str, call: Call, until: float) -> Reply:
        """One call, within its own time and that of whoever asks.

        Args:
            name: what is asked, as logs call it.
            until: the caller's deadline on the event loop's clock.

        Raises:
            NothingHappened: nothing has reached the system.
            OutcomeUnknown: the call may have reached it, and there is no answer.
        """
        started = time.perf_counter()
        status, outcome = None, "error"
        try:
            async with self._turn(call, until) as seconds:
                reply = await self._ask(replace(call, seconds=seconds))
            status, outcome = reply.status, _outcome_of(reply)
            return reply
        except NothingHappened:
            outcome = "not_sent"
            raise
        except OutcomeUnknown:
            outcome = "unknown"
            raise
        finally:
            spent = time.perf_counter() - started
            CALLS.labels(self._label, outcome).inc()
            SECONDS.labels(self._label).observe(spent)
            log.info(
                "connector_called",
                connector=self.connector,
                call=name,
                status=status,
                outcome=outcome,
                ms=round(spent * 1000, 1),
            )

    @asynccontextmanager
    async def _turn(self, call: Call, until: float) -> AsyncIterator[float]:
        """Waits for a turn, and gives the seconds that the call may take."""
        loop = asyncio.get_running_loop()
        self._refuse_while_open()
        try:
            async with asyncio.timeout_at(until):
                await self._room.acquire()
        except TimeoutError:
            raise NothingHappened(f"'{self.connector}' has too many calls at once") from None
        try:
            if self._pace is not None:
                await self._pace.wait(until, self.connector)
            self._refuse_while_open()
            left = until - loop.time()
            if left <= 0:
                raise NothingHappened(f"there is no time left to ask '{self.connector}'")
            yield min(left, call.seconds)
        finally:
            self._room.release()

    async def _ask(self, call: Call) -> Reply:
        self._breaker.admit()
        works: bool | None = False
        try:
            async with asyncio.timeout(call.seconds):
                reply = await self._system.call(call)
            works = reply.status < 500 and reply.status != 429
            return reply
        except NotSent as error:
            raise NothingHappened(f"'{self.connector}': {error}") from error
        except TimeoutError as error:
            raise OutcomeUnknown(f"'{self.connector}' did not answer in time") from error
        except ConnectionError as error:
            raise ConnectionLost(f"'{self.connector}': {error}") from error
        except asyncio.CancelledError:
            works = None  # the caller went away, which says nothing about the system
            raise
        except Exception as error:
            # A plug-in is code of somebody else.
            log.warning("connector_failed", connector=self.connector, error=type(error).__name__, exc_info=error)
            raise OutcomeUnknown(f"'{self.connector}' failed ({type(error).__name__})") from error
        finally:
            if works is not None:
                self._breaker.record(success=works)
            self._note_breaker(open_now=not self._breaker.closed)

    def _refuse_while_open(self) -> None:
        if not self._breaker.closed:
            raise NothingHappened(f"'{self.connector}' has failed and is left alone for a moment", self._pause)

    def _note_breaker(self, *, open_now: bool) -> None:
        if open_now != self._open:
            self._open = open_now
            OPEN.labels(self._label).inc(1 if open_now else -1)


def _outcome_of(reply: Reply) -> str:
    if reply.status >= 500:
        return "failed"
    if reply.status >= 300:
        return "refused"
    return "ok" if reply.garbled is None else "garbled"


class _Pace:
    """So many calls in any second."""

    def __init__(self, per_second: float) -> None:
        self._calls: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._period = (self._calls.maxlen or 1) / per_second

    async def wait(self, until: float, connector: str) -> None:
        """Waits for its place; raises `NothingHappened` when it would come after the deadline."""
        now = asyncio.get_running_loop().time()
        full = len(self._calls) == self._calls.maxlen
        moment = max(now, self._calls[0] + self._period) if full else now
        if moment >= until:
            raise NothingHappened(f"'{connector}' has too many calls in a second", moment - now)
        self._calls.append(moment)
        await asyncio.sleep(moment - now)
