"""Effects in a foreign system that is killed, slow and loses its answers, with workers that are killed: each once."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from cli.process import wait_until
from services.business import repository
from services.business.actions.foreign import POINTS
from services.business.actions.results import GAVE_UP, OUTCOME_UNKNOWN, SYSTEM_REFUSED
from shared.contracts.actions import ActionRequest
from tests.foreign.company import SECONDS, Company, company_on
from tests.foreign.running import Foreign
from tests.postgres import Postgres

FAULTS = ("ok", "cut_before", "cut_after", "error_after", "garbage_after", "slow_after", "busy", "away", "late")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("delivery", ["idempotent", "queryable"])
async def test_what_can_be_repeated_or_asked_for_happens_once_whatever_the_system_does(
    company: Company, delivery: str, fault: str
) -> None:
    request = company.request(delivery, about="a")
    await company.foreign.meets(fault, keys=delivery == "idempotent")

    result = await company.performed(request)

    assert (result.status, result.data) == ("succeeded", {"number": f"N-{request.id}"})
    assert await company.foreign.effects(request.id) == 1
    assert await company.unknown() == 0


@pytest.mark.parametrize(
    ("fault", "effects", "unknown"),
    [("cut_before", 0, True), ("cut_after", 1, True), ("garbage_after", 1, True), ("busy", 1, False), ("ok", 1, False)],
)
async def test_what_cannot_be_asked_for_is_called_once_and_goes_to_a_person_when_unknown(
    company: Company, fault: str, effects: int, unknown: bool
) -> None:
    request = company.request("once")
    await company.foreign.meets(fault, keys=False)

    result = await company.performed(request)

    assert await company.foreign.effects(request.id) == effects
    assert (result.error_code == OUTCOME_UNKNOWN) == unknown
    assert len(await company.letters()) == unknown == await company.unknown()
    await company.timers(days=2)
    assert await company.attempt(request) is None
    assert await company.foreign.effects(request.id) == effects


@pytest.mark.parametrize(
    ("arguments", "status", "code", "letters"),
    [({"refuse": "frozen"}, "rejected", "frozen", 0), ({"wrong": "yes"}, "failed", SYSTEM_REFUSED, 1)],
)
async def test_what_the_system_refuses_is_a_refusal_and_what_it_does_not_take_is_for_a_person(
    company: Company, arguments: dict[str, str], status: str, code: str, letters: int
) -> None:
    result = await company.performed(company.request("once", **arguments))

    assert (result.status, result.error_code) == (status, code)
    assert len(await company.letters()) == letters


async def test_what_a_call_may_have_changed_does_not_speak_against_repeating_it(company: Company) -> None:
    """The first call froze the card, so a check made anew would say that it is frozen."""
    request = company.request("idempotent")
    await company.foreign.meets("cut_after")
    await company.ledger.accept(request)
    assert await company.attempt(request) is None
    company.effects.refuses = "already_frozen"

    assert (await company.performed(request)).status == "succeeded"
    contents = [content for key, _, content in await company.foreign.all() if key == request.id]
    assert len(contents) == 1


async def test_a_call_in_doubt_is_not_forgotten_when_its_connector_is_gone(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = company.request("idempotent")
    await company.foreign.meets("cut_after")
    await company.ledger.accept(request)
    assert await company.attempt(request) is None
    monkeypatch.setattr(company.effects, "handles", lambda _request: False)

    assert (await company.performed(request)).status == "succeeded"
    assert await company.foreign.effects(request.id) == 1


async def test_the_same_key_always_comes_with_the_same_content(company: Company, running: Foreign) -> None:
    request = company.request("idempotent")
    await company.foreign.meets("cut_after", "cut_after", "ok", keys=False)

    await company.performed(request)

    contents = {content for key, _, content in await running.all() if key == request.id}
    assert await running.effects(request.id) == 3
    assert len(contents) == 1


async def test_a_system_that_is_away_uses_up_no_attempts_and_is_given_up_after_hours(
    tmp_path: Path, running: Foreign
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    async with company_on(url, running, keep_trying_seconds=3600) as company:
        request = company.request("once")
        await company.ledger.accept(request)
        await company.foreign.meets(*["away"] * 12)
        for _ in range(10):
            assert await company.attempt(request) is None
        record = await company.record(request)
        assert (record.attempts, record.put_offs, record.result_version) == (0, 10, 0)
        assert record.tried_since is not None

        async with company.database.transaction("default") as session:
            found = await repository.find_action(session, request.id)
            assert found is not None
            assert found.tried_since is not None
            found.tried_since -= timedelta(hours=2)
        result = await company.attempt(request)

        assert result is not None
        assert (result.status, result.error_code) == ("failed", GAVE_UP)
        assert len(await company.letters()) == 1
        assert await company.foreign.effects(request.id) == 0


async def test_the_pauses_grow_and_are_as_long_as_the_system_asks_for(tmp_path: Path, running: Foreign) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    async with company_on(url, running, retry_seconds=8.0, longest_pause_seconds=600.0) as company:
        request = company.request("idempotent")
        await company.ledger.accept(request)
        await company.foreign.meets(*["away"] * 12)
        pauses = []
        for _ in range(9):
            await company.attempt(request)
            async with company.database.transaction("default") as session:
                record = await repository.find_action(session, request.id)
                assert record is not None
                assert record.not_before is not None
                pauses.append((record.not_before - record.updated_at).total_seconds())
                record.not_before = None
        for number, pause in enumerate(pauses):
            longest = min(600.0, 8.0 * 2**number)
            assert longest / 2 <= pause <= longest


async def test_a_saga_does_its_steps_in_order_and_gives_their_data(company: Company) -> None:
    request = company.request("trip")
    result = await company.performed(request)

    assert result.status == "succeeded"
    assert result.data == {"booked": {"number": f"N-{request.id}.1"}, "car": {"number": f"N-{request.id}.3"}}
    made = [key for key, _, _ in await company.foreign.all() if key.startswith(request.id)]
    assert made == [f"{request.id}.{step}" for step in (1, 2, 3)]


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [({"refuse": "no_cars"}, "rejected", "no_cars"), ({"wrong": "yes"}, "failed", SYSTEM_REFUSED)],
)
async def test_a_saga_whose_step_fails_takes_the_others_back_in_reverse(
    company: Company, arguments: dict[str, str], status: str, code: str
) -> None:
    request = company.request("trip", **arguments)
    result = await company.performed(request)

    assert (result.status, result.error_code) == (status, code)
    assert result.data["undone"] == ["queryable", "idempotent"]
    made = [(key.removeprefix(request.id), content) for key, _, content in await company.foreign.all()]
    made = [each for each in made if each[0].startswith(".")]
    assert [key for key, _ in made] == [".1", ".2", ".2.undo", ".1.undo"]
    assert f"cancel N-{request.id}.1" in made[-1][1]


class Killed:
    """Attempts in processes that die at a point."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def attempt(self, request: ActionRequest, point: str = "-") -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{request.tenant} {request.id} {point}\n".encode())
        async with asyncio.timeout(SECONDS):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def killed_on(url: str, foreign: Foreign) -> AsyncIterator[Killed]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.foreign.killed", url, foreign.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Killed(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0


async def crash(company: Company, killed: Killed, draw: random.Random) -> None:
    """One action, whose attempts are killed at drawn points while the system does what is drawn; then all is well."""
    name = draw.choice(("idempotent", "queryable", "once", "trip"))
    more = {"refuse": "no_cars"} if name == "trip" and draw.random() < 0.4 else {}
    request = company.request(name, **more)
    faults = [draw.choice(("ok", "ok", "cut_before", "cut_after", "error_after", "garbage_after", "busy"))]
    faults += draw.choices(("ok", "cut_after", "away"), k=draw.randrange(3))
    await company.foreign.meets(*faults, keys=name in ("idempotent", "trip"))
    await company.ledger.accept(request)
    plan = draw.choices(POINTS, k=draw.choice((1, 1, 2, 3, 6)))
    said: list[str] = []

    for point in plan:
        said.append(await killed.attempt(request, point))
    await company.foreign.meets(keys=name in ("idempotent", "trip"))

    async def over() -> bool:
        record = await company.record(request)
        if record.status != "started":
            if await company.timers(days=1) == 0:
                return True
        else:
            said.append(await killed.attempt(request))
        return False

    ended = await wait_until(over, SECONDS)
    story = f"{name} {more}: {faults} {plan} {said}"
    assert ended, story
    assert "broken" not in said, story
    result = await company.result(request)
    assert result is not None, story
    keys = [key for key, _, _ in await company.foreign.all() if key.split(".")[0] == request.id]
    assert len(keys) == len(set(keys)), f"twice: {story}"
    letters = [each for each in await company.letters() if each.action_id == request.id]
    unknown = result.error_code == OUTCOME_UNKNOWN
    if name == "once":
        assert unknown or (len(keys) == 1) == (result.status == "succeeded"), story
    elif name != "trip":
        assert not unknown, story
        assert (len(keys) == 1) == (result.status == "succeeded"), story
    elif result.status == "succeeded":
        assert len(keys) == 3, story
    else:
        undone = [f"{request.id}.{step}.undo" for step in (1, 2) if f"{request.id}.{step}" in keys]
        assert f"{request.id}.3" not in keys, story
        assert set(undone) <= set(keys) or letters, story
    if unknown or result.error_code == GAVE_UP:
        assert letters, f"hidden: {story}"
    elif result.status == "succeeded":
        assert not letters, story


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_workers_killed_at_drawn_points_double_nothing_and_lose_nothing(
    tmp_path: Path, running: Foreign, postgres: Postgres, kind: str
) -> None:
    await crashes(tmp_path, running, postgres, kind, cases=8, seed=random.randrange(10**6))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_workers_killed_a_thousand_times_double_nothing_and_lose_nothing(
    tmp_path: Path, running: Foreign, postgres: Postgres, kind: str
) -> None:
    await crashes(tmp_path, running, postgres, kind, cases=500, seed=random.randrange(10**6))


async def crashes(tmp_path: Path, running: Foreign, postgres: Postgres, kind: str, *, cases: int, seed: int) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    if kind == "postgresql":
        url = await postgres.new_database()
    draw = random.Random(seed)
    async with company_on(url, running) as company, killed_on(url, running) as killed:
        for case in range(cases):
            try:
                await crash(company, killed, draw)
            except AssertionError as error:
                raise AssertionError(f"case {case} of seed {seed}: {error}") from error
        unknown = [each for each in await company.letters() if each.error.startswith(OUTCOME_UNKNOWN)]
        assert len(unknown) == await company.unknown()
