"""Limits around a system: at once, a second, the breaker; what is measured and logged."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.business.connectors import guard as guard_module
from services.business.connectors.guard import MOST_NAMES, Guard
from services.business.connectors.outcomes import NothingHappened, OutcomeUnknown
from shared.assistants.connectors import Connector
from shared.assistants.plugins import Call, NotSent, Reply

CALL = Call(method="GET", path="/", seconds=5.0)

Answer = Callable[[Call], Awaitable[Reply]]


class Scripted:
    """A system that does what it is given, as a plug-in may."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls = 0
        self.closed = False

    async def call(self, call: Call) -> Reply:
        self.calls += 1
        return await self.answer(call)

    async def close(self) -> None:
        self.closed = True


def guarded(answer: Answer, **declared: Any) -> tuple[Guard, Scripted]:
    system = Scripted(answer)
    return Guard(Connector.model_validate({"connector": "core"} | declared), system), system


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def status(number: int) -> Answer:
    async def answer(_call: Call) -> Reply:
        return Reply(status=number)

    return answer


def failing(error: Exception) -> Answer:
    async def answer(_call: Call) -> Reply:
        raise error

    return answer


async def test_no_more_calls_run_at_once_than_the_file_says() -> None:
    running, most = 0, 0
    free, full = asyncio.Event(), asyncio.Event()

    async def answer(_call: Call) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            full.set()
        await free.wait()
        running -= 1
        return Reply(status=200)

    guard, system = guarded(answer, at_once=2)
    tasks = [asyncio.create_task(guard.call("card", CALL, soon())) for _ in range(5)]
    async with asyncio.timeout(5):
        await full.wait()
    with pytest.raises(NothingHappened, match="too many calls at once"):
        await guard.call("card", CALL, soon(0.01))
    assert system.calls == 2
    free.set()
    assert [reply.status for reply in await asyncio.gather(*tasks)] == [200] * 5
    assert most == 2


async def test_no_more_calls_begin_in_a_second_than_the_file_says() -> None:
    guard, system = guarded(status(200), per_second=3)
    for _ in range(3):
        await guard.call("card", CALL, soon())
    with pytest.raises(NothingHappened, match="too many calls in a second") as late:
        await guard.call("card", CALL, soon(0.1))
    assert late.value.again_after is not None
    assert 0.5 < late.value.again_after <= 1.0
    assert system.calls == 3


async def test_a_call_waits_for_its_place_while_there_is_time() -> None:
    guard, system = guarded(status(200), per_second=1.9)
    await asyncio.gather(*(guard.call("card", CALL, soon()) for _ in range(2)))
    assert system.calls == 2


@pytest.mark.parametrize(
    "answer", [status(500), status(429), failing(NotSent("gone")), failing(TimeoutError()), failing(ValueError("x"))]
)
async def test_a_system_that_fails_is_left_alone_until_a_trial_works(answer: Answer) -> None:
    guard, system = guarded(answer, breaker={"failures": 2, "seconds": 0.05})
    for _ in range(2):
        with suppress(NothingHappened, OutcomeUnknown):
            await guard.call("card", CALL, soon())
    opened = REGISTRY.get_sample_value("zhiyin_connector_open_breakers", {"connector": "core"})
    with pytest.raises(NothingHappened, match="left alone for a moment") as refused:
        await guard.call("card", CALL, soon())
    assert refused.value.again_after == 0.05
    assert system.calls == 2
    system.answer = status(200)
    async with asyncio.timeout(5):
        while system.calls == 2:
            try:
                await guard.call("card", CALL, soon())
            except NothingHappened:
                await asyncio.sleep(0.01)
    closed = REGISTRY.get_sample_value("zhiyin_connector_open_breakers", {"connector": "core"})
    assert opened is not None
    assert closed == opened - 1


async def test_a_refusal_is_no_failure() -> None:
    guard, system = guarded(status(404), breaker={"failures": 1})
    for _ in range(3):
        assert (await guard.call("card", CALL, soon())).status == 404
    assert system.calls == 3


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (NotSent("nobody there"), NothingHappened),
        (ConnectionError("broke"), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
        (RuntimeError("a plug-in's mistake with C1's data"), OutcomeUnknown),
    ],
)
async def test_every_failure_says_whether_something_may_have_happened(
    error: Exception, raised: type[Exception]
) -> None:
    guard, _ = guarded(failing(error))
    with pytest.raises(raised) as caught:
        await guard.call("card", CALL, soon())
    assert "C1" not in str(caught.value)


async def test_a_plug_in_that_never_returns_is_left() -> None:
    async def never(_call: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    guard, _ = guarded(never)
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        await guard.call("card", CALL, soon(0.05))


async def test_a_system_is_told_how_long_it_has() -> None:
    seen: list[float] = []

    async def answer(call: Call) -> Reply:
        seen.append(call.seconds)
        return Reply(status=200)

    guard, _ = guarded(answer)
    await guard.call("card", CALL, soon(60))
    await guard.call("card", CALL, soon(1))
    assert seen[0] == 5.0
    assert 0 < seen[1] <= 1.0


async def test_calls_are_counted_and_logged_without_what_was_said() -> None:
    guard, system = guarded(status(200), connector="counted")
    call = Call(method="GET", path="/cards/1234", query=(("who", "C1"),), body={"note": "private"}, seconds=1)
    with capture_logs() as entries:
        await guard.call("card", call, soon())
        system.answer = failing(NotSent("gone"))
        with pytest.raises(NothingHappened):
            await guard.call("card", call, soon())
    first, second = entries
    assert {"event", "connector", "call", "status", "outcome", "ms", "log_level"} == first.keys()
    assert (first["connector"], first["call"], first["status"], first["outcome"]) == ("counted", "card", 200, "ok")
    assert (second["status"], second["outcome"]) == (None, "not_sent")
    assert "1234" not in str(entries)
    for outcome in ("ok", "not_sent"):
        labels = {"connector": "counted", "outcome": outcome}
        assert REGISTRY.get_sample_value("zhiyin_connector_calls_total", labels) == 1
    await guard.close()
    assert system.closed


async def test_metrics_name_so_many_connectors_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "_named", {f"named_{number}" for number in range(MOST_NAMES)})
    guard, _ = guarded(status(200), connector="one_more")
    await guard.call("card", CALL, soon())
    labels = {"connector": "other", "outcome": "ok"}
    assert REGISTRY.get_sample_value("zhiyin_connector_calls_total", labels)
    assert not REGISTRY.get_sample_value("zhiyin_connector_calls_total", labels | {"connector": "one_more"})
