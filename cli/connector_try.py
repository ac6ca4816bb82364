"""`zhiyin connector try`: one call of a company's system as business makes it, and what came out of it."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import typer
from rich.table import Table
from rich.text import Text

from cli.connectors import Notes, Systems, secret_of
from cli.console import err, harmless, out, write_json
from cli.errors import CommandError, NotReachable, UsageError
from cli.recordings import Exchange
from cli.wire import Wire
from shared.assistants.connectors import Action, Answer, Argument, Connector, Lookup
from shared.assistants.yaml_source import did_you_mean
from shared.contracts.actions import ActionRequest
from shared.errors import Problem, Unavailable
from shared.nlu.training_data import load_manifest

__all__ = ["Attempt", "pairs", "try_out"]

SHOWN = 4000
"""Characters of a raw answer."""
FAILED = ("failed", "unavailable")


@dataclass(frozen=True)
class Attempt:
    """What is to be called, for whom, and with what."""

    name: str
    customer: str | None = None
    language: str = "zh"
    arguments: Mapping[str, str] | None = None
    secrets: Mapping[str, str] | None = None
    url: str | None = None
    yes: bool = False


def pairs(given: list[str], option: str) -> dict[str, str]:
    """What `NAME=VALUE` options say.

    Raises:
        UsageError: one has no `=`.
    """
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} wants NAME=VALUE, not {each!r}.")
        found[name] = value
    return found


async def try_out(folder: Path, attempt: Attempt, *, as_json: bool) -> None:
    """Calls the system and shows each request with its answer, the declared fields, and what was wrong with them.

    Raises:
        UsageError: there is no such look-up or action, or an argument cannot be one.
        NotReachable: the system gave no answer that can be used.
        CommandError: the action failed, or was not wanted after all.
    """
    async with aiohttp.ClientSession() as session, Wire() as wire:
        secret = secret_of(load_manifest(folder).name, attempt.secrets or {})
        direct = Systems(folder, session, {}, secret)
        connector, part = named(direct, attempt.name)
        name = attempt.name.rpartition(".")[2]
        if attempt.url is not None and not attempt.url.startswith(("http://", "https://")):
            raise UsageError("--url wants an address such as http://127.0.0.1:8090.")
        wire.upstream = {each.connector: each.url for each in direct.connectors.values() if each.url}
        if attempt.url is not None:
            wire.upstream = {**wire.upstream, connector.connector: attempt.url}
        if connector.connector not in wire.upstream:
            raise UsageError(f"connectors/{connector.connector}.yml names no url; give --url.")
        wire.tokens = {
            each.connector: each.auth.token_path
            for each in direct.connectors.values()
            if each.auth is not None and each.auth.type == "client_credentials"
        }
        systems = Systems(folder, session, {each: wire.url(each) for each in direct.connectors}, secret)
        arguments = typed(part.arguments, attempt.arguments or {})
        key = f"try-{uuid4().hex}"
        if isinstance(part, Action):
            agreed(attempt, part, wire.upstream[connector.connector], key)
        notes = Notes()
        started = time.perf_counter()
        try:
            outcome = await call(systems, name, part, arguments, attempt, key, notes)
        except Unavailable as error:
            outcome = {"outcome": "unavailable", "reason": sentence(wire, error)}
        except Problem as error:
            raise UsageError(str(error)) from error
        outcome |= {
            "problems": list(dict.fromkeys(notes.problems)),
            "decisions": notes.decisions,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            "exchanges": [document(each) for each in wire.exchanges],
        }
    if as_json:
        write_json(outcome)
    else:
        show(outcome, part.answer, wire.exchanges)
    if outcome["outcome"] == "unavailable":
        raise NotReachable(harmless(str(outcome["reason"])))
    if outcome["outcome"] in FAILED:
        raise CommandError(f"{attempt.name} failed: {outcome['code']}.")


def named(systems: Systems, name: str) -> tuple[Connector, Lookup | Action]:
    """A look-up or an action by `connector.name`, or by its name alone."""
    offered: dict[str, tuple[Connector, Lookup | Action]] = {**systems.lookups, **systems.actions}
    known = {f"{connector.connector}.{each}": (connector, part) for each, (connector, part) in offered.items()}
    if name not in known and name not in offered:
        there = f"; there are {', '.join(sorted(known))}." if known else "; there are no connectors."
        raise UsageError(f"There is no look-up and no action '{name}'{did_you_mean(name, known) or there}")
    return known[name] if name in known else offered[name]


def typed(declared: Mapping[str, Argument], given: Mapping[str, str]) -> dict[str, Any]:
    """Arguments as they were typed, numbers as such where numbers are wanted."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        kind = declared[name].type if name in declared else "text"
        try:
            values[name] = json.loads(value) if kind in ("integer", "number", "boolean") else value
        except ValueError:
            values[name] = value
    return values


def agreed(attempt: Attempt, action: Action, url: str, key: str) -> None:
    """Asks before anything is done.

    Raises:
        CommandError: it is not wanted.
    """
    how = f"{action.idempotency_header}: {key}" if action.delivery == "idempotent" else f"delivery: {action.delivery}"
    err.print(f"{attempt.name} does something at {url} ({how}).", soft_wrap=True, markup=False)
    if action.approval is not None:
        err.print("A person would be asked first; here that is you.")
    if not attempt.yes and not typer.confirm("Do it?", err=True):
        raise CommandError("Nothing was done.")


async def call(
    systems: Systems,
    name: str,
    part: Lookup | Action,
    arguments: dict[str, Any],
    attempt: Attempt,
    key: str,
    notes: Notes,
) -> dict[str, Any]:
    """The outcome as a document."""
    if isinstance(part, Lookup):
        answer = await systems.look_up(
            name, arguments, notes=notes, customer=attempt.customer, conversation="try", language=attempt.language
        )
        return {"outcome": "found" if answer.found else "missing", "data": answer.data}
    request = ActionRequest(
        id=key,
        tenant="default",
        name=name,
        customer=attempt.customer,
        conversation_id="try",
        arguments=arguments,
        requested_at=datetime.now(UTC),
        language=attempt.language,
    )
    result = await systems.perform(request, approved=True, notes=notes)
    return {"outcome": result.status, "code": result.error_code, "idempotency_key": key, "data": result.data}


def sentence(wire: Wire, error: Exception) -> str:
    """Why there is no answer: what the line to the system knows says more than that it was cut."""
    return next((each.failure for each in reversed(wire.exchanges) if each.failure), str(error))


def document(exchange: Exchange) -> dict[str, Any]:
    """A request and its answer for a script."""
    return {
        "connector": exchange.connector,
        "request": exchange.line,
        "body": exchange.body,
        "status": exchange.status,
        "answer": exchange.answer,
        "milliseconds": round(exchange.milliseconds, 1),
        "failure": exchange.failure,
    }


def show(outcome: dict[str, Any], answer: Answer, exchanges: list[Exchange]) -> None:
    """What was asked, what was answered and what it comes to, for a person."""
    for each in exchanges:
        says(f"{each.connector}: {each.line}", style="bold")
        if each.body is not None:
            says(f"  {bounded(each.body)}")
        if each.failure:
            says(f"  no answer: {each.failure}", style="red")
        else:
            says(
                f"  HTTP {each.status} in {each.milliseconds:.0f} ms", style="green" if each.status < 400 else "yellow"
            )
            says(f"  {bounded(each.answer)}", style="dim")
    for name, decision in outcome["decisions"].items():
        says(f"rules: {name} = {bounded(decision)}")
    code = f" ({outcome['code']})" if outcome.get("code") else ""
    says(f"{outcome['outcome']}{code} in {outcome['milliseconds']:.0f} ms", style="bold")
    if outcome.get("data"):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("field", "type", "value"):
            table.add_column(column, overflow="fold")
        for name, kind, value in fields(answer, outcome["data"]):
            table.add_row(Text(name), Text(kind), Text(harmless(bounded(value))))
        out.print(table)
    for problem in outcome["problems"]:
        says(f"! {problem}", style="yellow")


def fields(answer: Answer, data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str, Any]]:
    """Each declared field with its type and value; of a list the first items."""
    for name, each in answer.items():
        value = data.get(name)
        path = f"{above}{name}"
        if each.type == "list" and isinstance(value, list):
            yield path, "list", f"{len(value)} items"
            for index, item in enumerate(value[:3]):
                yield from fields(each.fields, item, f"{path}[{index}].")
        elif each.type == "object" and isinstance(value, dict):
            yield path, "object", ""
            yield from fields(each.fields, value, f"{path}.")
        else:
            yield path, each.type, value


def bounded(value: Any) -> str:
    """JSON, or text, of a length that can be read."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} … ({len(text)} characters)"


def says(line: str, style: str = "") -> None:
    """A line of somebody else's words."""
    out.print(Text(harmless(line), style=style), soft_wrap=True)
