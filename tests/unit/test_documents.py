"""The OpenAPI documents of all services: generators make whole clients of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

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


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a client of each service, as openapi-python-client makes it."""
    folder = tmp_path_factory.mktemp("clients")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZHIYIN_HOME", str(folder))
        documents = {service: load(SERVICES[service]).openapi() for service in SERVICES}
    for service, document in documents.items():
        source = folder / f"{service}.json"
        source.write_text(json.dumps(document), encoding="utf-8")
        config = Config.from_sources(
            ConfigFile(post_hooks=[]),
            MetaType.NONE,
            document_source=source,
            file_encoding="utf-8",
            overwrite=True,
            output_path=folder / f"{service}_client",
        )
        # It leaves out what it cannot make, and says so.
        assert [(each.header, each.detail) for each in generate(config=config)] == []
    return folder


@pytest.mark.budget(30, "five clients are made once, and mypy reads 300 modules")
def test_clients_are_made_whole_and_their_types_are_right(clients: Path) -> None:
    names = [f"{service}_client" for service in SERVICES]
    # The module that is the same in every client passes on the arguments of `__exit__` untyped.
    (clients / "mypy.ini").write_text("".join(f"[mypy-{name}.client]\nignore_errors = True\n" for name in names))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", ".cache", *names],
        cwd=clients,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_has_every_operation_and_can_be_imported(service: str, clients: Path) -> None:
    document = json.loads((clients / f"{service}.json").read_text(encoding="utf-8"))
    operations = sum(len(item) for item in document["paths"].values())
    modules = [
        ".".join(path.relative_to(clients).with_suffix("").parts)
        for path in (clients / f"{service}_client" / "api").glob("*/*.py")
        if path.stem != "__init__"
    ]
    assert len(modules) == operations
    code = f"import importlib; [importlib.import_module(name) for name in {modules}]"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=clients, check=True)


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
