from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient


def test_says_which_words_made_the_intent(client: TestClient, service: Mapping[str, str]) -> None:
    text = "the money 退款 weather"
    answer = client.post("/v1/explain", json={"model": "shop", "text": text}, headers=service)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["intent"]) == ("shop", "refund")
    weights = {each["text"]: each["attribution"] for each in body["tokens"]}
    assert all(text[each["start"] : each["end"]] == each["text"] for each in body["tokens"])
    assert weights["money"] == pytest.approx(weights["退"])
    assert weights["money"] > 1 > abs(weights["the"])
    total = sum(weights.values()) + body["completeness_gap"]
    assert total == pytest.approx(body["score"] - body["baseline_score"], abs=1e-3)


def test_explains_another_intent_than_the_one_chosen(client: TestClient, service: Mapping[str, str]) -> None:
    asked = {"model": "shop", "text": "退款 hello", "intent": "greet"}
    body = client.post("/v1/explain", json=asked, headers=service).json()
    assert body["intent"] == "greet"
    assert max(body["tokens"], key=lambda each: each["attribution"])["text"] == "hello"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "shop"}, "text"),
        ({"model": "shop", "text": " "}, "text"),
        ({"model": "shop", "text": "x" * 2001}, "text"),
        ({"text": "x"}, "model"),
        ({"model": "shop", "text": "x", "intent": "dance"}, "intent"),
        ({"model": "shop", "text": "x", "intent": ""}, "intent"),
        ({"model": "shop", "text": "x", "intent": 3}, "intent"),
        ({"model": "shop", "text": "x", "more": 3}, "more"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(
    client: TestClient, service: Mapping[str, str], body: Any, field: str
) -> None:
    answer = client.post("/v1/explain", json=body, headers=service)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
