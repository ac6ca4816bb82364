from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient


def test_understands_one_text(client: TestClient, service: Mapping[str, str]) -> None:
    body = {"text": "退款，订单20261103001", "assistant": "shop"}
    answer = client.post("/v1/understand", json=body, headers=service)
    assert answer.status_code == 200
    understood = answer.json()
    assert understood["intent"]["name"] == "refund"
    assert understood["entities"][0]["value"] == "20261103001"
    assert understood["model"]["name"] == "shop"


def test_understands_a_batch_in_its_order(client: TestClient, service: Mapping[str, str]) -> None:
    texts = ["hello", "退款 " * 20, "where is my parcel", "hello"] * 16
    answer = client.post("/v1/understand", json={"texts": texts, "assistant": "shop"}, headers=service)
    assert answer.status_code == 200
    understandings = answer.json()["understandings"]
    assert [each["text"] for each in understandings] == texts
    assert [each["intent"]["name"] for each in understandings[:4]] == ["greet", "refund", "track_order", "greet"]


def test_a_batch_of_one_answers_what_the_text_alone_does(client: TestClient, service: Mapping[str, str]) -> None:
    alone = client.post("/v1/understand", json={"text": "退款"}, headers=service).json()
    [batched] = client.post("/v1/understand", json={"texts": ["退款"]}, headers=service).json()["understandings"]
    assert batched == alone


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \t\u3000"}, "text"),
        ({"text": "x" * 2001}, "text"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({}, "text"),
        ([], "body"),
        ("x", "body"),
        ({"text": "x", "assistant": "../x"}, "assistant"),
        ({"texts": []}, "texts"),
        ({"texts": "x"}, "texts"),
        ({"texts": None}, "texts"),
        ({"texts": ["x"] * 65}, "texts"),
        ({"texts": ["x", " "]}, "texts.1"),
        ({"texts": ["x", ["y"]]}, "texts.1"),
        ({"texts": ["x"], "assistant": "../x"}, "assistant"),
    ],
)
def test_bad_input_is_refused_and_the_field_named(
    client: TestClient, service: Mapping[str, str], body: Any, field: str
) -> None:
    answer = client.post("/v1/understand", json=body, headers=service)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("body", [rb'{"text": "\ud800"}', rb'{"texts": ["x", "\udfff"]}'])
def test_half_characters_are_refused(client: TestClient, service: Mapping[str, str], body: bytes) -> None:
    answer = client.post("/v1/understand", content=body, headers={**service, "Content-Type": "application/json"})
    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["👩‍👩‍👧‍👦" * 50, "\u202e退款\u0000", "ﷺ" * 2000, "a\u0300" * 1000])
def test_any_whole_characters_are_understood(client: TestClient, service: Mapping[str, str], text: str) -> None:
    answer = client.post("/v1/understand", json={"text": text}, headers=service)
    assert (answer.status_code, answer.json()["text"]) == (200, text)
