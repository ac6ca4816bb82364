"""Who asks: by each kind of authorization, as a real system sees it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.business.connectors.outcomes import NothingHappened, SystemRefused
from tests.systems import CompanySystem
from tests.unit.services.business.connectors.conftest import Make

Ask = Callable[..., Awaitable[dict[str, Any] | None]]

PING = "lookups: {card: {customer: optional, request: {path: /ping}, answer: {ok: boolean}}}"
SECRET = {"ZHIYIN_SECRET_DEFAULT_BANK_CORE": "user:pass"}
OAUTH = "auth: {type: client_credentials, secret: core, scope: read}"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ("{type: bearer, secret: core}", "Authorization", "Bearer user:pass"),
        ("{type: basic, secret: core}", "Authorization", "Basic " + base64.b64encode(b"user:pass").decode()),
        ("{type: header, secret: core, header: X-Key}", "X-Key", "user:pass"),
    ],
)
async def test_a_secret_is_sent_as_the_file_says(
    make: Make, ask: Ask, system: CompanySystem, auth: str, header: str, value: str
) -> None:
    system.answers("GET", "/ping", {"ok": True})
    assert await ask(make(PING, head=f"auth: {auth}", variables=SECRET)) == {"ok": True}
    assert system.asked[0].headers[header] == value


@pytest.mark.parametrize(
    ("auth", "variables", "said"),
    [
        ("{type: bearer, secret: core}", {}, "the secret 'core' is missing"),
        ("{type: bearer, secret: other}", SECRET, "the secret 'other' is missing"),
        ("{type: basic, secret: core}", {"ZHIYIN_SECRET_DEFAULT_BANK_CORE": "s3cret"}, "not `user:password`"),
        ("{type: bearer, secret: core}", {"ZHIYIN_SECRET_DEFAULT_BANK_CORE": "s3cret密"}, "cannot carry"),
    ],
)
async def test_without_a_secret_nothing_is_asked(
    make: Make, ask: Ask, system: CompanySystem, auth: str, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(NothingHappened, match=said) as caught:
        await ask(make(PING, head=f"auth: {auth}", variables=variables))
    assert "s3cret" not in str(caught.value)
    assert not system.asked


async def test_a_token_is_asked_for_once_and_again_when_it_is_not_taken(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    valid = {"t1"}

    async def ping(request: web.Request) -> web.Response:
        known = request.headers.get("Authorization", "").removeprefix("Bearer ") in valid
        return web.json_response({"ok": True}) if known else web.Response(status=401)

    system.answers("GET", "/ping", ping)
    system.answers("POST", "/oauth/token", *({"access_token": f"t{n}", "expires_in": 3600} for n in (1, 2)))
    assistants = make(PING, head=OAUTH, variables=SECRET)
    assert await asyncio.gather(*(ask(assistants) for _ in range(5))) == [{"ok": True}] * 5
    tokens = [each for each in system.asked if each.method == "POST"]
    assert [each.body for each in tokens] == ["grant_type=client_credentials&scope=read"]
    assert tokens[0].headers["Authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()
    valid.clear()
    valid.add("t2")
    assert await ask(assistants) == {"ok": True}
    valid.clear()
    before = len(system.asked)
    with pytest.raises(SystemRefused, match="status 401"):
        await ask(assistants)
    assert [each.method for each in system.asked[before:]] == ["GET", "POST", "GET"]


async def test_a_token_ends_with_its_time_and_with_its_secret(
    make: Make, ask: Ask, system: CompanySystem, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets" / "default" / "bank"
    folder.mkdir(parents=True)
    (folder / "core").write_text("user:one", encoding="utf-8")
    system.answers("GET", "/ping", {"ok": True})
    system.answers("POST", "/oauth/token", {"access_token": "t", "expires_in": 1e-9}, {"access_token": "t"})
    assistants = make(PING, head=OAUTH)
    for _ in range(3):
        await ask(assistants)
    assert [each.method for each in system.asked] == ["POST", "GET", "POST", "GET", "GET"]
    (folder / "core").write_text("user:another", encoding="utf-8")
    await ask(assistants)
    assert [each.method for each in system.asked][-2:] == ["POST", "GET"]


@pytest.mark.parametrize(
    "answer", [401, 500, {}, {"access_token": ["t"]}, {"access_token": "a\nb"}, web.Response(text="token")]
)
async def test_without_a_token_nothing_has_happened(make: Make, ask: Ask, system: CompanySystem, answer: Any) -> None:
    system.answers("POST", "/oauth/token", answer)
    with pytest.raises(NothingHappened, match="gave no token"):
        await ask(make(PING, head=OAUTH, variables=SECRET))
    assert [each.method for each in system.asked] == ["POST"]
