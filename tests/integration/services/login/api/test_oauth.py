"""The token endpoint as OAuth 2.0 libraries use it: forms, Basic, their errors, and where to find it."""

import base64
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.calls import Answer, Calls
from tests.integration.services.login.stage import LILEI, Stage, verifier

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = {"client_id": "dialogue", "client_secret": "s" * 40}
GRANT = {"grant_type": "client_credentials"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def form(login: Calls, fields: Any, path: str = "/v1/token", **headers: str) -> Answer:
    body = fields if isinstance(fields, str | bytes) else urlencode(fields)
    return await login.post(path, data=body, headers={**FORM, **headers})


@pytest.mark.parametrize(
    "asked",
    [{"audience": "intent"}, {"resource": "intent"}, {"scope": "intent:predict"}, {"audience": "intent", "scope": ""}],
)
@pytest.mark.parametrize("by_header", [True, False])
async def test_a_service_gets_its_token_as_the_rfc_says(login: Calls, asked: dict[str, str], by_header: bool) -> None:
    headers = basic("dialogue", "s" * 40) if by_header else {}
    answer = await form(login, GRANT | asked | ({} if by_header else CLIENT), **headers)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "intent:predict",
    }
    assert (await verifier(login, "intent").verify(answer.body["access_token"])).scopes == {"intent:predict"}


@pytest.mark.parametrize("path", ["/v1/token", "/v1/refresh"])
async def test_a_session_goes_on_by_a_form(login: Calls, path: str) -> None:
    pair = (await login.post("/v1/login", json=LILEI)).body
    fields = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], "client_id": "an app"}
    answer = await form(login, fields, path)
    assert answer.status == 200
    assert set(answer.body) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (await login.get("/v1/me", token=answer.body["access_token"])).body["username"] == "lilei"
    again = await form(login, {"refresh_token": answer.body["refresh_token"]}, "/v1/refresh")
    assert again.status == 200


WRONG: list[tuple[Any, dict[str, str], int, str]] = [
    ({}, {}, 400, "invalid_request"),
    (CLIENT, {}, 400, "invalid_request"),
    ({"grant_type": ""} | CLIENT, {}, 400, "invalid_request"),
    ({"grant_type": "password", "username": "lilei", "password": "x"}, {}, 400, "unsupported_grant_type"),
    ({"grant_type": "authorization_code", "code": "x"}, {}, 400, "unsupported_grant_type"),
    (GRANT | {"audience": "intent"}, {}, 401, "invalid_client"),
    (GRANT | {"audience": "intent", "client_id": "dialogue"}, {}, 401, "invalid_client"),
    (GRANT | CLIENT | {"client_secret": "wrong", "audience": "intent"}, {}, 401, "invalid_client"),
    (GRANT | {"audience": "intent"}, basic("dialogue", "wrong"), 401, "invalid_client"),
    (GRANT | {"audience": "intent"} | CLIENT, basic("dialogue", "s" * 40), 400, "invalid_request"),
    (GRANT | {"audience": "intent"}, {"Authorization": "Basic rubbish!"}, 400, "invalid_request"),
    (GRANT | {"audience": "intent"}, {"Authorization": "Basic /w=="}, 400, "invalid_request"),
    (GRANT | CLIENT, {}, 400, "invalid_target"),
    (GRANT | CLIENT | {"audience": "nowhere"}, {}, 400, "invalid_target"),
    (GRANT | CLIENT | {"resource": "https://intent.example/x y"}, {}, 400, "invalid_target"),
    (GRANT | CLIENT | {"scope": "intent:predict business:lookup"}, {}, 400, "invalid_scope"),
    (GRANT | CLIENT | {"scope": "intent:train"}, {}, 400, "invalid_scope"),
    ({"grant_type": "refresh_token"}, {}, 400, "invalid_request"),
    ({"grant_type": "refresh_token", "refresh_token": "made.up"}, {}, 400, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "x" * 600}, {}, 400, "invalid_request"),
    ("grant_type=client_credentials&grant_type=client_credentials", {}, 400, "invalid_request"),
    ("grant_type=%FF", {}, 400, "invalid_request"),
    (b"grant_type=\xff\xfe", {}, 400, "invalid_request"),
    ("&".join(f"a{number}=1" for number in range(1000)), {}, 400, "invalid_request"),
    ({**GRANT, **CLIENT, "audience": "intent", "client_id": "a\0b"}, {}, 400, "invalid_request"),
    ({**GRANT, "audience": "intent"}, basic("a%00b", "c"), 400, "invalid_request"),
    ({"grant_type": "refresh_token", "refresh_token": "a\0b"}, {}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("fields", "headers", "status", "error"), WRONG)
async def test_what_is_wrong_is_said_as_the_rfc_says(
    login: Calls, fields: Any, headers: dict[str, str], status: int, error: str
) -> None:
    answer = await form(login, fields, **headers)
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.body["error"] == error
    assert answer.body["error_description"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_too_many_are_told_when_to_come_again(stage: Stage) -> None:
    login = await stage.login(requests_per_address=1)
    asked = GRANT | CLIENT | {"audience": "intent"}
    answers = [await form(login, asked) for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    assert answers[1].body["error"] == "temporarily_unavailable"
    assert int(answers[1].headers["Retry-After"]) > 0


async def test_json_is_answered_as_ever(login: Calls) -> None:
    answer = await login.post("/v1/token", json=GRANT | CLIENT | {"audience": "intent", "client_secret": "wrong"})
    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    limited = await login.post("/v1/token", json=GRANT | CLIENT | {"audience": "intent", "scope": "business:lookup"})
    assert limited.status == 403


@pytest.mark.parametrize("name", ["openid-configuration", "oauth-authorization-server"])
async def test_libraries_find_everything_by_themselves(stage: Stage, name: str) -> None:
    login, url = await stage.login_at()
    found = (await login.get(f"/.well-known/{name}")).body
    assert found["issuer"] == "zhiyin"
    assert found["token_endpoint"] == f"{url}/v1/token"
    assert (await login.get(found["jwks_uri"].removeprefix(url))).body["keys"]
    named = await stage.login(issuer="https://login.example.com/")
    told = (await named.get(f"/.well-known/{name}")).body
    assert told["issuer"] == "https://login.example.com/"
    assert told["token_endpoint"] == "https://login.example.com/v1/token"
