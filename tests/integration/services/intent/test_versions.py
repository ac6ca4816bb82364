"""Versions from a real MLflow: a tracking server of its own process, and swaps while customers ask."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI

from services.intent.app import create_app
from services.intent.settings import Settings
from tests.calls import Calls, calling
from tests.servers import free_port, serve
from tests.tokens import TokenFactory
from tests.versions import Versions, copied, damage

TOKENS = TokenFactory()
TOKEN = TOKENS.issue("dialogue", roles=(), scopes={"intent:predict"})
START_SECONDS = 120.0
CLIENTS = 4
WARM_SWAPS, SWAPS = 10, 50
MOST_GROWTH = 1.05


@dataclass(frozen=True)
class TrackingServer:
    """An MLflow server and where it keeps artifacts."""

    url: str
    artifacts: Path
    process: asyncio.subprocess.Process


@pytest.fixture
async def tracking_server(tmp_path: Path) -> AsyncIterator[TrackingServer]:
    port = free_port()
    url, artifacts = f"http://127.0.0.1:{port}", tmp_path / "artifacts"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(artifacts)),
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _answering(f"{url}/health")
        yield TrackingServer(url, artifacts, process)
    finally:
        await _stop(process)


async def test_a_server_without_a_model_gets_it_from_the_tracking_server(
    tracking_server: TrackingServer, tmp_path: Path
) -> None:
    learning = Versions(tmp_path / "learning", tracking_server.url)
    await asyncio.to_thread(learning.add, "v1")
    await asyncio.to_thread(learning.point, "production", "v1")
    settings = Settings(
        home=tmp_path / "serving",
        mlflow_uri=tracking_server.url,
        model_poll_seconds=0.1,
        watch_seconds=0,
        max_slowdown=1000,
        inference_streams=1,
        inference_backend="openvino",
    )
    async with serve(create_app(settings, jwks=TOKENS.fetch)) as server, calling(server.base_url) as calls:
        assert (await _served(calls))["version"] == "v1"
        assert (tmp_path / "serving" / "models" / "shop" / "v1" / "model.onnx").is_file()

        await asyncio.to_thread(learning.add, "v2")
        await asyncio.to_thread(learning.point, "production", "v2")
        await _until(calls, lambda model: model["version"] == "v2")
        answer = await calls.post("/v1/understand", json={"text": "退款", "assistant": "shop"}, token=TOKEN)
        assert answer.body["model"]["version"] == "v2"
        # What has proved good is what a start without the tracking server begins with.
        assert (tmp_path / "serving" / "models" / "shop" / "production").read_text().strip() == "v2"

        sound = set(tracking_server.artifacts.rglob("model.onnx"))
        await asyncio.to_thread(learning.add, "v3")
        [network] = set(tracking_server.artifacts.rglob("model.onnx")) - sound
        damage(network)
        await asyncio.to_thread(learning.point, "production", "v3")
        await _until(calls, lambda model: bool(model["refused"]))
        model = await _served(calls)
        assert model["version"] == "v2"
        assert "SHA-256 differs" in model["refused"][0]["reason"]
        assert not (tmp_path / "serving" / "models" / "shop" / "v3").exists()

        await _stop(tracking_server.process)
        async with asyncio.timeout(START_SECONDS):
            while 'registry_reads_total{outcome="failed"}' not in (await calls.get("/metrics")).text:
                pass
        answer = await calls.post("/v1/understand", json={"text": "hello", "assistant": "shop"}, token=TOKEN)
        assert answer.status == 200
    async with serve(create_app(settings, jwks=TOKENS.fetch)) as server, calling(server.base_url) as calls:
        assert (await _served(calls))["version"] == "v2"


@pytest.mark.parametrize("swaps", [pytest.param(6, id="few"), pytest.param(SWAPS, id="many", marks=pytest.mark.long)])
async def test_swaps_while_customers_ask_fail_nobody_and_leave_nothing_behind(tmp_path: Path, swaps: int) -> None:
    versions = copied(tmp_path)
    names = [f"v{number}" for number in range(6)]
    for name in names:
        await asyncio.to_thread(versions.add, name, production=name == names[0])
    warm = WARM_SWAPS if swaps == SWAPS else 0
    outcomes: Counter[int] = Counter()
    seen: set[str] = set()
    async with _process(tmp_path) as (calls, pid):
        clients = [asyncio.create_task(_ask(calls, outcomes, seen)) for _ in range(CLIENTS)]
        try:
            before = 0.0
            for number in range(1, warm + swaps + 1):
                name = names[number % len(names)]
                await asyncio.to_thread(versions.point, "production", name)
                await _until(calls, lambda model, name=name: model["version"] == name)
                if number == warm:
                    before = _resident(pid)
            after = _resident(pid)
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        metrics = (await calls.get("/metrics")).text
        swapped = 'zhiyin_intent_rollouts_total{alias="production",model="shop",outcome="swapped"}'
        assert f"{swapped} {warm + swaps}.0" in metrics
        # One version is served, so before long one is told of.
        async with asyncio.timeout(START_SECONDS):
            while metrics.count("\nzhiyin_intent_model_info{") > 1:
                metrics = (await calls.get("/metrics")).text
    assert set(outcomes) == {200}
    assert outcomes[200] > swaps
    assert seen == set(names)
    if swaps == SWAPS:
        assert after <= before * MOST_GROWTH


async def _ask(calls: Calls, outcomes: Counter[int], seen: set[str]) -> None:
    """A customer who asks as soon as there is an answer."""
    number = 0
    while True:
        number += 1
        answer = await calls.post("/v1/understand", json={"text": f"hello {number}"}, token=TOKEN)
        outcomes[answer.status] += 1
        if answer.status == 200:
            seen.add(answer.body["model"]["version"])


@asynccontextmanager
async def _process(home: Path) -> AsyncIterator[tuple[Calls, int]]:
    """The server as it is run, and its process id."""
    login = FastAPI()

    @login.get("/.well-known/jwks.json")
    async def jwks() -> Mapping[str, Any]:
        return TOKENS.jwks()

    port = free_port()
    async with serve(login) as keys:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "--factory", "services.intent.app:create_app"),
            *("--port", str(port), "--no-access-log"),
            env=os.environ
            | {
                "ZHIYIN_HOME": str(home),
                "ZHIYIN_REGISTRY": "static",
                "ZHIYIN_STATIC_SERVICES": json.dumps({"login": keys.address}),
                "ZHIYIN_INFERENCE_STREAMS": "1",
                "ZHIYIN_INFERENCE_BACKEND": "openvino",
                "ZHIYIN_INFERENCE_PRECISION": "f32",
                "ZHIYIN_MODEL_POLL_SECONDS": "0.02",
                "ZHIYIN_WATCH_SECONDS": "0",
                # How busy the machine of the tests is says nothing about a model.
                "ZHIYIN_MAX_SLOWDOWN": "1000",
            },
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            await _answering(f"http://127.0.0.1:{port}/health/ready")
            async with calling(f"http://127.0.0.1:{port}") as calls:
                yield calls, process.pid
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ends a process and those that it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        await process.wait()


async def _answering(url: str) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def _served(calls: Calls) -> dict[str, Any]:
    answer = await calls.get("/v1/models", token=TOKEN)
    [model] = answer.body["models"]
    assert isinstance(model, dict)
    return model


async def _until(calls: Calls, condition: Any) -> None:
    """Waits until what is said of the model meets a condition."""
    async with asyncio.timeout(START_SECONDS):
        while not condition(await _served(calls)):
            pass


def _resident(pid: int) -> float:
    """The memory of a process, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")]
    return float(line.split()[1])
