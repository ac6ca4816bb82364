from collections.abc import Mapping

from fastapi.testclient import TestClient

from tests.models import INTENTS


def test_lists_its_models(client: TestClient, operator: Mapping[str, str]) -> None:
    [model] = client.get("/v1/models", headers=operator).json()["models"]
    assert model["name"] == "shop"
    assert model["intents"] == list(INTENTS)
    assert model["languages"] == ["zh", "en"]
    assert model["metrics"] == {"accuracy": 1.0}
    assert len(model["digest"]) == 64


def test_says_what_computes_a_model(client: TestClient, operator: Mapping[str, str]) -> None:
    [model] = client.get("/v1/models", headers=operator).json()["models"]
    assert (model["backend"], model["device"]) == ("openvino", "cpu")
    labels = {name: model[name] for name in ("version", "backend", "device", "precision")} | {"model": "shop"}
    series = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    assert f"zhiyin_intent_model_info{{{series}}} 1.0" in client.get("/metrics").text
