"""One service as a process: what it says when it cannot start, and how it stops."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import FastAPI

from shared.http.__main__ import SERVICES, end
from shared.http.server import load, server_of
from shared.http.service import ServiceContext, create_service
from shared.settings import ServiceSettings
from tests.servers import free_port
from tests.stack import eventually
from tests.unit.shared.http.processes import ended, running


async def status_of(url: str) -> int | None:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status
    except aiohttp.ClientConnectionError:
        return None


async def until_status(url: str, status: int) -> None:
    async def look() -> bool:
        return await status_of(url) == status

    await eventually(look, what=f"{status} from {url}")


async def test_a_start_that_fails_for_a_known_reason_is_reported_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.json").write_text("{")
    settings = {"bootstrap_file": str(tmp_path / "bootstrap.json"), "port": str(free_port())}
    async with running("login", tmp_path, **settings) as process:
        end = await ended(process)
    assert end.code == 3
    assert f"the service cannot start: ZHIYIN_BOOTSTRAP_FILE {tmp_path}/bootstrap.json is not of the form" in end.out
    assert "Traceback" not in end.out + end.err


async def test_a_taken_port_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with running("login", tmp_path, port=port) as process:
            end = await ended(process)
        assert (end.code, "address already in use" in end.out) == (3, True)
        async with running("login", tmp_path, port=str(free_port()), metrics_port=port) as process:
            end = await ended(process)
        assert end.code == 3
        assert f"ZHIYIN_METRICS_PORT {port} cannot be listened on: Address already in use" in end.out
        assert "Traceback" not in end.out + end.err


async def test_it_serves_and_an_orderly_stop_is_no_failure(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    settings = {"port": str(port), "metrics_port": str(metrics), "drain_seconds": "0.1"}
    async with running("login", tmp_path, **settings) as process:
        await until_status(f"http://127.0.0.1:{port}/health/ready", 200)
        assert await status_of(f"http://127.0.0.1:{metrics}/metrics") == 200
        assert await status_of(f"http://127.0.0.1:{port}/metrics") == 404
        process.send_signal(signal.SIGTERM)
        end = await ended(process)
    assert end.code == 0
    assert "Traceback" not in end.out + end.err


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_found(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIYIN_HOME", str(tmp_path))
    monkeypatch.setenv("ZHIYIN_HOST", "0.0.0.0")
    monkeypatch.setenv("ZHIYIN_PORT", "8080")
    config = server_of(load(SERVICES[service]), service, before_start=end).config
    assert (config.host, config.port) == ("0.0.0.0", 8080)
    assert config.timeout_keep_alive > 30, "longer than shared.calls.client keeps idle connections"
    assert not config.proxy_headers


async def test_metrics_stop_with_the_service() -> None:
    port = free_port()
    app = create_service(ServiceSettings(log_level="error", metrics_port=port), name="shop", description="", routers=[])
    async with app.router.lifespan_context(app):
        assert await asyncio.to_thread(_connects, port)
    assert not _connects(port)


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_failure_that_nobody_foresaw_keeps_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        if app:
            raise RuntimeError("a bug")
        yield

    app = create_service(ServiceSettings(), name="shop", description="", routers=[], lifespan=lifespan)
    with pytest.raises(SystemExit):
        await server_of(app, "shop", before_start=end).serve()
    assert "Traceback" in capsys.readouterr().out
