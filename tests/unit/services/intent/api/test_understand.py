import time
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.intent.app import create_app
from services.intent.settings import Settings
from tests.unit.services.intent.api.conftest import TOKENS
from tests.versions import Versions


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


def test_today_is_where_the_conversation_says(client: TestClient, service: Mapping[str, str]) -> None:
    def day(timezone: str, **body: Any) -> str:
        answer = client.post("/v1/understand", json={"timezone": timezone, **body}, headers=service).json()
        found = answer["understandings"][0] if "texts" in body else answer
        return str(found["entities"][0]["value"])

    # Between these two zones there are 26 hours.
    assert day("Pacific/Kiritimati", text="今天") > day("Etc/GMT+12", text="今天")
    assert day("Pacific/Kiritimati", texts=["今天"]) > day("Etc/GMT+12", texts=["今天"])
    unknown = client.post("/v1/understand", json={"text": "今天", "timezone": "Mars/Olympus"}, headers=service)
    assert unknown.status_code == 422
    assert [each["field"] for each in unknown.json()["errors"]] == ["timezone"]


@pytest.mark.parametrize("endpoint", ["understand", "batch", "predict"])
def test_a_conversation_is_answered_by_one_version_whatever_its_words(versions: Versions, endpoint: str) -> None:
    versions.add("v2")
    versions.point("canary", "v2")
    settings = Settings(home=versions.home, inference_streams=1, canary_share=0.5, model_poll_seconds=0.05)

    def asked_by(client: TestClient, subject: str, text: str, key: str) -> str:
        headers = TOKENS.headers(subject, roles=(), scopes={"intent:predict"})
        if endpoint == "predict":
            answer = client.post("/predict", json={"model": "shop", "data": text, "key": key}, headers=headers)
            return str(answer.json()["version"])
        body = {"texts": [text]} if endpoint == "batch" else {"text": text}
        answer = client.post("/v1/understand", json={**body, "key": key}, headers=headers).json()
        found = answer["understandings"][0] if endpoint == "batch" else answer
        return str(found["model"]["version"])

    with TestClient(create_app(settings, jwks=TOKENS.fetch), raise_server_exceptions=False) as client:
        deadline = time.monotonic() + 30
        while "v2" not in {asked_by(client, f"caller-{number}", "hello", "") for number in range(20)}:
            assert time.monotonic() < deadline, "no canary was loaded"
        texts = ["hello", "退款", "好的", "谢谢"]
        keys = [f"c{number}" for number in range(20)]
        of_key = {key: {asked_by(client, "dialogue", text, key) for text in texts} for key in keys}
        assert all(len(found) == 1 for found in of_key.values())
        assert set.union(*of_key.values()) == {"v1", "v2"}
        callers = {key: {asked_by(client, key, text, "") for text in texts} for key in keys}
        assert callers == of_key, "without a key it is the caller's"
