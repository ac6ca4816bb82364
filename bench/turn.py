"""A full chat turn through every service, measured: p50, p95, p99, turns a second, processor time, where time goes.

Starts the whole stack on free ports with data of its own, on SQLite and then on PostgreSQL (where it is installed), and
lets 1, 8 and 32 customers chat, each sending its next message when the last one is answered. One conversation goes on
for thousands of messages, to show that a turn's cost does not grow with what was said before. Where `python3.10` is on
the PATH, Rasa's REST channel answers the same messages in the same run, from its `init` project in a virtual
environment of its own; else figures of another run are printed, and said to be that.

Times depend on the machine; processor time, shares and the ratios between rows of one run are what to compare. Run it
with `make bench-turn`; `BENCH=--quick` leaves out Rasa and most of the long conversation.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from cli.ports import free_ports
from cli.process import Process, Program
from services.learning.runs.runs import train
from tests.postgres import postgres
from tests.stack import PROJECT, PROJECT_HOME, RunningStack

CLIENTS = (1, 8, 32)
TURNS_A_CLIENT = {1: 60, 8: 24, 32: 12}
WARM_UP_TURNS = 8
LONG_MESSAGES = 5000
QUICK_LONG_MESSAGES = 300
WINDOW = 50
"""Turns at a conversation's beginning and end whose medians are compared."""

PROCESSES = ("dialogue", "business", "intent", "login", "worker")
DATABASES = {"dialogue": "dialogue", "business": "business", "worker": "business", "login": "login"}

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
RASA = "rasa==3.6.21"
RASA_PYTHON = "python3.10"
RASA_READY_SECONDS = 180.0
RASA_ELSEWHERE = {1: 19.0, 8: 29.0, 32: 32.0}
"""Turns a second of Rasa 3.6.21's REST channel at 1, 8 and 32 clients, measured on 2 cores in another run."""
MESSAGES = (
    "我的订单 20261103001 到哪了？",
    "how long does delivery usually take?",
    "谢谢",
    "what is your return policy?",
    "20261103002 这个订单发货了吗",
    "hello there",
)

AUTH = "zhiyin_token_verify_seconds_sum"
STAGES = {
    "SQL": ("accept", "load", "commit", "replies"),
    "intent": ("understand",),
    "flow": ("decide",),
    "business": ("lookup",),
}


async def post(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], token: str = "") -> Any:
    """The JSON answer of a POST; any error status ends the benchmark."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.post(url, json=body, headers=headers) as response:
        response.raise_for_status()
        return await response.json()


async def chat(session: aiohttp.ClientSession, base: str, client: int, turns: int) -> list[float]:
    """Seconds of each turn of one customer."""
    token = (await post(session, f"{base}/v1/auth/guest", {}))["access_token"]
    conversation = (await post(session, f"{base}/v1/conversations", {}, token))["id"]
    seconds = []
    for number in range(turns):
        body = {"message_id": f"m{number}", "text": MESSAGES[(client + number) % len(MESSAGES)]}
        started = time.perf_counter()
        answer = await post(session, f"{base}/v1/conversations/{conversation}/messages", body, token)
        seconds.append(time.perf_counter() - started)
        if not answer["complete"]:
            raise RuntimeError("a turn was not answered in time")
    return seconds


async def spent(session: aiohttp.ClientSession, base: str) -> dict[str, float]:
    """Seconds that dialogue has spent so far, by part."""
    async with session.get(f"{base}/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    samples = [sample for family in families for sample in family.samples]
    parts = {"auth": sum(sample.value for sample in samples if sample.name == AUTH)}
    for part, stages in STAGES.items():
        parts[part] = sum(
            sample.value
            for sample in samples
            if sample.name == "zhiyin_turn_stage_seconds_sum" and sample.labels["stage"] in stages
        )
    return parts


def processor_seconds(stack: RunningStack) -> dict[str, float]:
    """Seconds of processor time that each process has used so far."""
    times = {name: psutil.Process(stack.pid(name)).cpu_times() for name in PROCESSES if name in stack.programs}
    return {name: each.user + each.system for name, each in times.items()}


async def measure(session: aiohttp.ClientSession, stack: RunningStack, database: str, clients: int) -> dict[str, Any]:
    """One row: `clients` customers at once."""
    before, used_before = await spent(session, stack.url), processor_seconds(stack)
    row, seconds = await timed(clients, lambda client: chat(session, stack.url, client, TURNS_A_CLIENT[clients]))
    after, used = await spent(session, stack.url), processor_seconds(stack)
    total = sum(seconds)
    shares = {part: (after[part] - before[part]) / total for part in after}
    shares["rest"] = max(0.0, 1 - sum(shares.values()))
    processor = {name: (used[name] - used_before[name]) * 1000 / row["turns"] for name in used}
    return {"who": database, **row, "shares": shares, "processor_milliseconds": processor}


async def timed(clients: int, talk: Callable[[int], Awaitable[list[float]]]) -> tuple[dict[str, Any], list[float]]:
    """Turns a second and percentiles of `clients` at once, and the seconds of each turn."""
    started = time.perf_counter()
    runs = await asyncio.gather(*(talk(client) for client in range(clients)))
    wall = time.perf_counter() - started
    seconds = [each for run in runs for each in run]
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        "clients": clients,
        "turns": len(seconds),
        "turns_per_second": len(seconds) / wall,
        "milliseconds": {"p50": cuts[49] * 1000, "p95": cuts[94] * 1000, "p99": cuts[98] * 1000},
    }, seconds


async def long_conversation(
    session: aiohttp.ClientSession, stack: RunningStack, database: str, messages: int
) -> dict[str, Any]:
    """One conversation of many messages: what its first turns took beside its last ones."""
    used = processor_seconds(stack)["dialogue"]
    seconds = (await chat(session, stack.url, 0, messages))[WARM_UP_TURNS:]
    used = processor_seconds(stack)["dialogue"] - used
    first, last = (statistics.median(each) * 1000 for each in (seconds[:WINDOW], seconds[-WINDOW:]))
    return {
        "who": database,
        "messages": messages,
        "first_milliseconds": first,
        "last_milliseconds": last,
        "processor_milliseconds": used * 1000 / messages,
    }


@asynccontextmanager
async def rasa(folder: Path) -> AsyncIterator[str]:
    """Rasa's `init` project behind its REST channel; the URL. It is installed where it is not yet."""
    home = PROJECT_HOME.root / "bench" / "rasa"
    python = home / "venv" / "bin" / "python"
    quiet = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}

    async def run(*command: str, cwd: Path | None = None) -> None:
        process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=quiet, stdout=asyncio.subprocess.DEVNULL)
        if await process.wait():
            raise RuntimeError(f"failed: {' '.join(command)}")

    if not (home / "project" / "models").exists():
        await run(RASA_PYTHON, "-m", "venv", str(home / "venv"))
        await run(str(python), "-m", "pip", "install", "-q", RASA, "setuptools<80")
        await run(str(python), "-m", "rasa", "init", "--no-prompt", "--init-dir", str(home / "project"))
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/status") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    model = max((home / "project" / "models").glob("*.tar.gz"))
    command = (str(python), "-m", "rasa", "run", "--enable-api", "-i", "127.0.0.1", "-p", str(port), "-m", str(model))
    program = Program(name="rasa", command=command, environment=quiet, ready=answers, ready_seconds=RASA_READY_SECONDS)
    process = await Process.start(program, folder / "rasa.log")
    try:
        await process.wait_ready()
        yield url
    finally:
        await process.stop(10)


async def rasa_chat(session: aiohttp.ClientSession, base: str, client: int, turns: int) -> list[float]:
    """Seconds of each turn of one of Rasa's users."""
    seconds = []
    for number in range(turns):
        started = time.perf_counter()
        body = {"sender": f"c{client}", "message": MESSAGES[(client + number) % len(MESSAGES)]}
        await post(session, f"{base}/webhooks/rest/webhook", body)
        seconds.append(time.perf_counter() - started)
    return seconds


async def rasa_rows(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """Rasa in this run."""
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as folder:
        async with rasa(Path(folder)) as base:
            await rasa_chat(session, base, 0, WARM_UP_TURNS)
            rows = []
            for clients in CLIENTS:
                talk = partial(rasa_chat, session, base, turns=TURNS_A_CLIENT[clients])
                rows.append({"who": "Rasa", **(await timed(clients, talk))[0]})
            return rows


def show(console: Console, results: dict[str, Any]) -> None:
    """Prints the results as tables."""
    rows = results["rows"]
    own = [row for row in rows if "shares" in row]
    parts, processes = list(own[0]["shares"]), list(own[0]["processor_milliseconds"])
    table = Table(title="A full chat turn", caption="shares of the time customers waited; rest: HTTP, lease, queueing")
    for column in ("", "clients", "turns/s", "p50 ms", "p95 ms", "p99 ms", *(f"{part} %" for part in parts)):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["who"],
            str(row["clients"]),
            f"{row['turns_per_second']:.1f}",
            *(f"{row['milliseconds'][key]:.1f}" for key in ("p50", "p95", "p99")),
            *(f"{row['shares'][part] * 100:.0f}" if "shares" in row else "" for part in parts),
        )
    console.print(table)
    table = Table(title="Processor time a turn, milliseconds")
    for column in ("", "clients", *processes):
        table.add_column(column, justify="right")
    for row in own:
        used = row["processor_milliseconds"]
        table.add_row(row["who"], str(row["clients"]), *(f"{used[name]:.2f}" for name in processes))
    console.print(table)
    for each in results["long"]:
        console.print(
            f"{each['who']}: one conversation of {each['messages']} messages: the median turn took "
            f"{each['first_milliseconds']:.1f} ms at its beginning and {each['last_milliseconds']:.1f} ms at its end; "
            f"dialogue {each['processor_milliseconds']:.2f} ms of processor time a turn"
        )
    rasa_speed = {row["clients"]: row["turns_per_second"] for row in rows if row["who"] == "Rasa"}
    where = "in this run"
    if not rasa_speed:
        rasa_speed, where = RASA_ELSEWHERE, "measured in ANOTHER run (there is no Python 3.10 here, or it was left out)"
    for row in own:
        theirs = rasa_speed[row["clients"]]
        console.print(
            f"{row['who']}, {row['clients']} clients: {row['turns_per_second'] / theirs:.1f} × Rasa 3.6.21, "
            f"{theirs:.0f} turns/s {where}"
        )


async def measure_stack(
    session: aiohttp.ClientSession, model: Path, database: str, messages: int, server: Any
) -> dict[str, Any]:
    """The rows of one kind of database."""
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as folder:
        stack = RunningStack(Path(folder), model)
        if server is not None:
            urls = {name: await server.new_database() for name in set(DATABASES.values())}
            for name, service in DATABASES.items():
                program = stack.programs[name]
                more = {"ZHIYIN_DATABASE_URL": urls[service], "ZHIYIN_MIGRATE_ON_START": "true"}
                stack.programs[name] = replace(program, environment={**program.environment, **more})
        async with stack:
            await chat(session, stack.url, 0, WARM_UP_TURNS)
            rows = [await measure(session, stack, database, clients) for clients in CLIENTS]
            return {"rows": rows, "long": [await long_conversation(session, stack, database, messages)]}


async def benchmark(model: Path, *, quick: bool, with_rasa: bool) -> dict[str, Any]:
    """A row for each kind of database and number of clients, long conversations, and Rasa where it can be had."""
    messages = QUICK_LONG_MESSAGES if quick else LONG_MESSAGES
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        results = await measure_stack(session, model, "SQLite", messages, None)
        if POSTGRES:
            async with postgres() as server:
                more = await measure_stack(session, model, "PostgreSQL", messages, server)
            results = {key: results[key] + more[key] for key in results}
        if not quick and with_rasa:
            results["rows"] += await rasa_rows(session)
    return results


def runs(python: str) -> bool:
    """Whether there is such a Python; a version manager's stand-in for one that is not chosen does not count."""
    try:
        return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def main() -> None:
    """Runs the benchmark; with `--json FILE` the figures are written there too."""
    parser = argparse.ArgumentParser(description="Measure a full chat turn.")
    parser.add_argument("--quick", action="store_true", help="without Rasa, and with a shorter long conversation")
    parser.add_argument("--model", type=Path, help="the folder of a trained model; by default the demo's is trained")
    parser.add_argument("--json", type=Path, help="where the figures are written, too")
    asked = parser.parse_args()
    model = asked.model or train(PROJECT / "assistants" / "shop", PROJECT_HOME.root, lambda _: None).path
    results = asyncio.run(benchmark(model, quick=asked.quick, with_rasa=runs(RASA_PYTHON)))
    show(Console(width=140), results)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
