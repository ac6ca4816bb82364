"""Login as a server with nothing around it: no Redis, no bootstrap file."""

import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.login.app import create_app
from services.login.settings import Settings
from shared.errors import ConfigurationError
from tests.calls import calling
from tests.servers import free_port, serve


def settings(folder: Path, **told: Any) -> Settings:
    return Settings(
        home=folder,
        port=0,
        log_level="error",
        argon2_memory_kib=8,
        argon2_iterations=1,
        redis_url=f"redis://127.0.0.1:{free_port()}/0",
        **told,
    )


async def test_it_is_ready_alone_and_guests_come_in(tmp_path: Path) -> None:
    async with serve(create_app(settings(tmp_path, demo=True))) as server, calling(server.base_url) as login:
        assert (await login.get("/health/ready")).status == 200
        assert (await login.get("/health/live")).status == 200
        pair = (await login.post("/v1/guest")).body
        me = (await login.get("/v1/me", token=pair["access_token"])).body
        assert (me["kind"], me["customer"]) == ("guest", "C1001")
        assert (await login.post("/v1/login", json={"username": "lilei", "password": "whatever"})).status == 503


async def test_its_database_is_for_nobody_else(tmp_path: Path) -> None:
    async with serve(create_app(settings(tmp_path))):
        for file in (tmp_path / "data").iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


async def test_it_does_not_start_with_another_secret_than_before(tmp_path: Path) -> None:
    async with serve(create_app(settings(tmp_path))):
        pass
    with pytest.raises(ConfigurationError, match="ZHIYIN_LOGIN_SECRET"):
        async with serve(create_app(settings(tmp_path, login_secret=SecretStr("another one")))):
            pass


async def test_its_document_names_every_operation_and_its_answers(tmp_path: Path) -> None:
    document = create_app(settings(tmp_path)).openapi()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = set(operation["responses"])
            assert operation["description"], (method, path)
            assert "500" in answers
            assert "requestBody" not in operation or {"400", "413", "422"} <= answers
            assert "security" not in operation or {"401", "403"} <= answers
    assert {"401", "429", "503"} <= set(document["paths"]["/v1/login"]["post"]["responses"])
