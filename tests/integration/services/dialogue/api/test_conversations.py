import json
from typing import Any

import pytest

from tests.customers import Customer


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "hello"}, "message_id"),
        ({"message_id": "m", "text": ""}, "text"),
        ({"message_id": "m", "text": " \n "}, "text"),
        ({"message_id": "m", "text": "a\u0000b"}, "text"),
        ({"message_id": "m", "text": "\u001b[2Jhello"}, "text"),
        ({"message_id": "m", "text": "\u200b"}, "text"),
        ({"message_id": "m", "text": "\u202e\ufeff"}, "text"),
        ({"message_id": "m", "text": "x" * 2001}, "text"),
        ({"message_id": "m", "text": ["hello"]}, "text"),
        ({"message_id": "m m", "text": "hello"}, "message_id"),
        ({"message_id": "m", "text": "hello", "choice": ""}, "choice"),
        ({"message_id": "m", "text": "hello", "more": 1}, "more"),
    ],
)
async def test_bad_messages_name_the_field_and_change_nothing(
    guest: Customer, body: dict[str, Any], field: str
) -> None:
    before = await guest.events()
    answer = await guest.calls.post(f"{guest.path}/messages", json=body, token=guest.token)
    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert await guest.events() == before


async def test_what_deceives_the_eye_is_taken_out_of_a_message_and_the_rest_stays(guest: Customer) -> None:
    said = await guest.post("order \u202e300301\u202c 👩‍💻\r\nre\u200bfund", message_id="deceiving")
    assert said.body["message"]["text"] == "order 300301 👩‍💻\nrefund"
    again = await guest.post("order \u202e300301\u202c 👩‍💻\r\nre\u200bfund", message_id="deceiving")
    assert (again.status, again.body["message"]) == (200, said.body["message"])


@pytest.mark.parametrize("text", ["20261103001 到哪了 😀", "first\nsecond"])
async def test_a_message_is_answered_the_same_with_and_without_the_framework(guest: Customer, text: str) -> None:
    said = await guest.post(text, message_id="said-twice")
    body = json.dumps({"message_id": "said-twice", "text": text})
    ordinary = {"Content-Type": "application/json; charset=utf-8"}
    again = await guest.calls.post(f"{guest.path}/messages", data=body, token=guest.token, headers=ordinary)
    assert (again.status, again.content_type) == (said.status, said.content_type) == (200, "application/json")
    assert again.body == said.body
    assert set(again.headers) == set(said.headers)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_another_text_with_an_id_that_was_used_is_refused(guest: Customer, content_type: str) -> None:
    await guest.post("hello", message_id="once")
    body = json.dumps({"message_id": "once", "text": "another"})
    answer = await guest.calls.post(
        f"{guest.path}/messages", data=body, token=guest.token, headers={"Content-Type": content_type}
    )
    assert (answer.status, answer.content_type) == (409, "application/problem+json")
    assert answer.body["errors"][0]["field"] == "message_id"


async def test_bad_requests(guest: Customer) -> None:
    calls, token = guest.calls, guest.token
    assert (await calls.post("/v1/conversations", json={"assistant": "nobody"}, token=token)).status == 422
    assert (await calls.post("/v1/conversations", json={"language": "fr"}, token=token)).status == 422
    assert (await calls.post(f"{guest.path}/messages", data="{", token=token)).status == 400
    lone = '{"message_id": "m", "text": "\\ud800"}'
    assert (await calls.post(f"{guest.path}/messages", data=lone, token=token)).status in (400, 422)
    assert (await calls.get("/v1/conversations/none", token=token)).status == 404
    assert (await calls.get(guest.path)).status == 401
    listed = await calls.get("/v1/conversations", token=token)
    assert [each["id"] for each in listed.body] == [guest.conversation]
