from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from services.intent.app import create_app
from services.intent.settings import Settings
from tests.tokens import TokenFactory

TOKENS = TokenFactory()


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    """A server of the tiny model; without an Authorization header of its own."""
    app = create_app(Settings(home=home, inference_streams=2, inference_backend="openvino"), jwks=TOKENS.fetch)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def service() -> Mapping[str, str]:
    """What a service that may ask sends along."""
    return TOKENS.headers("dialogue", roles=(), scopes={"intent:predict"})


@pytest.fixture(scope="session")
def operator() -> Mapping[str, str]:
    """What an operator sends along."""
    return TOKENS.headers("operator-1", roles={"operator"})


@pytest.fixture(scope="session")
def customer() -> Mapping[str, str]:
    """What a customer sends along, who may not ask."""
    return TOKENS.headers("guest-1", roles={"customer"})
