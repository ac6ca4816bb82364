"""What a canary or a shadow says against production: asked after the answer, in idle moments, harming nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from services.intent.kinds.kind import Verdict
from services.intent.settings import Settings
from services.intent.versions.comparison import WAITING_CALLS, Mirror
from services.intent.versions.deployment import Deployment
from services.intent.versions.live import LiveModel
from tests.nearest.served import CENTROIDS, NearestModel, Prediction, Question

ROWS = [Question(row, rounded=False) for row in ((1.0, 1.0), (5.0, 5.0), (9.0, 9.0))]
GIVEN = [Verdict("low", 0.25), Verdict("low", 0.25), Verdict("high", 0.25)]
WITH_MIDDLE = {**CENTROIDS, "middle": (5.0, 5.0)}
MakeLive = Callable[..., LiveModel]


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def batches(live: LiveModel) -> int:
    """How often its model has computed."""
    assert isinstance(live.model, NearestModel)
    return len(live.model.batches)


@asynccontextmanager
async def running(mirror: Mirror) -> AsyncIterator[None]:
    task = asyncio.create_task(mirror.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def test_a_shadow_is_asked_its_share_and_never_answers(make_live: MakeLive) -> None:
    mirror = Mirror(lambda: False)
    deployment = Deployment("shapes", Settings(shadow_share=0.5), mirror, retire=lambda _: None)
    production, shadow = make_live("v1"), make_live("shadowy", centroids=WITH_MIDDLE)
    deployment.put_in_production(production, watch=False)
    deployment.place("shadow", shadow)
    keys = [str(number) for number in range(40)]
    of_share = sum((deployment.lease(key).place or 0.0) >= 0.5 for key in keys)
    assert 5 < of_share < 35
    async with running(mirror):
        for key in keys:
            with deployment.lease(key) as lease:
                answers = await lease.submit(ROWS, deadline=asyncio.get_running_loop().time() + 20)
                assert [each.label for each in answers] == ["low", "low", "high"]
        await until(lambda: shadow.compared == 3 * of_share)
    labels = {"model": "shapes", "version": "shadowy", "role": "shadow"}
    assert figure("zhiyin_intent_compared_total", agree="yes", **labels) == 2 * of_share
    assert figure("zhiyin_intent_compared_total", agree="no", **labels) == of_share
    assert figure("zhiyin_intent_confidence_difference_count", **labels) == 3 * of_share
    assert figure("zhiyin_intent_answer_seconds_count", **labels) == of_share
    assert (production.compared, shadow.agreed) == (0, 2 * of_share)


@pytest.mark.parametrize("judged", ["canary", "production"])
async def test_confidence_is_that_of_the_judged_less_that_of_production(make_live: MakeLive, judged: str) -> None:
    """A shadow is asked what production answered; production is asked what a canary answered."""
    asked, other = make_live("asked"), make_live("other")
    mirror = Mirror(lambda: False)
    by = {"canary": other, "production": asked}[judged]
    mirror.ask("shapes", "canary", ROWS, GIVEN, judged=by, other=asked)
    async with running(mirror):
        await until(lambda: by.compared == 3)
    # Asked again the table is surer, or less sure, than the verdicts that were given.
    gained = sum(1 / (1 + distance) - 0.25 for distance in (2**0.5, 50**0.5, 2**0.5))
    assert by.confidence_gained == pytest.approx(gained if by is asked else -gained)
    assert by.agreed == 3
    assert asked.answered == (1 if by is asked else 0)


async def test_nobody_is_asked_again_while_production_is_busy(make_live: MakeLive) -> None:
    other = make_live("v2")
    looks: list[int] = []

    def busy() -> bool:
        looks.append(batches(other))
        return len(looks) < 4

    mirror = Mirror(busy)
    mirror.ask("shapes", "shadow", ROWS, GIVEN, judged=other, other=other)
    async with running(mirror):
        await until(lambda: other.compared == 3)
    assert looks == [0, 0, 0, 0]


async def test_when_too_many_wait_the_next_are_left_out_and_counted(make_live: MakeLive) -> None:
    other = make_live("v3")
    before = figure("zhiyin_intent_comparisons_dropped_total", model="shapes")
    mirror = Mirror(lambda: False)
    for _ in range(WAITING_CALLS + 2):
        mirror.ask("shapes", "shadow", ROWS[:1], GIVEN[:1], judged=other, other=other)
    assert figure("zhiyin_intent_comparisons_dropped_total", model="shapes") == before + 2
    async with running(mirror):
        await until(lambda: other.compared == WAITING_CALLS)


class Broken(NearestModel):
    def answer_batch(self, questions: Sequence[Question], encoded: Sequence[tuple[float, float]]) -> list[Prediction]:
        raise RuntimeError("out of order")


async def test_what_fails_or_is_over_ends_no_later_comparison(make_live: MakeLive) -> None:
    over, broken, closed, sound = (
        make_live("over"), make_live("broken", model=Broken), make_live("closed"), make_live("sound"),
    )  # fmt: skip
    over.retired = True
    closed.queue.close()
    mirror = Mirror(lambda: False)
    for each in (over, broken, closed, sound):
        mirror.ask("shapes", "shadow", ROWS, GIVEN, judged=each, other=each)
    async with running(mirror):
        await until(lambda: sound.compared == 3)
    # A version that fails is to blame for it, one that is closed or over is not.
    assert [each.errors for each in (over, broken, closed, sound)] == [0, 1, 0, 0]
    assert [each.compared for each in (over, broken, closed, sound)] == [0, 0, 0, 3]
    assert batches(over) == 0
