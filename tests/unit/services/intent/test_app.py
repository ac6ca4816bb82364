import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from services.intent.app import MAX_AGE_SECONDS, create_app
from services.intent.rollout.controller import FOLLOWING, Rollout
from services.intent.settings import Settings
from tests.models import write_model
from tests.openapi import OTHERS_DRAW, explore
from tests.servers import RunningServer, serve
from tests.tokens import TokenFactory

TOKENS = TokenFactory()
SERVICE = TOKENS.headers("dialogue", roles=(), scopes={"intent:predict"})


@pytest.fixture(scope="module")
async def server(home: Path) -> AsyncIterator[RunningServer]:
    app = create_app(Settings(home=home, inference_streams=2, inference_backend="openvino"), jwks=TOKENS.fetch)
    async with serve(app) as server:
        yield server


def test_it_is_ready_and_says_what_it_serves(home: Path) -> None:
    app = create_app(Settings(home=home, inference_backend="openvino"), jwks=TOKENS.fetch)
    with TestClient(app) as client:
        assert client.get("/health/ready").status_code == 200
        assert app.state.context.meta()["model"].startswith("shop@")
        client.post("/v1/understand", json={"text": "x"}, headers=SERVICE)
        metrics = client.get("/metrics").text
    for name in ("queue_seconds", "batch_seconds", "batch_texts", "tokens_total"):
        assert f"zhiyin_intent_{name}" in metrics


def test_a_rollout_that_hangs_is_no_live_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_rollout: Rollout) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Rollout, "follow", hang)
    monkeypatch.setitem(MAX_AGE_SECONDS, FOLLOWING, -60.0)
    app = create_app(Settings(home=home, inference_backend="openvino", model_poll_seconds=1), jwks=TOKENS.fetch)
    with TestClient(app) as client:
        for probe in ("live", "ready"):
            answer = client.get(f"/health/{probe}")
            assert answer.status_code == 503
            assert "rollout" in answer.json()["detail"]
            assert "rollout-review" not in answer.json()["detail"]


def test_without_a_model_it_does_not_start(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path), jwks=TOKENS.fetch)
    with pytest.raises(Exception, match="zhiyin train"), TestClient(app):
        pass


def test_a_changed_model_is_not_served(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(Exception, match="SHA-256"), TestClient(create_app(Settings(home=tmp_path), jwks=TOKENS.fetch)):
        pass


@OTHERS_DRAW
async def test_answers_nothing_that_it_does_not_document(server: RunningServer) -> None:
    operations = await asyncio.to_thread(explore, server.base_url, headers=SERVICE)
    assert operations >= 16
