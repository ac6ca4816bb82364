"""A look-up through a connector beside the same call by aiohttp alone, in turns and in one run.

    python -m bench.connectors --calls 5000

The company's system is a process of its own on the loopback. What a connector costs is the difference: arguments
checked, values in their places, limits, breaker, the answer bounded, read and typed, one log line and the metrics.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web
from rich.console import Console
from rich.table import Table

from services.business.connectors.assistants import Assistants
from services.business.connectors.lookups import Rules, answer_lookup
from services.business.settings import Settings
from shared.contracts.lookups import LookupRequest

__all__ = ["main"]

CARD = {
    "number": "1234",
    "state": "open",
    "title": {"en": "Visa Gold", "zh": "维萨金卡"},
    "limit": {"cents": 500_000},
    "entries": [{"on": "2026-11-03", "cents": -1250, "to": f"Shop {number}"} for number in range(20)],
}
CONNECTOR = """
connector: core
url: {url}
at_once: 64
auth: {{type: bearer, secret: core}}
lookups:
  card:
    arguments: {{card: {{pattern: "[0-9]{{4}}"}}}}
    request: {{path: "/cards/{{card}}", query: {{who: customer, language: language}}}}
    missing_if: response.state == 'gone'
    answer:
      state: {{type: text, required: true}}
      title: localized
      limit: {{type: number, from: response.limit.cents / 100}}
      entries:
        type: list
        from: response.entries
        most: 20
        fields: {{on: date, to: text, amount: {{type: number, from: item.cents / 100}}}}
"""
WARM_UP = 200


def _serve(ready: Connection) -> None:
    """The company's system; ends with its process."""

    async def card(_request: web.Request) -> web.Response:
        return web.json_response(CARD)

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/cards/{card}", card)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


class _NoRules(Rules):
    def __init__(self, folder: Path) -> None:
        pass


async def _measure(port: int, calls: int) -> tuple[list[float], list[float]]:
    """Seconds of each raw call, and of each look-up."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as folder:
        bank = Path(folder) / "bank"
        (bank / "connectors").mkdir(parents=True)
        (bank / "connectors" / "core.yml").write_text(CONNECTOR.format(url=url), encoding="utf-8")
        settings = Settings(home=Path(folder), assistant=bank, environment="development")
        assistants = Assistants(settings, _NoRules, {"ZHIYIN_SECRET_DEFAULT_BANK_CORE": "secret"})
        served = assistants.find("default", None, None)
        assert served is not None
        loop = asyncio.get_running_loop()
        request = LookupRequest(customer="C1", arguments={"card": "1234"}, language="en")
        raw: list[float] = []
        asked: list[float] = []
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:
            for _ in range(WARM_UP + calls):
                started = time.perf_counter()
                async with session.get(f"{url}/cards/1234", params={"who": "C1", "language": "en"}) as response:
                    await response.json()
                between = time.perf_counter()
                answer = await answer_lookup(served, "card", request, moment=datetime.now(UTC), until=loop.time() + 5.0)
                asked.append(time.perf_counter() - between)
                raw.append(between - started)
                assert answer.found
        await assistants.close()
    return raw[WARM_UP:], asked[WARM_UP:]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    system = context.Process(target=_serve, args=(there,), daemon=True)
    system.start()
    try:
        raw, asked = asyncio.run(_measure(here.recv(), options.calls))
    finally:
        system.terminate()
        system.join()
    table = Table("", "p50 ms", "p95 ms", "p99 ms", title=f"{options.calls} calls, one after the other")
    for name, seconds in (("aiohttp alone", raw), ("connector", asked)):
        cuts = statistics.quantiles(seconds, n=100)
        table.add_row(name, *(f"{cuts[cut - 1] * 1000:.2f}" for cut in (50, 95, 99)))
    console = Console()
    console.print(table)
    more = (statistics.median(asked) - statistics.median(raw)) * 1000
    console.print(f"A connector costs {more:.2f} ms more (p50).")


if __name__ == "__main__":
    main()
