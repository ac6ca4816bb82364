import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.intent.explanation.explainer import MAX_TOKENS, Explainer
from shared.errors import DeadlineExceeded, InvalidInput, TooManyRequests, Unavailable
from shared.nlu.model import Model
from tests.models import write_model

TEXT = "the money 退款 weather"


@asynccontextmanager
async def explaining() -> AsyncIterator[Explainer]:
    explainer = Explainer()
    try:
        yield explainer
    finally:
        await asyncio.to_thread(explainer.close)


def soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def free(explainer: Explainer, model: Model) -> None:
    """Waits until the next explanation is taken on."""
    async with asyncio.timeout(30):
        while True:
            try:
                await explainer.explain(model, TEXT, "refund", deadline=soon())
                return
            except TooManyRequests:
                await asyncio.sleep(0)


async def test_one_at_a_time_and_the_next_afterwards(model: Model) -> None:
    async with explaining() as explainer:
        first = asyncio.create_task(explainer.explain(model, TEXT, "refund", deadline=soon()))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await explainer.explain(model, TEXT, "refund", deadline=soon())
        assert refused.value.headers["Retry-After"] == "2"
        assert (await first).intent == "refund"
        assert (await explainer.explain(model, TEXT, "greet", deadline=soon())).intent == "greet"


async def test_a_deadline_gives_it_up(model: Model) -> None:
    async with explaining() as explainer:
        with pytest.raises(DeadlineExceeded):
            await explainer.explain(model, TEXT, "refund", deadline=soon(0.001))
        await free(explainer, model)


async def test_what_nobody_waits_for_any_more_is_not_begun(model: Model) -> None:
    async with explaining() as explainer:
        with pytest.raises(DeadlineExceeded):
            await explainer.explain(model, TEXT, "refund", deadline=soon(0))
        assert (await explainer.explain(model, TEXT, "refund", deadline=soon())).intent == "refund"


async def test_who_goes_away_makes_room(model: Model) -> None:
    async with explaining() as explainer:
        gone = asyncio.create_task(explainer.explain(model, TEXT, "refund", deadline=soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await free(explainer, model)


async def test_models_take_turns(model: Model, tmp_path: Path) -> None:
    other = Model.load(write_model(tmp_path, name="bank", version="2"), streams=1, backend="openvino")
    async with explaining() as explainer:
        scores = [
            (await explainer.explain(each, TEXT, "refund", deadline=soon())).score for each in (model, other, model)
        ]
    assert scores[0] == pytest.approx(scores[2])


async def test_what_cannot_be_explained_is_refused(model: Model) -> None:
    async with explaining() as explainer:
        with pytest.raises(InvalidInput, match="no intent 'dance'"):
            await explainer.explain(model, TEXT, "dance", deadline=soon())


async def test_a_text_of_too_many_tokens_is_refused(tmp_path: Path) -> None:
    long = Model.load(write_model(tmp_path, max_tokens=MAX_TOKENS * 2), streams=1, backend="openvino")
    async with explaining() as explainer:
        with pytest.raises(InvalidInput) as refused:
            await explainer.explain(long, "退" * MAX_TOKENS, "refund", deadline=soon())
        assert [each.field for each in refused.value.errors] == ["text"]
        fits = await explainer.explain(long, "退" * (MAX_TOKENS - 4), "refund", deadline=soon())
    assert len(fits.tokens) == MAX_TOKENS - 4


async def test_without_its_files_a_model_is_not_explained(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    bare = Model.load(folder, streams=1, backend="openvino")
    (folder / "model.onnx").unlink()
    async with explaining() as explainer:
        with pytest.raises(Unavailable, match="cannot be explained"):
            await explainer.explain(bare, TEXT, "refund", deadline=soon())
        with pytest.raises(Unavailable, match="cannot be explained"):
            await explainer.explain(bare, TEXT, "refund", deadline=soon())
