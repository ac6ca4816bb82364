import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

TEXTS = ["退款", "refund money", "hello", "退款"]


def embed(client: TestClient, headers: Mapping[str, str], **body: Any) -> Any:
    answer = client.post("/v1/embed", json={"model": "shop", "texts": TEXTS, **body}, headers=headers)
    assert answer.status_code == 200
    return answer.json()


def test_vectors_have_length_one_and_say_what_is_near(client: TestClient, service: Mapping[str, str]) -> None:
    answer = embed(client, service)
    vectors = np.array(answer["embeddings"])
    assert vectors.shape == (len(TEXTS), answer["dimension"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    near = vectors @ vectors.T
    assert near[0, 3] > 0.999
    assert near[0, 1] > 0.99 > 0.5 > near[0, 2]


def test_it_says_which_model_made_them(client: TestClient, service: Mapping[str, str]) -> None:
    answer = embed(client, service)
    [model] = client.get("/v1/models", headers=service).json()["models"]
    assert [answer[name] for name in ("model", "version", "dimension")] == [
        model[name] for name in ("name", "version", "dimension")
    ]


def test_base64_holds_the_same_numbers(client: TestClient, service: Mapping[str, str]) -> None:
    numbers = embed(client, service)["embeddings"]
    encoded = embed(client, service, encoding="base64")["embeddings"]
    decoded = [np.frombuffer(base64.b64decode(each), "<f4") for each in encoded]
    assert np.allclose(decoded, numbers, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"texts": ["x"]}, "model"),
        ({"model": "", "texts": ["x"]}, "model"),
        ({"model": "shop"}, "texts"),
        ({"model": "shop", "texts": []}, "texts"),
        ({"model": "shop", "texts": ["x"] * 65}, "texts"),
        ({"model": "shop", "texts": "x"}, "texts"),
        ({"model": "shop", "texts": ["x", "\n"]}, "texts.1"),
        ({"model": "shop", "texts": ["x"], "encoding": "hex"}, "encoding"),
        ({"model": "shop", "texts": ["x"], "more": 1}, "more"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(
    client: TestClient, service: Mapping[str, str], body: Any, field: str
) -> None:
    answer = client.post("/v1/embed", json=body, headers=service)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
