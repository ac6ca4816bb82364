"""A loaded version: how it does, and that it ends only when nobody uses it."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.intent.kinds.kind import Verdict
from services.intent.versions.live import REMEMBERED_CALLS, LiveModel, read_reference
from shared.errors import Unavailable
from shared.nlu.golden_set import REFERENCE, Reference
from shared.nlu.manifest import Manifest, read_source
from tests.nearest.served import Question, write_nearest

MakeLive = Callable[..., LiveModel]


async def test_it_is_closed_only_when_the_last_user_has_left(make_live: MakeLive) -> None:
    live = make_live("v1")
    queue = live.queue
    questions = [Question((1.0, 1.0), rounded=False)]
    deadline = asyncio.get_running_loop().time() + 20
    with live:
        with live:
            ending = asyncio.create_task(live.retire())
            await asyncio.sleep(0)
        assert (live.retired, live.used) == (True, True)
        assert len(await queue.submit(questions, deadline=deadline)) == 1
        assert not ending.done()
    assert not live.used
    await ending
    with pytest.raises(Unavailable):
        await queue.submit(questions, deadline=deadline)


async def test_its_typical_time_is_the_median_of_the_last_calls(make_live: MakeLive) -> None:
    live = make_live("v1")
    assert make_live("unasked").typical_seconds is None
    for seconds in (1.0, 9.0, 2.0):
        live.answer([], seconds)
    assert live.typical_seconds == 2.0
    for _ in range(REMEMBERED_CALLS):
        live.answer([], 0.5)
    assert (live.typical_seconds, live.answered) == (0.5, REMEMBERED_CALLS + 3)
    live.answer([], 9.0)
    assert len(live.seconds) == REMEMBERED_CALLS


async def test_what_it_answers_is_held_against_what_it_answered_after_training(make_live: MakeLive) -> None:
    def drift() -> float:
        labels = {"model": "shapes", "version": "drifting", "of": "intent"}
        return REGISTRY.get_sample_value("zhiyin_intent_drift", labels) or 0.0

    reference = Reference.of(("low", "high"), [("low", 0.9), ("high", 0.9)] * 50)
    live = make_live("drifting", reference=reference)
    live.answer([Verdict("low", 0.9), Verdict("high", 0.9)] * 50, 0.1)
    assert drift() < 0.05
    live.answer([Verdict("low", 0.9)] * 300, 0.1)
    assert drift() > 0.2


def test_what_answers_were_like_after_training_is_read_where_the_folder_says_it(tmp_path: Path) -> None:
    folder = write_nearest(tmp_path, "t1")
    assert read_reference(read_source(folder, Manifest)) is None
    reference = Reference.of(("low", "high"), [("low", 0.9)])
    reference.write(folder / REFERENCE)
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    digest = hashlib.sha256((folder / REFERENCE).read_bytes()).hexdigest()
    manifest.model_copy(update={"files": {**manifest.files, REFERENCE: digest}}).write(folder)
    assert read_reference(read_source(folder, Manifest)) == reference
