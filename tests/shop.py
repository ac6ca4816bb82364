"""The demo shop as a process of its own, and what the files of a connector say carried out by the letter."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import zen

from shared.assistants.connectors import Action, AnswerField, ConnectorFiles, Decide, Lookup, Request
from shared.assistants.expressions import Expression
from tests.servers import free_port
from tests.stack import eventually

__all__ = ["KEY", "Asked", "Letter", "RunningShop", "run_shop"]

KEY = "the-key-of-the-tests"
PROJECT = Path(__file__).parents[1]
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "text": str,
    "date": str,
    "datetime": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "localized": dict,
}


@dataclass(frozen=True, kw_only=True)
class RunningShop:
    """Where the shop answers, and its process."""

    url: str
    process: asyncio.subprocess.Process


@asynccontextmanager
async def run_shop(data: Path, *arguments: str, port: int | None = None) -> AsyncIterator[RunningShop]:
    """Runs `python -m examples.shop` until the end of the block; then it must stop by itself."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = (sys.executable, "-m", "examples.shop", "--port", str(port), "--data", str(data), *arguments)
    environment = {**os.environ, "SHOP_API_KEY": KEY, "PYTHONPATH": str(PROJECT)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    try:

        async def answers() -> bool:
            assert process.returncode is None, "the shop did not start"
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, what="the shop")
        yield RunningShop(url=url, process=process)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an action comes to: `status` as in its result."""

    status: str
    code: str | None
    data: dict[str, Any]


class Letter:
    """Sends what the files of a connector say and reads the answers as they say, without limits, pages and retries."""

    def __init__(self, files: ConnectorFiles, rules: Path, url: str, session: aiohttp.ClientSession) -> None:
        self._files = files
        self._rules = rules
        self._url = url
        self._session = session
        self._engine = zen.ZenEngine()

    async def look_up(self, name: str, scope: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer to a look-up, or nothing where there is none."""
        _, lookup = self._files.lookups()[name]
        given = all_of(lookup, scope)
        if lookup.customer == "required" and given["customer"] is None:
            return None
        status, response = await self._send(lookup.request, given)
        if status in lookup.missing:
            return None
        assert status == 200, response
        given |= {"response": response, "status": status}
        return fields(lookup.answer, given | self._decided(lookup.decide, given))

    async def act(self, name: str, scope: Mapping[str, Any], *, approved: bool = False) -> Asked:
        """What becomes of an action, whose id is `scope["action"]`."""
        _, action = self._files.actions()[name]
        given = all_of(action, scope)
        if action.before is not None:
            arguments = {key: each.value(given) for key, each in action.before.arguments.items()}
            found = await self.look_up(action.before.lookup, {**scope, **arguments})
            if found is None:
                return Asked(status="rejected", code=action.before.missing, data={})
            given["before"] = found
        given |= self._decided(action.decide, given)
        for refusal in action.refuse:
            if refusal.when.holds(given):
                code = str(refusal.code.value(given))
                return Asked(status="rejected", code=code, data=fields(action.answer, given))
        approval = action.approval
        if approval is not None and not approved and (approval.when is None or approval.when.holds(given)):
            return Asked(status="awaiting_approval", code=None, data=fields(action.answer, given))
        assert action.request is not None
        status, response = await self._send(action.request, given, {action.idempotency_header: scope["action"]})
        given |= {"response": response, "status": status}
        data = fields(action.answer, given)
        if status in action.refused:
            return Asked(status="rejected", code=str(action.refused[status].value(given)), data=data)
        assert 200 <= status < 300, response
        return Asked(status="succeeded", code=None, data=data)

    async def _send(
        self, request: Request, scope: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        path = request.path
        for name in request.parameters:
            path = path.replace(f"{{{name}}}", quote(str(scope[name]), safe=""))
        query = {key: each.value(scope) for key, each in request.query.items()}
        sent = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        body = None if request.body is None else rendered(request.body, scope)
        async with self._session.request(
            request.method,
            f"{self._url}{path}",
            params={key: str(each) for key, each in query.items() if each is not None},
            json=body,
            headers=sent,
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    def _decided(self, decide: Mapping[str, Decide], scope: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, each in decide.items():
            decision = self._engine.create_decision((self._rules / f"{each.rule}.json").read_text(encoding="utf-8"))
            facts = {key: fact.value(scope) for key, fact in each.facts.items()}
            found[name] = decision.evaluate(facts)["result"]
        return found


def all_of(part: Lookup | Action, scope: Mapping[str, Any]) -> dict[str, Any]:
    """A scope in which every argument has a value."""
    return {"customer": None, "conversation": "c-1", **dict.fromkeys(part.arguments), **scope}


def rendered(template: Any, scope: Mapping[str, Any]) -> Any:
    """JSON with its values; what is null is left out."""
    if isinstance(template, Expression):
        return template.value(scope)
    if isinstance(template, list):
        return [rendered(each, scope) for each in template]
    values = {key: rendered(each, scope) for key, each in template.items()}
    return {key: each for key, each in values.items() if each is not None}


def fields(answer: Mapping[str, AnswerField], scope: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer, each of the type that it is declared to be."""
    own: Any = scope.get("item", scope.get("response"))
    found: dict[str, Any] = {}
    for name, field in answer.items():
        value = field.source.value(scope) if field.source else own.get(name) if isinstance(own, dict) else None
        if field.type == "list":
            assert value is None or isinstance(value, list), (name, value)
            found[name] = [fields(field.fields, {**scope, "item": each}) for each in value or ()]
        elif field.type == "object":
            assert value is None or isinstance(value, dict), (name, value)
            found[name] = None if value is None else fields(field.fields, {**scope, "item": value})
        else:
            assert value is None or isinstance(value, TYPES[field.type]), (name, value)
            found[name] = value
        assert found[name] is not None or not field.required, (name, scope)
    return found
