"""Which version answers whom, what is kept while a new one is watched, and when one has to go."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from services.intent.settings import Settings
from services.intent.versions.comparison import Mirror
from services.intent.versions.deployment import Breach, Deployment
from services.intent.versions.live import LiveModel
from shared.errors import DeadlineExceeded, NotFound
from tests.nearest.served import NearestModel, Prediction, Question

ROW = [Question((1.0, 1.0), rounded=False)]
MakeLive = Callable[..., LiveModel]


def soon(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds


class Deployed:
    """A deployment, and what it let go of."""

    def __init__(self, **settings: Any) -> None:
        self.retired: list[LiveModel] = []
        self.deployment = Deployment(
            "shapes", Settings(**settings), mirror=Mirror(lambda: False), retire=self.retired.append
        )

    @property
    def versions(self) -> list[str]:
        """What is in memory."""
        return [each.version for each in self.deployment.loaded()]

    def role(self, key: str | None) -> str:
        return self.deployment.lease(key).role


async def test_the_version_before_is_kept_while_the_new_one_is_watched(make_live: MakeLive) -> None:
    first, second = make_live("v1"), make_live("v2")
    deployed = Deployed(watch_seconds=3600)
    deployed.deployment.put_in_production(first, watch=True)
    deployed.deployment.put_in_production(second, watch=True)
    assert (deployed.versions, deployed.deployment.size, deployed.retired) == (["v2", "v1"], 200, [])
    assert not deployed.deployment.watch_is_over
    deployed.deployment.settle()
    assert (deployed.versions, deployed.retired) == (["v2"], [first])


@pytest.mark.parametrize(("watch", "seconds"), [(False, 3600), (True, 0)])
async def test_without_a_watch_the_version_before_goes_at_once(
    make_live: MakeLive, watch: bool, seconds: float
) -> None:
    first, second = make_live("v1"), make_live("v2")
    deployed = Deployed(watch_seconds=seconds)
    for each in (first, second, second):
        deployed.deployment.put_in_production(each, watch=watch)
    assert (deployed.versions, deployed.retired) == (["v2"], [first])


async def test_what_comes_back_is_the_last_that_did_well(make_live: MakeLive) -> None:
    good, hasty, last = (make_live(name) for name in ("good", "hasty", "last"))
    deployed = Deployed(watch_seconds=3600)
    for each in (good, hasty, last):
        deployed.deployment.put_in_production(each, watch=True)
    assert deployed.retired == [hasty]
    deployed.deployment.roll_back()
    assert (deployed.versions, deployed.retired) == (["good"], [hasty, last])
    deployed.deployment.roll_back()
    assert deployed.versions == ["good"], "there is nothing else to come back to"


async def test_a_version_beside_production_takes_the_place_of_the_one_before(make_live: MakeLive) -> None:
    production, first, second, shadow = (make_live(name) for name in ("p", "c1", "c2", "s"))
    deployed = Deployed()
    deployed.deployment.put_in_production(production, watch=False)
    for alias, live in (("canary", first), ("shadow", shadow), ("canary", second)):
        deployed.deployment.place(alias, live)
    assert [deployed.deployment.at(each) for each in ("production", "canary", "shadow")] == [production, second, shadow]
    deployed.deployment.place("shadow", None)
    assert deployed.retired == [first, shadow]
    deployed.deployment.unload()
    assert (deployed.versions, deployed.retired) == ([], [first, shadow, production, second])


async def test_a_canary_gets_its_share_and_the_same_keys_each_time(make_live: MakeLive) -> None:
    deployed = Deployed(canary_share=0.3)
    deployed.deployment.put_in_production(make_live("v1"), watch=False)
    keys = [f"hello {number}" for number in range(1000)]
    assert {deployed.role(key) for key in keys} == {"production"}
    deployed.deployment.place("canary", make_live("v2"))
    first = [deployed.role(key) for key in keys]
    assert first == [deployed.role(key) for key in keys]
    assert 250 <= first.count("canary") <= 350
    assert deployed.role(None) == "production", "who gives no key is of nobody's share"
    deployed.deployment.place("canary", None)
    assert {deployed.role(key) for key in keys} == {"production"}


async def test_a_request_may_want_one_version_only(make_live: MakeLive) -> None:
    deployed = Deployed(canary_share=0.5)
    deployed.deployment.put_in_production(make_live("v1"), watch=False)
    deployed.deployment.place("canary", make_live("v2"))
    deployed.deployment.place("shadow", make_live("v3"))
    for key in map(str, range(20)):
        for version in ("v1", "v2"):
            assert deployed.deployment.lease(key, version).live.version == version
        # What a shadow says is for nobody.
        for version in ("v3", "v4"):
            with pytest.raises(NotFound, match=version):
                deployed.deployment.lease(key, version)


Does = Callable[[LiveModel, LiveModel], None]


def fails(*, errors: int, calls: int) -> Does:
    def do(live: LiveModel, than: LiveModel) -> None:
        live.errors, live.answered = errors, calls - errors

    return do


def takes(seconds: float, before: float, *, calls: int = 20) -> Does:
    def do(live: LiveModel, than: LiveModel) -> None:
        for _ in range(calls):
            live.answer([], seconds)
            than.answer([], before)

    return do


def says(*, agree: int, compared: int, gained: float = 0.0) -> Does:
    def do(live: LiveModel, than: LiveModel) -> None:
        for number in range(compared):
            live.compare(agree=number < agree, gained=gained)

    return do


WORSE: list[tuple[Does, str | None]] = [
    (fails(errors=2, calls=2), None),
    (fails(errors=3, calls=3), "3 of 3 calls failed"),
    (fails(errors=5, calls=100), None),
    (fails(errors=6, calls=100), "6 of 100 calls failed"),
    (takes(1.0, 0.1, calls=19), None),
    (takes(1.0, 0.1), "a call takes 1.000 s, with old it takes 0.100 s"),
    (takes(0.2, 0.1), None),
    # Twice and more, but by what the load of a machine alone may do.
    (takes(0.05, 0.01), None),
]
OTHERWISE: list[tuple[Does, str | None]] = [
    (says(agree=0, compared=29), None),
    (says(agree=0, compared=30), "it agrees with production on 0 of 30 questions"),
    (says(agree=79, compared=100), "it agrees with production on 79 of 100 questions"),
    (says(agree=80, compared=100), None),
    (says(agree=30, compared=30, gained=-0.125), None),
    (says(agree=30, compared=30, gained=-0.25), "its confidence is 0.25 below that of production"),
]


@pytest.mark.parametrize(("does", "reason"), WORSE)
async def test_production_goes_when_it_does_worse_than_the_version_before(
    make_live: MakeLive, does: Does, reason: str | None
) -> None:
    deployed = Deployed(watch_seconds=3600, max_slowdown=2.0)
    before, live = make_live("old"), make_live("new")
    for each in (before, live):
        deployed.deployment.put_in_production(each, watch=True)
    assert deployed.deployment.breach() is None
    does(live, before)
    assert deployed.deployment.breach() == (reason and Breach("production", reason))
    deployed.deployment.settle()
    assert deployed.deployment.breach() is None, "there is nothing to come back to"


@pytest.mark.parametrize(("does", "reason"), WORSE + OTHERWISE)
async def test_a_canary_goes_when_it_does_worse_or_says_something_else(
    make_live: MakeLive, does: Does, reason: str | None
) -> None:
    deployed = Deployed(max_slowdown=2.0, canary_agreement=0.8)
    production, canary = make_live("old"), make_live("new")
    deployed.deployment.put_in_production(production, watch=False)
    deployed.deployment.place("canary", canary)
    does(canary, production)
    assert deployed.deployment.breach() == (reason and Breach("canary", reason))


class Moody(NearestModel):
    """Fails when the test wants it to."""

    failing = False

    def answer_batch(self, questions: Sequence[Question], encoded: Sequence[tuple[float, float]]) -> list[Prediction]:
        if self.failing:
            raise RuntimeError("out of order")
        return super().answer_batch(questions, encoded)


async def test_errors_of_the_model_count_against_it_and_those_of_callers_do_not(make_live: MakeLive) -> None:
    deployed = Deployed()
    live = make_live("v1", model=Moody)
    deployed.deployment.put_in_production(live, watch=False)
    with deployed.deployment.lease("key") as lease:
        [answer] = await lease.submit(ROW, deadline=soon())
        assert answer.label == "low"
        with pytest.raises(DeadlineExceeded):
            await lease.submit(ROW, deadline=soon(-1))
        gone = asyncio.create_task(lease.submit(ROW, deadline=soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert (live.answered, live.errors) == (1, 0)
        assert isinstance(lease.model, Moody)
        lease.model.failing = True
        with pytest.raises(RuntimeError):
            await lease.submit(ROW, deadline=soon())
    assert (live.answered, live.errors) == (1, 1)


async def test_a_version_is_in_use_as_long_as_a_request_is_inside(make_live: MakeLive) -> None:
    deployed = Deployed()
    deployed.deployment.put_in_production(make_live("v1"), watch=False)
    with deployed.deployment.lease("key"):
        assert deployed.deployment.used
    assert not deployed.deployment.used
