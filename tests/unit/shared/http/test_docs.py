"""The page about the API."""

import re

import pytest

from shared.settings import ServiceSettings
from tests.calls import calling
from tests.servers import serve
from tests.unit.shared.http.shop import application


async def test_the_page_has_every_operation_and_runs_nothing() -> None:
    app = application(settings=ServiceSettings(log_level="error", api_docs=True))
    async with serve(app) as server, calling(server.base_url) as calls:
        page = await calls.get("/docs")
        assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
        assert "POST /orders" in page.text
        assert "GET /mine" in page.text
        assert "ProblemDocument" in page.text
        assert "<script" not in page.text
        assert not re.search(r"(src|href)=\"(?!openapi\.json|data:,)", page.text), "nothing comes from elsewhere"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "'unsafe-inline'" not in policy
        assert (await calls.get("/redoc")).status == 404


async def test_what_a_document_says_is_text_and_no_markup() -> None:
    app = application(settings=ServiceSettings(log_level="error", api_docs=True))
    app.openapi()["info"]["description"] = "<img src=x onerror=alert(1)>"
    async with serve(app) as server, calling(server.base_url) as calls:
        page = (await calls.get("/docs")).text
    assert "<img" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize(
    ("environment", "api_docs", "status"),
    [
        ("development", None, 200),
        ("development", False, 404),
        ("production", None, 404),
        ("production", True, 200),
    ],
)
async def test_in_production_it_is_there_if_it_is_asked_for(
    environment: str, api_docs: bool | None, status: int
) -> None:
    settings = ServiceSettings.model_validate(
        {"environment": environment, "api_docs": api_docs, "client_secret": "s" * 40, "log_level": "error"}
    )
    async with serve(application(settings=settings)) as server, calling(server.base_url) as calls:
        assert (await calls.get("/docs")).status == status
        assert (await calls.get("/openapi.json")).status == 200
