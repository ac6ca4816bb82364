"""How fast the intent service understands, beside its engine's raw speed and beside other servers of the same model.

Every round restarts each server, asks it with 1, 8, 32 and 64 clients in a closed loop, lets it drain and stops it;
then the next server has the same cores. So each figure of a round stands beside the others of the same minutes, and
ratios are medians over the rounds. Run it with `make bench-intent`.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import yaml
from rich.console import Console

from bench.intent.candidates import ZHIYIN, peers, zhiyin
from bench.intent.environments import version
from bench.intent.load import closed_loop, require_wrk
from bench.intent.login import login
from bench.intent.report import CLIENTS, Findings, plot, show, write
from bench.intent.servers import PROJECT, Bench, Started, started
from services.learning.runs.runs import train
from shared.settings import ServiceSettings

SEED = 4
OVERLOAD = 3.0
WARM_SECONDS = 4
CHECKED_TEXTS = 20

console = Console(width=140)


def main() -> None:
    """Runs the benchmark."""
    given = _arguments()
    require_wrk()
    home = ServiceSettings().home.absolute()
    folder = home / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    model = given.model.absolute() if given.model else train(PROJECT / "assistants" / "shop", home, lambda _: None).path
    texts = _sentences()
    with tempfile.TemporaryDirectory(prefix="zhiyin-bench-") as name, login() as (address, token):
        scratch = Path(name)
        bench = Bench(_home_of(model, scratch), model, given.server_cores, given.client_cores, token, address)
        findings = Findings(_machine(bench), given.rounds, given.seconds)
        (scratch / "texts").write_text("\n".join(texts) + "\n", encoding="utf-8")
        _compare(bench, findings, texts, scratch, folder, given)
    show(console, findings)
    write(findings, given.json or folder / "intent.json")
    plot(findings, given.plot or folder / "intent.png")
    console.print(f"Figures: {given.json or folder / 'intent.json'}, plot: {given.plot or folder / 'intent.png'}")


def _compare(
    bench: Bench, findings: Findings, texts: Sequence[str], scratch: Path, folder: Path, given: argparse.Namespace
) -> None:
    ours = zhiyin()
    with started(ours, bench, folder / "zhiyin.log") as running:
        expected = {text: _intent(running, text) for text in texts[:CHECKED_TEXTS]}
        engine = asyncio.run(_engine(running))
    console.print(f"The service computes with {engine[0]} in {engine[1]} on cores {_list(bench.server_cores)}.")
    servers = [ours]
    if not given.alone:
        _say("Virtual environments of the peers")
        servers += peers(folder, engine[1], quick=given.quick)
        findings.versions["litserve"] = version(folder / "litserve" / "bin" / "python", "litserve")
    for turn in range(findings.rounds):
        findings.raw.append(_raw(bench, scratch, engine, findings.seconds * 2))
        _say(f"round {turn + 1}: raw limit {findings.raw[-1]['per_second']:.0f}/s")
        for server in servers:
            bodies = scratch / "bodies"
            bodies.write_text("".join(f"{server.body(text)}\n" for text in texts), encoding="utf-8")
            log = folder / f"{server.group.split(',')[0].split()[0].lower()}.log"
            with started(server, bench, log) as running:
                _measure(running, findings, expected, bodies, turn)


def _measure(running: Started, findings: Findings, expected: Mapping[str, str], bodies: Path, turn: int) -> None:
    server, rows = running.server, findings.loads.setdefault(running.server.name, {})
    findings.groups[server.name] = server.group
    findings.starts.setdefault(server.name, []).append(running.seconds)
    agreed = sum(_intent(running, text) == intent for text, intent in expected.items())
    if agreed < len(expected) - 1:
        raise RuntimeError(f"{server.name} gives the same intent for {agreed} of {len(expected)} texts only")
    closed_loop(running, CLIENTS[-1], WARM_SECONDS, bodies)
    for number, clients in enumerate(CLIENTS):
        running.drain()
        load = closed_loop(running, clients, findings.seconds, bodies, offset=number * 97)
        rows.setdefault(clients, []).append(load)
    speeds = ", ".join(f"{rows[clients][turn].per_second:.0f}" for clients in CLIENTS)
    _say(f"  {server.name}: {speeds}/s")
    if server.name == ZHIYIN:
        running.drain()
        peak = max(rows[clients][turn].per_second for clients in CLIENTS)
        findings.overload.append(_overload(running, bodies, peak * OVERLOAD, findings.seconds))
        running.ask("hello")
        last = findings.overload[-1]
        good, slow = last["good_per_second"], last["refused_p99"]
        _say(f"  at {OVERLOAD:g} × {peak:.0f}/s: {good:.0f}/s, p99 of rejections {slow:.0f} ms")


def _raw(bench: Bench, scratch: Path, engine: tuple[str, str], seconds: float) -> Mapping[str, float]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "bench.intent.engine",
        bench.model,
        scratch / "texts",
        str(seconds),
        *engine,
    ]
    return _json_of(command, bench.server_cores)


def _overload(running: Started, bodies: Path, rate: float, seconds: float) -> Mapping[str, float]:
    arguments: list[str | Path] = [
        str(running.port),
        running.server.path,
        bodies,
        running.bench.token,
        f"{rate:.1f}",
        str(seconds),
    ]
    return _json_of([sys.executable, "-m", "bench.intent.overload", *arguments], running.bench.client_cores)


def _json_of(command: Sequence[str | Path], cores: Sequence[int]) -> Mapping[str, float]:
    output = subprocess.run(
        ["taskset", "-c", _list(cores), *command], check=True, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ).stdout
    found: Mapping[str, float] = json.loads(output.splitlines()[-1])
    return found


def _intent(running: Started, text: str) -> str:
    return str(json.loads(running.ask(text))["intent"]["name"])


async def _engine(running: Started) -> tuple[str, str]:
    headers = {"Authorization": f"Bearer {running.bench.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"http://127.0.0.1:{running.port}/v1/models") as response,
    ):
        [model] = (await response.json())["models"]
    return model["backend"], model["precision"]


def _home_of(model: Path, scratch: Path) -> Path:
    """A home in which the model is in production, whatever is elsewhere."""
    shop = scratch / "home" / "models" / "shop"
    shop.mkdir(parents=True)
    (shop / model.name).symlink_to(model)
    (shop / "production").write_text(f"{model.name}\n", encoding="utf-8")
    return scratch / "home"


def _sentences() -> list[str]:
    texts = [
        entry["text"]
        for path in sorted((PROJECT / "assistants" / "shop" / "heldout").glob("*.yml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    random.Random(SEED).shuffle(texts)
    return [text.replace("\n", " ") for text in texts]


def _machine(bench: Bench) -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    others = f"clients on cores {_list(bench.client_cores)}, load of the machine {os.getloadavg()[0]:.1f}"
    return f"{names[0] if names else platform.machine()}, servers on cores {_list(bench.server_cores)}, {others}"


def _list(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))


def _cores(given: str) -> list[int]:
    return [int(each) for each in given.split(",")]


def _say(line: str) -> None:
    console.print(line, style="dim", highlight=False)


def _arguments() -> argparse.Namespace:
    available = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="python -m bench.intent", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, one configuration of each peer")
    parser.add_argument("--alone", action="store_true", help="without peers")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--seconds", type=int, help="of each measurement; default 6")
    parser.add_argument("--model", type=Path, help="a model's folder; by default the demo's, trained if need be")
    parser.add_argument("--server-cores", type=_cores, default=available[:2], help="default: the first two")
    parser.add_argument(
        "--client-cores", type=_cores, default=available[2:] or available[:2], help="default: all but the servers'"
    )
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--plot", type=Path, help="where the plot goes")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (3 if given.quick else 6)
    return given


if __name__ == "__main__":
    main()
