"""Every endpoint of every service under generated input, good and bad: no 5xx, nothing undocumented, only problems."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.calls import calling
from tests.customers import customer, log_in
from tests.models import write_model
from tests.openapi import OTHERS_DRAW, explore, with_unstorable_texts
from tests.postgres import Postgres
from tests.stack import RunningStack

DATABASES = {"login": "login", "dialogue": "dialogue", "business": "business", "worker": "business"}
PLENTY = str(1_000_000)
LIMITS = {f"ZHIYIN_{name}_PER_ADDRESS": PLENTY for name in ("REQUESTS", "REGISTRATIONS", "FAILURES", "GUESTS")}
FEW = 4
CALLERS = [
    ("dialogue", "guest"),
    ("dialogue", "agent"),
    ("login", "admin"),
    ("intent", "service of intent"),
    ("business", "service of business"),
    ("business", "agent"),
    ("business", "admin"),
]


@pytest.fixture(scope="module")
async def on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    """Everything on PostgreSQL, with a database for each service and a small model."""
    folder = tmp_path_factory.mktemp("postgres")
    stack = RunningStack(folder / "home", write_model(folder), environment=LIMITS)
    urls = {database: await postgres.new_database() for database in set(DATABASES.values())}
    for name, database in DATABASES.items():
        program = stack.programs[name]
        stack.programs[name] = replace(
            program, environment={**program.environment, "ZHIYIN_DATABASE_URL": urls[database]}
        )
    async with stack as running:
        yield running


async def tokens(stack: RunningStack) -> dict[str, str]:
    """One of each kind that some endpoint lets in."""
    secret = stack.bootstrap.client_secret("dialogue")
    client = {"grant_type": "client_credentials", "client_id": "dialogue", "client_secret": secret}
    async with calling(stack.url) as gateway, calling(stack.url_of("login")) as login:

        async def of_dialogue(audience: str) -> str:
            token: str = (await login.post("/v1/token", json={**client, "audience": audience})).body["access_token"]
            return token

        return {
            "guest": await log_in(stack, gateway),
            "agent": await log_in(stack, gateway, "agent"),
            "admin": await log_in(stack, gateway, "admin"),
            "service of intent": await of_dialogue("intent"),
            "service of business": await of_dialogue("business"),
        }


# With SQLite, all but dialogue have such a test of their own.
@OTHERS_DRAW
@pytest.mark.parametrize(
    ("service", "who"), [*CALLERS[:1], *(pytest.param(*each, marks=pytest.mark.long) for each in CALLERS[1:])]
)
async def test_generated_input_finds_nothing(stack: RunningStack, service: str, who: str) -> None:
    headers = {"Authorization": f"Bearer {(await tokens(stack))[who]}"}
    assert await asyncio.to_thread(explore, stack.url_of(service), headers=headers) > 3


@OTHERS_DRAW
@pytest.mark.parametrize(("service", "who"), CALLERS)
async def test_generated_input_finds_nothing_with_postgresql(on_postgres: RunningStack, service: str, who: str) -> None:
    headers = {"Authorization": f"Bearer {(await tokens(on_postgres))[who]}"}
    assert await asyncio.to_thread(explore, on_postgres.url_of(service), headers=headers, examples=FEW) > 3


@pytest.mark.parametrize(("service", "who"), CALLERS)
async def test_a_text_that_cannot_be_stored_is_no_error_of_the_service(
    on_postgres: RunningStack, service: str, who: str
) -> None:
    token = (await tokens(on_postgres))[who]
    failed: list[str] = []
    async with calling(on_postgres.url_of(service)) as calls:
        document = (await calls.get("/openapi.json")).body
        tried = 0
        for attempt in with_unstorable_texts(document):
            if "/stream" in attempt.path:
                continue
            tried += 1
            answer = await calls.send(attempt.method, attempt.path, json=attempt.body, token=token)
            if answer.status >= 500:
                failed.append(f"{attempt.method} {attempt.path[:80]} {attempt.about}: {answer.status}")
    assert tried > 10
    assert not failed


async def test_texts_that_only_a_real_caller_can_send_are_refused(on_postgres: RunningStack) -> None:
    everyone = await tokens(on_postgres)
    bad = "a\x00b"
    async with (
        customer(on_postgres, language="en") as guest,
        calling(on_postgres.url_of("login")) as login,
        calling(on_postgres.url_of("business")) as business,
    ):
        said = await guest.post("hello", choice=bad)
        assert (said.status, said.content_type) == (422, "application/problem+json")
        assert (await guest.post("hello", message_id=bad)).status == 422
        assert (await guest.calls.post("/v1/auth/refresh", json={"refresh_token": bad})).status in (401, 422)
        assert (await login.post("/v1/refresh", json={"refresh_token": f"{bad}.x"})).status in (401, 422)
        assert (await login.post("/v1/logout", json={"refresh_token": f"{bad}.x"})).status in (204, 422)
        credentials = {"grant_type": "client_credentials", "client_id": bad, "client_secret": "x"}
        assert (await login.post("/v1/token", json=credentials)).status in (401, 422)
        assert (await login.get("/v1/accounts?after=%00", token=everyone["admin"])).status == 422
        assert (await login.send("PATCH", "/v1/accounts/a%00b", json={}, token=everyone["admin"])).status in (404, 422)
        asked = {"customer": bad, "arguments": {"order_number": bad}}
        for name in ("order", "orders", "refund_terms"):
            answer = await business.post(f"/v1/lookups/{name}", json=asked, token=everyone["service of business"])
            assert answer.status in (200, 422), answer.text
            if answer.status == 200:
                assert not answer.body["found"]
