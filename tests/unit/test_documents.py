"""The OpenAPI documents of all services: generators make whole clients of them."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from shared.http.__main__ import SERVICES
from shared.http.server import load
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.openapi import faults_of


@pytest.mark.parametrize("service", SERVICES)
def test_no_document_has_what_generators_of_clients_fail_at(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZHIYIN_HOME", str(tmp_path))
    assert list(faults_of(load(SERVICES[service]).openapi())) == []


def document_of(router: APIRouter) -> dict[str, Any]:
    """The document of a service with these routes."""
    settings = ServiceSettings(log_level="error")
    document: dict[str, Any] = create_service(settings, name="x", description="", routers=[router]).openapi()
    return document


def test_the_faults_are_found() -> None:
    router = APIRouter(tags=["x"])

    @router.get("/models/{model}")
    @router.get("/models/{model}/versions/{version}")
    async def metadata(model: str, version: str | None = None) -> str:
        """Of a model."""
        return f"{model}{version}"

    @router.get("/bytes", responses={200: {"content": {"application/octet-stream": {}}}})
    async def some_bytes() -> None:
        """Of a file."""

    faults = "\n".join(faults_of(document_of(router)))
    assert "the path parameter version may be missing or null" in faults
    assert "the query parameter version is one of a path elsewhere" in faults
    assert "the path parameter model: a string of any length" in faults
    assert "200 application/octet-stream is not said to be binary" in faults
