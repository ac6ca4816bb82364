"""A kind of model that the platform was not written for: learned, registered, served, and swapped by the rollout."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from services.intent.app import create_app
from services.intent.kinds.known import KINDS
from services.intent.settings import Settings
from services.learning.runs.runs import TrainedModel, train
from tests.nearest.learned import ROWS, Nearest, write_table
from tests.nearest.served import NearestKind
from tests.servers import serve
from tests.tokens import TokenFactory
from tests.versions import put_empty_store

TOKENS = TokenFactory()
HEADERS = TOKENS.headers("operator-1", roles={"operator"})
SECONDS = 30.0
SWAPPED = {"low": "high", "high": "low"}
LEARNED = {Nearest.name: Nearest()}
SERVED = {**KINDS, NearestKind.name: NearestKind()}


async def learn(data: Path, home: Path) -> TrainedModel:
    return await asyncio.to_thread(train, data, home, lambda _: None, kinds=LEARNED)


async def test_rows_are_learned_served_and_learned_better(tmp_path: Path) -> None:
    home = tmp_path / "home"
    put_empty_store(home)
    first = await learn(write_table(tmp_path / "data"), home)
    assert not first.held_back
    settings = Settings(home=home, models=("shapes",), model_poll_seconds=0.1, watch_seconds=0.1)
    async with serve(create_app(settings, kinds=SERVED, jwks=TOKENS.fetch)) as server, ClientSession() as session:

        async def predict(*rows: tuple[float, float]) -> Any:
            body = {"model": "shapes", "data": rows}
            async with session.post(f"{server.base_url}/predict", json=body, headers=HEADERS) as answer:
                assert answer.status == 200
                return await answer.json()

        found = await predict((1, 2), (8, 8))
        assert found["version"] == first.version
        assert [each["label"] for each in found["predictions"]] == ["low", "high"]

        worse = await learn(write_table(tmp_path / "data", rows=[(x, y, SWAPPED[label]) for x, y, label in ROWS]), home)
        assert worse.held_back
        better = await learn(write_table(tmp_path / "data", rows=[*ROWS, (2.0, 1.0, "low")]), home)
        assert not better.held_back
        async with asyncio.timeout(SECONDS):
            while found["version"] != better.version:
                found = await predict((1, 2))
                assert found["version"] in (first.version, better.version), "a worse one never serves"
