"""Services and their secrets: who gets a token of its own."""

import json

import pytest

from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.calls.tokens import ServiceTokens
from shared.errors import Unauthenticated
from shared.http.auth import Principal
from tests.calls import Calls
from tests.integration.services.login.stage import ADMIN, CLIENT, LILEI, Stage, verifier


@pytest.mark.parametrize(
    ("audience", "scope"), [("business", "business:lookup"), ("intent", "intent:predict"), ("login", "login:gateway")]
)
async def test_a_service_gets_a_token_for_one_service_with_its_scopes_there(
    login: Calls, audience: str, scope: str
) -> None:
    answer = await login.post("/v1/token", json={**CLIENT, "audience": audience})
    assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (200, "Bearer", 3600)
    token = answer.body["access_token"]
    assert await verifier(login, audience).verify(token) == Principal(
        subject="service-dialogue", tenant="default", scopes=frozenset({scope})
    )
    for other in {"business", "dialogue", "intent", "login"} - {audience}:
        with pytest.raises(Unauthenticated):
            await verifier(login, other).verify(token)


async def test_a_secret_that_was_replaced_is_good_until_every_pod_has_the_new_one(stage: Stage) -> None:
    file = stage.folder / "replaced.json"

    async def replaced(secret: str, **settings: float) -> Calls:
        clients = [{"client_id": "dialogue", "client_secret": secret, "scopes": ["intent:predict"]}]
        file.write_text(json.dumps({"clients": clients}), encoding="utf-8")
        return await stage.login(bootstrap_file=file, **settings)

    async def status(login: Calls, secret: str) -> int:
        return (await login.post("/v1/token", json=CLIENT | {"client_secret": secret})).status

    await stage.login()
    login = await replaced("t" * 40)
    assert [await status(login, letter * 40) for letter in "st"] == [200, 200]
    login = await replaced("t" * 40)
    assert [await status(login, letter * 40) for letter in "st"] == [200, 200], "another start changes nothing"
    login = await replaced("u" * 40, client_overlap_seconds=0)
    assert [await status(login, letter * 40) for letter in "stu"] == [401, 401, 200]


async def test_login_knows_a_service_by_its_token(login: Calls) -> None:
    token = (await login.post("/v1/token", json={**CLIENT, "audience": "login"})).body["access_token"]
    me = (await login.get("/v1/me", token=token)).body
    assert (me["kind"], me["roles"], me["scopes"]) == ("service", [], ["login:gateway"])


@pytest.mark.parametrize(
    "asked", [{"audience": "dialogue"}, {"audience": "nowhere"}, {"client_id": "idle", "client_secret": "i" * 40}]
)
async def test_there_is_no_token_for_a_service_where_the_client_may_nothing(
    login: Calls, asked: dict[str, str]
) -> None:
    assert (await login.post("/v1/token", json=CLIENT | asked)).status == 403


@pytest.mark.parametrize("audience", [None, "", "two words", "*", ["intent"], "x" * 64])
async def test_a_token_is_for_a_service_that_is_named(login: Calls, audience: object) -> None:
    answer = await login.post("/v1/token", json={**CLIENT, "audience": audience})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "audience")
    unsaid = {name: value for name, value in CLIENT.items() if name != "audience"}
    assert (await login.post("/v1/token", json=unsaid)).status == 422


@pytest.mark.parametrize(
    ("credentials", "services"),
    [
        (None, {"dialogue", "login"}),
        (LILEI, {"dialogue", "login"}),
        (ADMIN, {"business", "dialogue", "intent", "learning", "login"}),
    ],
)
async def test_a_persons_token_is_good_where_their_roles_have_work(
    login: Calls, credentials: dict[str, str] | None, services: set[str]
) -> None:
    answer = await login.post("/v1/guest" if credentials is None else "/v1/login", json=credentials or {})
    accepted = set()
    for service in ("business", "dialogue", "intent", "learning", "login"):
        try:
            await verifier(login, service).verify(answer.body["access_token"])
            accepted.add(service)
        except Unauthenticated:
            pass
    assert accepted == services


@pytest.mark.parametrize("wrong", [{"client_secret": "t" * 40}, {"client_id": "nobody"}, {"client_id": "lilei"}])
async def test_a_wrong_secret_and_an_unknown_client_look_the_same(login: Calls, wrong: dict[str, str]) -> None:
    answer = await login.post("/v1/token", json=CLIENT | wrong)
    assert (answer.status, answer.body["detail"]) == (401, "the client or its secret is wrong")


async def test_the_client_of_the_other_services_gets_its_token_here(stage: Stage) -> None:
    login, url = await stage.login_at()
    client = ServiceClient(FixedDiscovery({"login": url}))
    tokens = ServiceTokens(client, "dialogue", "s" * 40)
    first = await tokens("business")
    assert await tokens("business") == first, "one token serves until it is half over"
    assert (await verifier(login, "business").verify(first)).scopes == {"business:lookup"}
    assert (await verifier(login, "intent").verify(await tokens("intent"))).scopes == {"intent:predict"}
    with pytest.raises(Unauthenticated):
        await ServiceTokens(client, "dialogue", "wrong")("intent")
    await client.close()
