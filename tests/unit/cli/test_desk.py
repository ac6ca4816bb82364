"""What staff decide on the command line, against a gateway that answers by HTTP."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI, Header, HTTPException

from cli.desk import Staff, approve, dead_letters
from cli.errors import CommandError
from cli.gateway import Refused
from tests.servers import serve

WAITING = [{"id": f"c1.{n}", "name": "refund", "customer": "C1001", "data": {"amount": 300 + n}} for n in range(51)]

Work = Callable[[Staff], Awaitable[None]]


async def at_a_desk(work: Work) -> list[Any]:
    """Does the work with a gateway of its own; answers with what was decided there."""
    gateway, decided = FastAPI(), list[Any]()

    @gateway.post("/v1/auth/login")
    async def log_in(body: dict[str, str]) -> dict[str, str]:
        return {"access_token": body["username"], "refresh_token": "r"}

    @gateway.post("/v1/auth/refresh")
    async def refresh() -> None:
        raise HTTPException(401, "no")

    @gateway.get("/v1/approvals")
    async def approvals(after: int, limit: int) -> dict[str, Any]:
        page = WAITING[after : after + limit]
        return {"approvals": page, "next_after": after + limit if after + limit < len(WAITING) else None}

    @gateway.post("/v1/approvals/{action}")
    async def decide(action: str, body: dict[str, str], authorization: str = Header()) -> dict[str, str]:
        if authorization != "Bearer agent":
            raise HTTPException(403, "this needs the role agent")
        decided.append((action, body))
        return {"id": action, "status": "succeeded" if body["decision"] == "approve" else "rejected"}

    @gateway.get("/v1/dead-letters")
    async def letters() -> dict[str, Any]:
        return {"dead_letters": [{"id": 7, "name": "refund", "error": "x\x1b[2Jy", "attempts": 5}], "next_after": None}

    @gateway.post("/v1/dead-letters/{letter}/retry")
    async def retry(letter: int) -> dict[str, int]:
        decided.append(letter)
        return {"id": letter}

    @gateway.post("/v1/dead-letters/{letter}/resolve")
    async def resolve(letter: int, body: dict[str, Any]) -> dict[str, Any]:
        decided.append((letter, body))
        return {"id": letter}

    @gateway.post("/v1/dead-letters/{letter}/dismiss")
    async def dismiss(letter: int, body: dict[str, str]) -> dict[str, int]:
        decided.append((letter, body))
        return {"id": letter}

    async with serve(gateway) as served:
        await work(Staff(username="agent", password="x", url=f"http://{served.address}"))
    return decided


async def test_everything_that_waits_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    await at_a_desk(lambda staff: approve(staff, None, yes=True, note=None, as_json=True))
    assert json.loads(capsys.readouterr().out) == WAITING
    await at_a_desk(lambda staff: approve(staff, None, yes=True, note=None, as_json=False))
    assert "c1.50" in capsys.readouterr().out


async def test_a_person_says_yes_or_no(capsys: pytest.CaptureFixture[str]) -> None:
    yes = await at_a_desk(lambda staff: approve(staff, "c1.0", yes=True, note=None, as_json=False))
    no = await at_a_desk(lambda staff: approve(staff, "c1.0", yes=False, note="used", as_json=False))
    assert yes == [("c1.0", {"decision": "approve"})]
    assert no == [("c1.0", {"decision": "reject", "note": "used"})]
    assert capsys.readouterr().err.splitlines() == ["✓ c1.0 is succeeded", "✓ c1.0 is rejected"]


async def test_an_account_that_may_not_is_told_so() -> None:
    async def work(staff: Staff) -> None:
        other = Staff(username="lilei", password="x", url=staff.url)
        with pytest.raises(Refused, match=r"^Refused \(403\): this needs the role agent$"):
            await approve(other, "c1.0", yes=True, note=None, as_json=False)

    assert await at_a_desk(work) == []


@pytest.mark.parametrize("action", ["../actions", "a b", "a/b", "", "a?x", "é"])
async def test_what_can_be_no_action_is_not_asked_for(action: str) -> None:
    async def work(staff: Staff) -> None:
        with pytest.raises(CommandError, match="is no id of an action"):
            await approve(staff, action, yes=True, note=None, as_json=False)

    assert await at_a_desk(work) == []


async def test_what_was_given_up_is_listed_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    await at_a_desk(lambda staff: dead_letters(staff, as_json=False))
    assert "xy" in capsys.readouterr().out
    assert await at_a_desk(lambda staff: dead_letters(staff, retry=7, as_json=False)) == [7]


@pytest.mark.parametrize(("happened", "said"), [(True, "✓ 7 has happened\n"), (False, "✓ 7 has not happened\n")])
async def test_what_became_of_an_unknown_action_is_said_with_how_it_was_found_out(
    capsys: pytest.CaptureFixture[str], happened: bool, said: str
) -> None:
    done = await at_a_desk(
        lambda staff: dead_letters(staff, resolve=(7, happened), reason="asked the bank", as_json=False)
    )
    assert done == [(7, {"happened": happened, "note": "asked the bank"})]
    assert capsys.readouterr().err == said


async def test_what_was_given_up_is_dismissed_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    done = await at_a_desk(lambda staff: dead_letters(staff, dismiss=7, reason="done by hand", as_json=False))
    assert done == [(7, {"reason": "done by hand"})]
    assert capsys.readouterr().err == "✓ 7 is left as it is\n"
