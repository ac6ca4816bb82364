"""The server on a real port, with a model that can be held up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.intent.app import create_app
from services.intent.batching.queue import BatchQueue
from services.intent.limits import BatchPolicy
from services.intent.settings import Settings
from tests.calls import Answer, Calls, calling
from tests.models import GatedModel, served, write_model
from tests.servers import serve
from tests.tokens import TokenFactory

TOKENS = TokenFactory()
TOKEN = TOKENS.issue("dialogue", roles=(), scopes={"intent:predict"})


@dataclass
class Held:
    """A served model whose only stream is busy until the gate opens."""

    calls: Calls
    model: GatedModel
    busy: asyncio.Task[Answer]

    def ask(self, *texts: str) -> asyncio.Task[Answer]:
        """Asks without waiting for the answer."""
        return asyncio.create_task(self.calls.post("/predict", json={"model": "shop", "data": texts}, token=TOKEN))


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    folder = write_model(tmp_path)
    app = create_app(Settings(home=tmp_path, inference_streams=1, inference_backend="openvino"), jwks=TOKENS.fetch)
    async with serve(app) as server, calling(server.base_url) as calls:
        model = GatedModel(folder)
        app.state.models.get("shop").close()
        app.state.models.add(BatchQueue(served(model), BatchPolicy(queue_texts=8)))
        try:
            busy = asyncio.create_task(
                calls.post("/v1/understand", json={"text": "busy", "assistant": "shop"}, token=TOKEN)
            )
            assert await asyncio.to_thread(model.begun.wait, 10)
            yield Held(calls, model, busy)
        finally:
            model.gate.set()


async def _admitted(held: Held, texts: int) -> None:
    """Waits until as many texts are on their way."""
    line = f'zhiyin_intent_admitted_texts{{model="shop",version="{held.model.manifest.version}"}} {texts}.0'
    async with asyncio.timeout(10):
        while line not in (await held.calls.get("/metrics")).text:
            pass


async def test_a_full_queue_is_answered_with_when_to_come_back(held: Held) -> None:
    waiting = [held.ask("text") for _ in range(20)]
    refused = set(waiting)
    while len(refused) > 7:
        _, refused = await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
    held.model.gate.set()
    answers = await asyncio.gather(*waiting)
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 7 + [429] * 13
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status == 429)
    assert (await held.busy).status == 200


async def test_a_client_that_went_away_is_not_computed_for(held: Held) -> None:
    gone = held.ask("gone")
    stays = held.ask("stays")
    await _admitted(held, 3)
    gone.cancel()
    await _admitted(held, 2)
    held.model.gate.set()
    assert (await stays).status == 200
    assert held.model.batches == [["busy"], ["stays"]]


async def test_a_deadline_that_passes_while_waiting_is_answered(held: Held) -> None:
    answer = await held.calls.post(
        "/v1/understand", json={"text": "late"}, token=TOKEN, headers={"X-Deadline-Seconds": "0.05"}
    )
    assert answer.status == 504
    held.model.gate.set()
    assert (await held.busy).status == 200
    assert held.model.batches == [["busy"]]
