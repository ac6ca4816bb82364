from collections.abc import Mapping
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from tests.unit.services.intent.api.conftest import TOKENS

TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/understand", {"text": "x"}),
    ("POST", "/predict", {"model": "shop", "data": "x"}),
    ("POST", "/v1/embed", {"model": "shop", "texts": ["x"]}),
    ("POST", "/v1/explain", {"model": "shop", "text": "x"}),
    ("POST", "/v2/models/shop/infer", {"inputs": [TENSOR]}),
    ("GET", "/v1/models", None),
    ("GET", "/v2", None),
    ("GET", "/v2/models/shop", None),
    ("GET", "/v2/models/shop/ready", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_only_services_and_operators_may_ask(
    client: TestClient, service: Mapping[str, str], customer: Mapping[str, str], method: str, path: str, body: Any
) -> None:
    statuses = [
        client.request(method, path, json=body, headers=headers).status_code
        for headers in ({}, {"Authorization": "Bearer x"}, customer, service)
    ]
    assert statuses == [401, 401, 403, 200]


def test_health_needs_no_token(client: TestClient) -> None:
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/understand", {"text": "x", "assistant": "bank"}),
        ("/v1/understand", {"texts": ["x"], "assistant": "bank"}),
        ("/predict", {"model": "bank", "data": "x"}),
        ("/v1/embed", {"model": "bank", "texts": ["x"]}),
        ("/v1/explain", {"model": "bank", "text": "x"}),
        ("/v2/models/bank/infer", {"inputs": [TENSOR]}),
        ("/v2/models/shop/versions/1/infer", {"inputs": [TENSOR]}),
    ],
)
def test_an_unknown_model_is_not_found(client: TestClient, service: Mapping[str, str], path: str, body: Any) -> None:
    assert client.post(path, json=body, headers=service).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/understand", {"text": "late"}),
        ("/predict", {"model": "shop", "data": "late", "task": "embedding"}),
        ("/v1/embed", {"model": "shop", "texts": ["late"]}),
        ("/v1/explain", {"model": "shop", "text": "late", "intent": "greet"}),
        ("/v2/models/shop/infer", {"inputs": [TENSOR | {"data": ["late"]}]}),
    ],
)
def test_a_request_whose_deadline_has_passed_is_not_computed(
    client: TestClient, service: Mapping[str, str], path: str, body: Any
) -> None:
    answer = client.post(path, json=body, headers={**service, "X-Deadline-Seconds": "0"})
    assert answer.status_code == 504


@pytest.mark.parametrize("path", ["/v1/understand", "/predict"])
@pytest.mark.parametrize(
    ("said", "caller"),
    [("guest-7", "dialogue:guest-7"), (None, "dialogue"), ("", "dialogue"), ("x" * 65, "dialogue")],
)
def test_whom_a_service_asks_for_has_a_share_of_their_own(
    client: TestClient,
    service: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    said: str | None,
    caller: str,
) -> None:
    headers = {**service, **({} if said is None else {"X-On-Behalf-Of": said})}
    assert callers(client, monkeypatch, path, headers) == {caller}


@pytest.mark.parametrize("path", ["/v1/understand", "/predict"])
def test_people_have_one_share_however_they_call_themselves(
    client: TestClient, operator: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    assert callers(client, monkeypatch, path, {**operator, "X-On-Behalf-Of": "another"}) == {"operator-1"}


def callers(client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, headers: Mapping[str, str]) -> set[str]:
    """Who had a share of the model when this was asked, the second time by the direct route."""
    seen: set[str] = set()
    models = cast(Any, client.app).state.models
    use = models.use

    def noted(*names: str, **arguments: Any) -> Any:
        seen.add(arguments["caller"])
        return use(*names, **arguments)

    monkeypatch.setattr(models, "use", noted)
    body = {"text": "hello"} if path == "/v1/understand" else {"model": "shop", "data": "hello"}
    for _ in range(2):
        client.post(path, json=body, headers=headers)
    return seen


@pytest.mark.parametrize("many", [False, True])
def test_a_tenant_without_a_model_of_its_own_is_understood_by_the_installations(
    client: TestClient, service: Mapping[str, str], many: bool
) -> None:
    """It talks to the installation's assistant; a service says so, and nobody else gets at the model."""
    body = {"texts": ["hello"]} if many else {"text": "hello"}
    for _ in range(2):
        own = client.post("/v1/understand", json=body, headers=service)
        other = client.post("/v1/understand", json=body, headers={**service, "X-Tenant": "acme"})
        assert (own.status_code, other.json()) == (200, own.json())
    stranger = TOKENS.headers("operator-2", roles={"operator"}, tenant="acme")
    assert client.post("/v1/understand", json=body, headers=stranger).status_code == 404
    for path, named in (("/predict", {"model": "shop", "data": "x"}), ("/v1/embed", {"model": "shop", "texts": ["x"]})):
        assert client.post(path, json=named, headers={**service, "X-Tenant": "acme"}).status_code == 404
