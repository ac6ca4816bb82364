"""Load in a closed loop: every client sends its next text when the last one is answered."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.intent.servers import Started

__all__ = ["Load", "closed_loop", "require_wrk"]

SCRIPT = Path(__file__).with_name("load.lua")
RESULT = "RESULT "
TIMEOUT = "20s"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a number of clients got; latencies in milliseconds, processor time in milliseconds an answer."""

    clients: int
    per_second: float
    p50: float
    p95: float
    p99: float
    refused: int
    broken: int
    cpu: float
    megabytes: float


def require_wrk() -> None:
    """Raises:
    SystemExit: the load generator is not installed.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark needs the load generator wrk; on Debian and Ubuntu: apt-get install wrk")


def closed_loop(started: Started, clients: int, seconds: float, bodies: Path, *, offset: int = 0) -> Load:
    """Asks for some seconds with so many clients; `bodies` holds one request's body a line."""
    before = started.cpu_seconds()
    output = subprocess.run(
        [
            "taskset", "-c", ",".join(map(str, started.bench.client_cores)),
            "wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "--timeout", TIMEOUT, "-s", str(SCRIPT), started.url,
            "--", str(bodies), str(offset), started.bench.token,
        ],
        check=True, capture_output=True, text=True, timeout=seconds + 60,
    ).stdout  # fmt: skip
    cpu = started.cpu_seconds() - before
    megabytes = started.resident_megabytes()
    found = next((json.loads(line[len(RESULT) :]) for line in output.splitlines() if line.startswith(RESULT)), None)
    if found is None or not found["answered"]:
        raise RuntimeError(f"{started.server.name} gave no answer to {clients} clients: {output}")
    return Load(
        clients=clients,
        per_second=found["answered"] / found["seconds"],
        p50=found["p50"],
        p95=found["p95"],
        p99=found["p99"],
        refused=found["refused"],
        broken=found["broken"],
        cpu=cpu / found["answered"] * 1000,
        megabytes=megabytes,
    )
