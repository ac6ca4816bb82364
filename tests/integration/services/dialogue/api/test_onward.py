"""What is passed on to another service, and what comes back that cannot be read."""

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel

from services.dialogue.api.onward import asked, passed_on
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import serve
from tests.tokens import TokenFactory

TOKENS = TokenFactory()


class Told(BaseModel):
    """What the other service says it was told."""

    authorization: str
    body: str


@pytest.fixture(scope="module")
async def calls() -> AsyncIterator[Calls]:
    other, here = APIRouter(), APIRouter()

    @other.post("/echo")
    async def echo(request: Request) -> dict[str, str]:
        return {"authorization": request.headers["Authorization"], "body": (await request.body()).decode()}

    @other.get("/nonsense")
    async def nonsense() -> list[int]:
        return [1]

    @here.post("/json")
    async def as_json(request: Request) -> Told:
        return await asked(request, "other", "POST", "/echo", Told, body=Told(authorization="", body="x"))

    @here.post("/bytes")
    async def as_bytes(request: Request) -> Told:
        return Told.model_validate(await passed_on(request, "other", "POST", "/echo", content=b"raw"))

    @here.get("/nonsense")
    async def unreadable(request: Request) -> Told:
        return await asked(request, "other", "GET", "/nonsense", Told)

    def settings(**services: str) -> ServiceSettings:
        return ServiceSettings(environment="development", drain_seconds=0.0, static_services=services)

    behind = create_service(settings(), name="other", description="", routers=[other], jwks=TOKENS.fetch)
    async with serve(behind) as server:
        front = settings(other=server.address)
        app = create_service(front, name="here", description="", routers=[here], jwks=TOKENS.fetch)
        async with serve(app) as server, calling(server.base_url) as calls:
            yield calls


async def test_the_persons_token_and_the_body_go_on(calls: Calls) -> None:
    mine = {"Authorization": "Bearer mine"}
    assert (await calls.send("POST", "/json", headers=mine)).body == {
        "authorization": "Bearer mine",
        "body": '{"authorization": "", "body": "x"}',
    }
    assert (await calls.send("POST", "/bytes", headers=mine)).body == {"authorization": "Bearer mine", "body": "raw"}


async def test_an_answer_that_is_something_else_is_said_to_be(calls: Calls) -> None:
    answer = await calls.send("GET", "/nonsense", headers={"Authorization": "Bearer mine"})
    assert (answer.status, answer.body["detail"]) == (502, "the answer of other is not what it should be")
