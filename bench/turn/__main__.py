"""A full chat turn through every service, measured: p50, p95, p99, turns a second, processor time, where time goes.

Starts the whole stack on free ports with data of its own, on SQLite and then on PostgreSQL (where it is installed), and
lets 1, 8 and 32 customers chat, each sending its next message when the last one is answered. Customers are logged in
and own orders, so that a look-up finds what it looks for. One conversation goes on for thousands of messages, to show
that a turn's cost does not grow with what was said before. Intent remembers the texts of its last answers, and the
benchmark says the same few; in one more row it remembers none. Where `python3.10` is on the PATH, Rasa's REST channel
answers the same messages in the same run.

Times depend on the machine; processor time, shares and the ratios between rows of one run are what to compare. Run it
with `make bench-turn`; `BENCH=--quick` leaves out Rasa and most of the long conversation.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from bench.turn.measure import CLIENTS, long_conversation, measure, measure_rasa, warm_up
from bench.turn.rasa import python_for_rasa, rasa
from bench.turn.results import LongConversation, Results, Row, show
from services.learning.runs.runs import train
from tests.postgres import postgres
from tests.stack import PROJECT, PROJECT_HOME, RunningStack

LONG_MESSAGES = 5000
QUICK_LONG_MESSAGES = 300
DATABASES = {"dialogue": "dialogue", "business": "business", "worker": "business", "login": "login"}
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ASSISTANT = PROJECT / "assistants" / "shop"
FORGETFUL = {"ZHIYIN_CACHE_TEXTS": "0"}


async def measure_stack(
    session: aiohttp.ClientSession,
    model: Path,
    who: str,
    *,
    messages: int = 0,
    server: Any = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[list[Row], list[LongConversation]]:
    """The rows of one configuration, and a conversation of so many messages."""
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as folder:
        stack = RunningStack(Path(folder), model, environment=environment)
        if server is not None:
            urls = {name: await server.new_database() for name in set(DATABASES.values())}
            for name, service in DATABASES.items():
                program = stack.programs[name]
                more = {"ZHIYIN_DATABASE_URL": urls[service], "ZHIYIN_MIGRATE_ON_START": "true"}
                stack.programs[name] = replace(program, environment={**program.environment, **more})
        async with stack:
            await warm_up(session, stack)
            rows = [await measure(session, stack, who, clients) for clients in CLIENTS]
            long = [await long_conversation(session, stack, who, messages)] if messages else []
            return rows, long


async def benchmark(model: Path, *, quick: bool) -> Results:
    """A row for each kind of database and number of clients, long conversations, and Rasa where it can be had."""
    messages = QUICK_LONG_MESSAGES if quick else LONG_MESSAGES
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        own, long = await measure_stack(session, model, "SQLite", messages=messages)
        if POSTGRES:
            async with postgres() as server:
                more, longer = await measure_stack(session, model, "PostgreSQL", messages=messages, server=server)
            own, long = own + more, long + longer
        theirs: list[Row] = []
        if not quick:
            own += (await measure_stack(session, model, "SQLite, nothing remembered", environment=FORGETFUL))[0]
            if python_for_rasa():
                home = PROJECT_HOME.root / "bench" / "rasa"
                async with rasa(ASSISTANT, home, home / "logs") as started:
                    theirs = await measure_rasa(session, started.url, started.pid)
        return Results(own=own, long=long, rasa=theirs)


def main() -> None:
    """Runs the benchmark; with `--json FILE` the figures are written there too."""
    parser = argparse.ArgumentParser(description="Measure a full chat turn.")
    parser.add_argument("--quick", action="store_true", help="without Rasa, and with a shorter long conversation")
    parser.add_argument("--model", type=Path, help="the folder of a trained model; by default the demo's is trained")
    parser.add_argument("--json", type=Path, help="where the figures are written, too")
    asked = parser.parse_args()
    model = asked.model or train(ASSISTANT, PROJECT_HOME.root, lambda _: None).path
    results = asyncio.run(benchmark(model, quick=asked.quick))
    show(Console(width=150), results)
    if asked.json:
        asked.json.write_text(json.dumps(results.document(), indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
