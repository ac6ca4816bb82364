from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from services.intent.app import create_app
from services.intent.settings import Settings
from tests.models import INTENTS, write_model
from tests.tokens import TokenFactory

TOKENS = TokenFactory()
SERVICE = TOKENS.headers("dialogue", roles=(), scopes={"intent:predict"})
OPERATOR = TOKENS.headers("operator-1", roles={"operator"})
CUSTOMER = TOKENS.headers("guest-1", roles={"customer"})


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    app = create_app(Settings(home=home, inference_streams=2, inference_backend="openvino"), jwks=TOKENS.fetch)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_understands_one_text(client: TestClient) -> None:
    answer = client.post("/v1/understand", json={"text": "退款，订单20261103001", "assistant": "shop"}, headers=SERVICE)
    assert answer.status_code == 200
    body = answer.json()
    assert body["intent"]["name"] == "refund"
    assert body["entities"][0]["value"] == "20261103001"
    assert body["model"]["name"] == "shop"


@pytest.mark.parametrize(
    ("data", "texts"),
    [("hello", ["hello"]), ({"text": "hello"}, ["hello"]), (["hello", "退款", "hello"], ["hello", "退款", "hello"])],
)
def test_predicts_for_a_text_an_object_or_a_list(client: TestClient, data: Any, texts: list[str]) -> None:
    answer = client.post("/predict", json={"model": "shop", "data": data}, headers=OPERATOR)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], [each["text"] for each in body["predictions"]]) == ("shop", texts)
    assert body["version"] == body["predictions"][0]["model"]["version"]


def test_lists_its_models(client: TestClient) -> None:
    [model] = client.get("/v1/models", headers=OPERATOR).json()["models"]
    assert model["name"] == "shop"
    assert model["intents"] == list(INTENTS)
    assert model["languages"] == ["zh", "en"]
    assert model["metrics"] == {"accuracy": 1.0}
    assert len(model["digest"]) == 64


def test_says_what_computes_a_model(client: TestClient) -> None:
    [model] = client.get("/v1/models", headers=OPERATOR).json()["models"]
    assert (model["backend"], model["device"]) == ("openvino", "cpu")
    labels = {name: model[name] for name in ("version", "backend", "device", "precision")} | {"model": "shop"}
    series = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    assert f"zhiyin_intent_model_info{{{series}}} 1.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/understand", {"text": ""}, "text"),
        ("/v1/understand", {"text": " \t\u3000"}, "text"),
        ("/v1/understand", {"text": "x" * 2001}, "text"),
        ("/v1/understand", {"text": 1}, "text"),
        ("/v1/understand", {}, "text"),
        ("/v1/understand", {"text": "x", "assistant": "../x"}, "assistant"),
        ("/v1/understand", {"text": "x", "more": 1}, "more"),
        ("/predict", {"model": "shop", "data": " "}, "data.text"),
        ("/predict", {"model": "shop", "data": {"text": ""}}, "data.object.text"),
        ("/predict", {"model": "shop", "data": ["a", " "]}, "data.texts.1"),
        ("/predict", {"model": "shop", "data": []}, "data.texts"),
        ("/predict", {"model": "shop", "data": ["a"] * 65}, "data.texts"),
        ("/predict", {"model": "shop", "data": 7}, "data"),
        ("/predict", {"data": "a"}, "model"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(client: TestClient, path: str, body: Any, field: str) -> None:
    answer = client.post(path, json=body, headers=SERVICE)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_half_characters_are_refused(client: TestClient) -> None:
    answer = client.post(
        "/v1/understand", content=rb'{"text": "\ud800"}', headers=SERVICE | {"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/understand", {"text": "x", "assistant": "bank"}), ("/predict", {"model": "bank", "data": "x"})],
)
def test_an_unknown_model_is_not_found(client: TestClient, path: str, body: Any) -> None:
    assert client.post(path, json=body, headers=SERVICE).status_code == 404


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (CUSTOMER, 403), ({"Authorization": "Bearer x"}, 401)])
def test_only_services_and_operators_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    for answer in (
        client.post("/v1/understand", json={"text": "x"}, headers=headers),
        client.post("/predict", json={"model": "shop", "data": "x"}, headers=headers),
        client.get("/v1/models", headers=headers),
    ):
        assert answer.status_code == status


def test_a_request_whose_deadline_has_passed_is_not_computed(client: TestClient) -> None:
    answer = client.post("/v1/understand", json={"text": "x"}, headers=SERVICE | {"X-Deadline-Seconds": "0"})
    assert answer.status_code == 504


def test_it_is_ready_and_says_what_it_serves(client: TestClient) -> None:
    assert client.get("/health/ready").status_code == 200
    app: Any = client.app
    assert app.state.context.meta["model"].startswith("shop@")
    client.post("/v1/understand", json={"text": "x"}, headers=SERVICE)
    metrics = client.get("/metrics").text
    for name in ("queue_seconds", "batch_seconds", "batch_texts", "tokens_total"):
        assert f"zhiyin_intent_{name}" in metrics


def test_without_a_model_it_does_not_start(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path), jwks=TOKENS.fetch)
    with pytest.raises(Exception, match="zhiyin train"), TestClient(app):
        pass


def test_a_changed_model_is_not_served(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(Exception, match="SHA-256"), TestClient(create_app(Settings(home=tmp_path), jwks=TOKENS.fetch)):
        pass


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", ["POST /v1/understand", "POST /predict", "GET /v1/models"])
def test_answers_nothing_that_it_does_not_document(client: TestClient, operation: str, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    method, path = operation.split()

    @given(document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=SERVICE)

    if mode is GenerationMode.POSITIVE or method == "POST":
        check()
