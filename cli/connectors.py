"""An assistant's systems, called from the command line by what `connectors/` says.

One module because it stands in for business, which calls them in many: it goes when the command line uses those.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import zen
from yarl import URL

from shared.assistants.connectors import (
    Action,
    Answer,
    AnswerField,
    Argument,
    Connector,
    Decide,
    Refusal,
    Request,
    read_connectors,
)
from shared.assistants.expressions import Expression, resolve
from shared.assistants.yaml_source import Mistakes, did_you_mean
from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus
from shared.contracts.lookups import LookupAnswer
from shared.errors import InvalidInput, Unavailable

__all__ = ["Notes", "Secret", "Systems", "secret_of"]

Secret = Callable[[str], str]
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def secret_of(assistant: str, given: Mapping[str, str]) -> Secret:
    """The value of a named secret: as given, else from `ZHIYIN_SECRET_<TENANT>_<ASSISTANT>_<NAME>`."""

    def value(name: str) -> str:
        variable = "ZHIYIN_SECRET_" + re.sub(r"[^A-Z0-9]", "_", f"default_{assistant}_{name}".upper())
        if found := given.get(name) or os.environ.get(variable):
            return found
        raise Unavailable(f"There is no secret '{name}': set {variable}, or give --secret {name}=…")

    return value


@dataclass
class Notes:
    """What a call came to besides its answer: what fields lack, and what the rules decided."""

    problems: list[str] = field(default_factory=list)
    decisions: dict[str, Any] = field(default_factory=dict)


class Systems:
    """Look-ups and actions of one assistant; every call is made once, and what fails is told at once.

    The session is the caller's. `urls` replaces the addresses that connectors name.
    """

    def __init__(self, folder: Path, session: aiohttp.ClientSession, urls: Mapping[str, str], secret: Secret) -> None:
        mistakes = Mistakes()
        files = read_connectors(folder, str, mistakes)
        mistakes.raise_if_any()
        self.connectors = files.connectors
        self.lookups = files.lookups()
        self.actions = files.actions()
        self.folder = folder
        self._session = session
        self._urls = urls
        self._secret = secret

    async def look_up(
        self, name: str, arguments: Mapping[str, Any], *, notes: Notes | None = None, **who: str | None
    ) -> LookupAnswer:
        """Asks a system; `who` are the customer, the conversation and the language.

        Raises:
            InvalidInput: an argument cannot be one.
            Unavailable: the system gave no answer that can be used.
        """
        notes = notes or Notes()
        connector, lookup = known(name, self.lookups, "look-up")
        scope = around(accepted(lookup.arguments, arguments), who)
        if lookup.customer == "required" and not scope["customer"]:
            return LookupAnswer(name=name, found=False)
        status, response = await self._call(connector, lookup.request, scope, {})
        if status in lookup.missing:
            return LookupAnswer(name=name, found=False)
        successful(connector, status)
        scope |= {"status": status, "response": response}
        if lookup.pages is not None:
            pages, items, query = lookup.pages, listed(lookup.pages.items.value(scope)), dict(lookup.request.query)
            for page in range(pages.first + 1, pages.first + pages.most):
                cursor = page if pages.next is None else pages.next.value(scope)
                if cursor is None or (pages.next is None and not listed(pages.items.value(scope))):
                    break
                query[pages.parameter] = Expression(json.dumps(cursor), frozenset())
                request = lookup.request.model_copy(update={"query": query})
                status, following = await self._call(connector, request, scope, {})
                successful(connector, status)
                items += listed(pages.items.value(scope := scope | {"response": following}))
            scope |= {"items": items, "response": response}
        if lookup.missing_if is not None and lookup.missing_if.holds(scope):
            return LookupAnswer(name=name, found=False)
        scope |= self._decided(lookup.decide, scope, notes)
        return LookupAnswer(name=name, found=True, data=self._answer(connector, lookup.answer, scope, notes))

    async def perform(
        self, request: ActionRequest, *, approved: bool = False, notes: Notes | None = None
    ) -> ActionResult:
        """Has a system do something, with the action's id as its idempotency key.

        Raises:
            InvalidInput: an argument cannot be one.
            Unavailable: a look-up before it failed, so that nothing was done.
        """
        notes = notes or Notes()
        connector, action = known(request.name, self.actions, "action")
        who: dict[str, str | None] = {
            "customer": request.customer,
            "conversation": request.conversation_id,
            "action": request.id,
            "language": request.language,
        }
        scope = around(accepted(action.arguments, request.arguments), who)
        if action.customer == "required" and not request.customer:
            return result(request, "rejected", code="customer_unknown")
        if action.before is not None:
            arguments = {key: each.value(scope) for key, each in action.before.arguments.items()}
            found = await self.look_up(action.before.lookup, arguments, notes=None, **who)
            if not found.found:
                return result(request, "rejected", code=action.before.missing)
            scope["before"] = found.data
        scope |= self._decided(action.decide, scope, notes)
        if code := refused(action.refuse, scope):
            return result(request, "rejected", code=code)
        asks = action.approval
        if asks is not None and not approved and (asks.when is None or asks.when.holds(scope)):
            return result(request, "awaiting_approval")
        if action.saga is not None:
            return await self._saga(request, action, scope)
        assert action.request is not None, "an action that is no saga has a request"
        headers = {action.idempotency_header: request.id} if action.delivery == "idempotent" else {}
        try:
            status, response = await self._call(connector, action.request, scope, headers)
        except Unavailable as error:
            notes.problems.append(str(error))
            return result(request, "failed", code="outcome_unknown")
        scope |= {"status": status, "response": response}
        if status in action.refused:
            return result(request, "rejected", code=text(action.refused[status].value(scope)) or "refused")
        if not 200 <= status < 300:
            return result(request, "failed", code="outcome_unknown" if status >= 500 else "system_refused")
        if code := refused(action.refused_if, scope):
            return result(request, "rejected", code=code)
        try:
            return result(request, "succeeded", data=self._answer(connector, action.answer, scope, notes))
        except Unavailable as error:
            notes.problems.append(str(error))
            return result(request, "failed", code="outcome_unknown")

    async def _saga(self, request: ActionRequest, action: Action, scope: dict[str, Any]) -> ActionResult:
        done: list[tuple[int, Any]] = []
        for index, step in enumerate(action.saga or ()):
            arguments = {key: each.value(scope) for key, each in step.arguments.items()}
            part = request.model_copy(
                update={"id": f"{request.id}.{index}", "name": step.action, "arguments": arguments}
            )
            outcome = await self.perform(part, approved=True)
            if outcome.status != "succeeded":
                for number, undo in reversed(done):
                    arguments = {key: each.value(scope) for key, each in undo.arguments.items()}
                    update = {"id": f"{request.id}.{number}.undo", "name": undo.action, "arguments": arguments}
                    await self.perform(request.model_copy(update=update), approved=True)
                return result(request, outcome.status, code=outcome.error_code)
            if step.save is not None:
                scope[step.save] = outcome.data
            if step.undo is not None:
                done.append((index, step.undo))
        return result(request, "succeeded", data=mapped(action.answer, scope, scope, Notes().problems))

    async def _call(
        self, connector: Connector, request: Request, scope: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, Any]:
        base = self._urls.get(connector.connector) or connector.url
        if base is None:
            raise Unavailable(f"connectors/{connector.connector}.yml names no url; give --url")
        parts: dict[str, str] = {}
        for name in request.parameters:
            part = text(resolve(scope, name))
            if not part or part in (".", ".."):
                raise InvalidInput(f"'{name}' in the path has no value that can stand there")
            parts[name] = quote(part, safe="")
        path = re.sub(r"\{([^{}]*)\}", lambda found: parts[found[1]], request.path)
        query = [
            (name, text(one))
            for name, each in request.query.items()
            for value in [each.value(scope)]
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]
        headers |= dict(connector.headers)
        headers |= {
            name: text(value) for name, each in request.headers.items() if (value := each.value(scope)) is not None
        }
        body = filled(request.body, scope)
        timeout = aiohttp.ClientTimeout(total=request.timeout or connector.timeout)
        url = URL(base.rstrip("/") + path, encoded=True).extend_query(query)
        try:
            headers |= await self._credentials(connector, base)
            async with self._session.request(
                request.method, url, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                content = await answer.content.read(connector.largest + 1)
                while chunk := await answer.content.read(connector.largest + 1):
                    content += chunk
                    if len(content) > connector.largest:
                        break
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = "no answer within the time" if isinstance(error, TimeoutError) else str(error) or "cut off"
            raise Unavailable(f"{connector.connector} does not answer: {reason}") from error
        if len(content) > connector.largest:
            raise Unavailable(f"{connector.connector} answered with more than {connector.largest} bytes")
        try:
            return status, json.loads(content) if content.strip() else None
        except ValueError as error:
            if 200 <= status < 300:
                raise Unavailable(f"{connector.connector} answered with something that is not JSON") from error
            return status, None

    async def _credentials(self, connector: Connector, base: str) -> dict[str, str]:
        if (auth := connector.auth) is None:
            return {}
        secret = self._secret(auth.secret)
        basic = f"Basic {base64.b64encode(secret.encode()).decode()}"
        if auth.type == "bearer":
            return {"Authorization": f"Bearer {secret}"}
        if auth.type == "header":
            return {auth.header: secret}
        if auth.type == "basic":
            return {"Authorization": basic}
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        async with self._session.post(
            base.rstrip("/") + auth.token_path, data=form, headers={"Authorization": basic}, allow_redirects=False
        ) as answer:
            successful(connector, answer.status)
            return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    def _decided(self, decide: Mapping[str, Decide], scope: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
        for name, each in decide.items():
            content = (self.folder / "rules" / f"{each.rule}.json").read_text(encoding="utf-8")
            facts = {key: fact.value(scope) for key, fact in each.facts.items()}
            notes.decisions[name] = zen.ZenEngine().create_decision(content).evaluate(facts)["result"]
        return dict(notes.decisions)

    def _answer(self, connector: Connector, answer: Answer, scope: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
        data = mapped(answer, scope, scope.get("response"), notes.problems)
        for name, each in answer.items():
            if each.required and data[name] is None:
                raise Unavailable(f"{connector.connector} answered without '{name}', which is required")
        return data


def known(name: str, offered: Mapping[str, Any], what: str) -> Any:
    """A look-up or an action by its name."""
    if name not in offered:
        raise InvalidInput(f"There is no {what} '{name}'{did_you_mean(name, offered) or '.'}")
    return offered[name]


def around(arguments: Mapping[str, Any], who: Mapping[str, str | None]) -> dict[str, Any]:
    """The names that every expression of a connector may use."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    nobody = dict.fromkeys(("customer", "conversation", "action", "language"))
    return {**nobody, "tenant": "default", "now": now, **who, **arguments}


def accepted(declared: Mapping[str, Argument], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call; one that is left out is `null`."""
    for name in given.keys() - declared.keys():
        raise InvalidInput(f"There is no argument '{name}'{did_you_mean(name, declared) or '.'}")
    values: dict[str, Any] = {}
    for name, argument in declared.items():
        value = given.get(name)
        if value is None and not argument.optional:
            raise InvalidInput(f"The argument '{name}' is missing.")
        if value is not None:
            problems: list[str] = []
            value = converted(argument.type, value, name, problems)
            if problems or not within(argument, value):
                raise InvalidInput(f"The argument '{name}' cannot be {given[name]!r}.")
        values[name] = value
    return values


def within(argument: Argument, value: Any) -> bool:
    """Whether a value keeps an argument's limits."""
    if argument.one_of is not None and value not in argument.one_of:
        return False
    if isinstance(value, str):
        fits = argument.pattern is None or re.fullmatch(argument.pattern, value) is not None
        return fits and (argument.type != "text" or argument.shortest <= len(value) <= argument.longest)
    low = argument.least is None or value >= argument.least
    return low and (argument.most is None or value <= argument.most)


def converted(kind: str, value: Any, name: str, problems: list[str]) -> Any:
    """A value as what it is declared to be; `None`, with a note, where it cannot be that."""
    found: Any = None
    if value is None:
        return None
    if kind == "text" and isinstance(value, str | int | float):
        found = text(value)
    elif kind == "boolean":
        found = value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))
    elif kind in ("integer", "number") and not isinstance(value, bool):
        try:
            found = int(str(value)) if kind == "integer" else float(value)
        except (ValueError, TypeError):
            found = None
    elif kind in ("date", "datetime") and isinstance(value, str) and ISO_DATE.match(value):
        try:
            found = value if datetime.fromisoformat(value) else None
            found = date.fromisoformat(value[:10]).isoformat() if kind == "date" else value
        except ValueError:
            found = None
    elif kind == "localized" and isinstance(value, str | dict):
        found = value
    if found is None:
        problems.append(f"{name} should be {kind}, is {json.dumps(value, ensure_ascii=False)[:80]}")
    return found


def mapped(answer: Answer, scope: Mapping[str, Any], item: Any, problems: list[str], above: str = "") -> dict[str, Any]:
    """The declared fields of an answer; what is missing or of a wrong type is noted, and `None`."""
    data: dict[str, Any] = {}
    for name, each in answer.items():
        inner = {**scope, "item": item} if above else scope
        value = each.source.value(inner) if each.source else item.get(name) if isinstance(item, dict) else None
        data[name] = one_field(each, scope, value, f"{above}{name}", problems)
    return data


def one_field(each: AnswerField, scope: Mapping[str, Any], value: Any, name: str, problems: list[str]) -> Any:
    """One field of an answer."""
    if value is None:
        problems.append(f"{name} is missing" + (", and required" if each.required else ""))
        return None
    if each.type == "list":
        if isinstance(value, list):
            return [mapped(each.fields, scope, item, problems, f"{name}.") for item in value[: each.most]]
    elif each.type == "object":
        if isinstance(value, dict):
            return mapped(each.fields, scope, value, problems, f"{name}.")
    else:
        found = converted(each.type, value, name, problems)
        return found[: each.longest] if isinstance(found, str) else found
    problems.append(f"{name} should be {each.type}, is {json.dumps(value, ensure_ascii=False)[:80]}")
    return None


def filled(template: Any, scope: Mapping[str, Any]) -> Any:
    """A body with its expressions' values; `null` is left out of it."""
    if isinstance(template, dict):
        values = {key: filled(each, scope) for key, each in template.items()}
        return {key: value for key, value in values.items() if value is not None}
    if isinstance(template, list):
        return [filled(each, scope) for each in template]
    return template.value(scope) if isinstance(template, Expression) else template


def refused(refusals: list[Refusal], scope: Mapping[str, Any]) -> str:
    """The code of the first refusal that holds."""
    return next((text(each.code.value(scope)) or "refused" for each in refusals if each.when.holds(scope)), "")


def result(
    request: ActionRequest, status: ActionStatus, *, code: str | None = None, data: dict[str, Any] | None = None
) -> ActionResult:
    """What became of an action."""
    return ActionResult(
        action_id=request.id,
        tenant=request.tenant,
        name=request.name,
        conversation_id=request.conversation_id,
        status=status,
        error_code=code,
        data=data or {},
    )


def successful(connector: Connector, status: int) -> None:
    """Refuses an answer that is none."""
    if not 200 <= status < 300:
        raise Unavailable(f"{connector.connector} answered with HTTP {status}")


def listed(value: Any) -> list[Any]:
    """A list, or none."""
    return list(value) if isinstance(value, list) else []


def text(value: Any) -> str:
    """A value as it stands in a path, a query or a header."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
