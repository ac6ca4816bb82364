from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    ("data", "texts"),
    [("hello", ["hello"]), ({"text": "hello"}, ["hello"]), (["hello", "退款", "hello"], ["hello", "退款", "hello"])],
)
def test_predicts_for_a_text_an_object_or_a_list(
    client: TestClient, operator: Mapping[str, str], data: Any, texts: list[str]
) -> None:
    answer = client.post("/predict", json={"model": "shop", "data": data}, headers=operator)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["task"]) == ("shop", "understand")
    assert [each["text"] for each in body["predictions"]] == texts
    assert body["version"] == body["predictions"][0]["model"]["version"]


@pytest.mark.parametrize(
    ("task", "members"),
    [
        ("intent", {"intent", "ranking", "intents", "out_of_scope"}),
        ("entities", {"entities"}),
        ("sentiment", {"sentiment"}),
    ],
)
def test_a_task_is_answered_with_its_part_of_the_whole(
    client: TestClient, operator: Mapping[str, str], task: str, members: set[str]
) -> None:
    data = ["谢谢", "退款，订单20261103001"]
    whole = client.post("/predict", json={"model": "shop", "data": data}, headers=operator).json()["predictions"]
    answer = client.post("/predict", json={"model": "shop", "data": data, "task": task}, headers=operator).json()
    assert answer["task"] == task
    assert answer["predictions"] == [{name: each[name] for name in members} for each in whole]


def test_embeddings_are_those_of_embed(client: TestClient, operator: Mapping[str, str]) -> None:
    texts = ["hello 退款", "refund"]
    asked = {"model": "shop", "data": texts, "task": "embedding"}
    predictions = client.post("/predict", json=asked, headers=operator).json()["predictions"]
    embedded = client.post("/v1/embed", json={"model": "shop", "texts": texts}, headers=operator).json()["embeddings"]
    assert np.allclose([each["embedding"] for each in predictions], embedded)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "shop", "data": " "}, "data.text"),
        ({"model": "shop", "data": {"text": ""}}, "data.object.text"),
        ({"model": "shop", "data": ["a", " "]}, "data.texts.1"),
        ({"model": "shop", "data": []}, "data.texts"),
        ({"model": "shop", "data": ["a"] * 65}, "data.texts"),
        ({"model": "shop", "data": 7}, "data"),
        ({"data": "a"}, "model"),
        ({"model": "shop", "data": "a", "task": "dream"}, "task"),
        ({"model": "shop", "data": "a", "task": None}, "task"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(
    client: TestClient, operator: Mapping[str, str], body: Any, field: str
) -> None:
    answer = client.post("/predict", json=body, headers=operator)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
