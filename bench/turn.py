"""A full chat turn through every service, measured: p50, p95, p99, turns a second, and where the time goes.

Starts the whole stack on free ports with data of its own, then lets 1, 8 and 32 customers chat, each sending its next
message when the last one is answered. Times depend on the machine; the shares and the ratios between rows are what to
compare. Run it with `make bench-turn`.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from services.learning.runs.runs import train
from tests.stack import PROJECT, PROJECT_HOME, RunningStack

CLIENTS = (1, 8, 32)
TURNS_A_CLIENT = {1: 60, 8: 24, 32: 12}
WARM_UP_TURNS = 8
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


async def measure(session: aiohttp.ClientSession, base: str, clients: int) -> dict[str, Any]:
    """One row: `clients` customers at once."""
    before = await spent(session, base)
    started = time.perf_counter()
    runs = await asyncio.gather(*(chat(session, base, client, TURNS_A_CLIENT[clients]) for client in range(clients)))
    wall = time.perf_counter() - started
    after = await spent(session, base)
    seconds = sorted(each for run in runs for each in run)
    total = sum(seconds)
    shares = {part: (after[part] - before[part]) / total for part in after}
    shares["rest"] = max(0.0, 1 - sum(shares.values()))
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        "clients": clients,
        "turns": len(seconds),
        "turns_per_second": len(seconds) / wall,
        "milliseconds": {"p50": cuts[49] * 1000, "p95": cuts[94] * 1000, "p99": cuts[98] * 1000},
        "shares": shares,
    }


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints the rows as a table."""
    parts = list(rows[0]["shares"])
    table = Table(title="A full chat turn", caption="shares of the time customers waited; rest: HTTP, lease, queueing")
    for column in ("clients", "turns", "turns/s", "p50 ms", "p95 ms", "p99 ms", *(f"{part} %" for part in parts)):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row["clients"]),
            str(row["turns"]),
            f"{row['turns_per_second']:.1f}",
            *(f"{row['milliseconds'][key]:.1f}" for key in ("p50", "p95", "p99")),
            *(f"{row['shares'][part] * 100:.1f}" for part in parts),
        )
    console.print(table)


async def benchmark() -> list[dict[str, Any]]:
    """A row for each number of clients."""
    trained = train(PROJECT / "assistants" / "shop", PROJECT_HOME.root, lambda _: None)
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as folder:
        async with RunningStack(Path(folder), trained.path) as stack, aiohttp.ClientSession() as session:
            base = stack.url
            await chat(session, base, 0, WARM_UP_TURNS)
            return [await measure(session, base, clients) for clients in CLIENTS]


def main() -> None:
    """Runs the benchmark; with `--json FILE` the figures are written there too."""
    rows = asyncio.run(benchmark())
    show(Console(width=120), rows)
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
