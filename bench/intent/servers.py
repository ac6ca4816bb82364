"""The servers that are compared: how each is started, found ready, measured and stopped."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.servers import free_port

__all__ = ["PROJECT", "Bench", "Server", "Started", "started"]

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.01
SETTLE_SECONDS = 0.5
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Bench:
    """What all runs share: the model, the cores of servers and of clients, the access token and who vouches for it."""

    home: Path
    model: Path
    server_cores: Sequence[int]
    client_cores: Sequence[int]
    token: str
    login: str


@dataclass(frozen=True)
class Server:
    """One configuration of one server.

    `command` runs it; its environment gets `environment` and what depends on the run from `Bench`.
    """

    name: str
    group: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    extra: Mapping[str, str] = field(default_factory=dict)
    """Entries of a request's body beside its text."""

    def body(self, text: str) -> str:
        """The JSON that asks what a text means."""
        return json.dumps({**self.extra, "text": text}, ensure_ascii=False)


@dataclass(frozen=True)
class Started:
    """A server that answers; `seconds` passed from its start to the first answer."""

    server: Server
    port: int
    seconds: float
    process: psutil.Process
    bench: Bench

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def ask(self, text: str) -> bytes:
        """The answer to one text on a new connection.

        Raises:
            RuntimeError: its status is not 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.bench.token}"}
            connection.request("POST", self.server.path, self.server.body(text).encode(), headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{self.server.name} answers {response.status}: {answer[:300]!r}")
        return answer

    def drain(self) -> None:
        """Waits until what was asked before is answered."""
        self.ask("hello")
        time.sleep(SETTLE_SECONDS)

    def cpu_seconds(self) -> float:
        """Processor time of all its processes until now."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def resident_megabytes(self) -> float:
        """Resident memory of all its processes; pages that they share count for each."""
        return sum(each.memory_info().rss for each in self._processes()) / 1e6

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def started(server: Server, bench: Bench, log: Path) -> Iterator[Started]:
    """Starts a server on the servers' cores, waits for its first answer and stops it in the end.

    Raises:
        RuntimeError: it ends or does not answer in time; the message names the log.
    """
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ZHIYIN_", "BENCH_"))},
        "PYTHONPATH": str(PROJECT),
        "BENCH_MODEL": str(bench.model),
        "BENCH_PORT": str(port),
        "ZHIYIN_PORT": str(port),
        "ZHIYIN_HOME": str(bench.home),
        "ZHIYIN_STATIC_SERVICES": json.dumps({"login": bench.login}),
        "ZHIYIN_DRAIN_SECONDS": "0",
        **server.environment,
    }
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, bench.server_cores)), *server.command],
            cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        running = Started(server, port, 0.0, psutil.Process(process.pid), bench)
        while True:
            try:
                running.ask("hello")
                break
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                late = time.perf_counter() - begun > START_SECONDS
                if late or process.poll() is not None:
                    raise RuntimeError(f"{server.name} does not answer ({error}); see {log}") from error
                time.sleep(POLL_SECONDS)
        yield Started(server, port, time.perf_counter() - begun, running.process, bench)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    # Some servers leave workers behind; all are in the session that was made for them.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
