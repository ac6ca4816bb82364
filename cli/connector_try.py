"""`zhiyin connector try`: one call of a company's system as business makes it, and what came out of it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer
from rich.table import Table
from rich.text import Text

from cli.connectors import TENANT, Notes, Systems, connectors_of
from cli.console import err, harmless, out, write_json
from cli.errors import CommandError, NotReachable, UsageError
from cli.recordings import Exchange
from cli.wire import Wire
from shared.assistants.connectors import Action, Answer, Argument, Connector, ConnectorFiles, Lookup
from shared.assistants.yaml_source import did_you_mean
from shared.contracts.actions import ActionRequest
from shared.errors import InvalidInput, Unavailable

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


async def try_out(folder: Path, attempt: Attempt, *, kept: Path | None = None, as_json: bool) -> None:
    """Calls the system and shows each request with its answer, the declared fields, and what was wrong with them.

    Args:
        kept: the folder of the secrets that this machine keeps.

    Raises:
        UsageError: there is no such look-up or action, or an argument cannot be one.
        NotReachable: the system gave no answer that can be used.
        CommandError: the action failed, or was not wanted after all.
    """
    if attempt.url is not None and not attempt.url.startswith(("http://", "https://")):
        raise UsageError("--url wants an address such as http://127.0.0.1:8090.")
    files = connectors_of(folder)
    connector, part = named(files, attempt.name)
    name = attempt.name.rpartition(".")[2]
    notes = Notes()
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(Wire())
        wire.reach(files.connectors, {connector.connector: attempt.url} if attempt.url else {})
        if connector.connector not in wire.upstream:
            raise UsageError(f"connectors/{connector.connector}.yml names no url; give --url.")
        urls = {each: wire.url(each) for each in files.connectors}
        systems = await stack.enter_async_context(Systems(folder, urls, secrets=attempt.secrets or {}, kept=kept))
        key = f"try-{uuid4().hex}"
        if isinstance(part, Action):
            agreed(attempt, part, wire.upstream[connector.connector], key)
        started = time.perf_counter()
        try:
            outcome = await call(
                systems, name, part, typed(part.arguments, attempt.arguments or {}), attempt, key, notes
            )
        except Unavailable as error:
            outcome = {"outcome": "unavailable", "reason": sentence(wire, error)}
        except InvalidInput as error:
            raise UsageError(f"{str(error).removeprefix('arguments.')}.") from error
        took = time.perf_counter() - started
    missing = [
        f"{path} is missing" for path, _, value in fields(part.answer, outcome.get("data") or {}) if value is None
    ]
    outcome |= {
        "problems": [*dict.fromkeys(notes.problems), *(missing if outcome.get("data") else [])],
        "decisions": notes.decisions,
        "milliseconds": round(took * 1000, 1),
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


def named(files: ConnectorFiles, name: str) -> tuple[Connector, Lookup | Action]:
    """A look-up or an action by `connector.name`, or by its name alone."""
    offered: dict[str, tuple[Connector, Lookup | Action]] = {**files.lookups(), **files.actions()}
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
        answer = await systems.look_up(name, arguments, customer=attempt.customer, language=attempt.language)
        return {"outcome": "found" if answer.found else "missing", "data": answer.data}
    request = ActionRequest(
        id=key,
        tenant=TENANT,
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
    """One line of text from the system, without control characters."""
    out.print(Text(harmless(line), style=style), soft_wrap=True)
