"""`zhiyin up` as a person runs it: a real supervisor, real processes, the real model, in a state folder of its own."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from cli.home import Home
from cli.ports import free_ports
from cli.stack import SERVICES
from tests.demo import put_as_trained
from tests.stack import PROJECT, PROJECT_HOME, eventually
from tests.unit.services.learning.conftest import encoder_folder as encoder_folder
from tests.versions import put_empty_store

START_SECONDS = 120.0
STOP_SECONDS = 60.0
TRAIN_SECONDS = 300.0
FEW = 8
PORTS = (
    "DIALOGUE",
    "LOGIN",
    "INTENT",
    "BUSINESS",
    "WORKER",
    "REDIS",
    "CONSUL",
    "CONSUL_SERVER",
    "CONSUL_GOSSIP",
    "SHOP",
)

ZHIYIN = (sys.executable, "-m", "cli.main")

Environment = dict[str, str]


@pytest.fixture
def environment(tmp_path: Path, demo_model: Path) -> Environment:
    """A state folder with the project's tools and a model of the demo that counts as trained, and ports of its own."""
    home = tmp_path / "home"
    put_as_trained(demo_model, home)
    PROJECT_HOME.prepare()
    (home / "tools").symlink_to(PROJECT_HOME.tools)
    # Measured processes start half as fast; one test measures them.
    unwanted = ("ZHIYIN_", "COVERAGE_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    ports = {f"ZHIYIN_{name}_PORT": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    own = {"ZHIYIN_HOME": str(home), "ZHIYIN_CACHE": str(tmp_path / "cache")}
    return {**inherited, **ports, **own, "LANG": "C.UTF-8", "COLUMNS": "200"}


class Zhiyin:
    """A `zhiyin` command under way."""

    def __init__(self, child: asyncio.subprocess.Process, output: Path) -> None:
        self.child = child
        self._output = output

    @property
    def output(self) -> str:
        """What it has written until now."""
        return self._output.read_text(encoding="utf-8")

    async def says(self, text: str, seconds: float = START_SECONDS) -> None:
        """Waits until it has written `text`; fails when it ends first."""

        async def look() -> bool:
            assert text in self.output or self.child.returncode is None, self.output
            return text in self.output

        await eventually(look, seconds, what=f"{text!r} in:\n{self.output}")

    async def end(self, number: signal.Signals) -> int:
        """Sends a signal, waits for the end and answers with the exit code."""
        self.child.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS):
            return await self.child.wait()


@asynccontextmanager
async def started(environment: Environment, *arguments: str) -> AsyncIterator[Zhiyin]:
    output = Path(environment["ZHIYIN_HOME"]) / "output"
    with output.open("wb") as file:
        child = await asyncio.create_subprocess_exec(
            *ZHIYIN,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
        )
    try:
        yield Zhiyin(child, output)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def command(
    environment: Environment,
    *arguments: str,
    typed: str = "",
    program: tuple[str, ...] = (sys.executable, "-m", "cli.main"),
) -> tuple[int, str, str]:
    """Runs a command to its end: exit code, output, errors."""
    child = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(START_SECONDS):
        out, err = await child.communicate(typed.encode())
    return child.returncode or 0, out.decode(), err.decode()


def processes(environment: Environment) -> dict[str, psutil.Process]:
    """The supervised processes, from run.json."""
    run = Home(Path(environment["ZHIYIN_HOME"])).read_run()
    assert run is not None
    return {name: psutil.Process(entry["pid"]) for name, entry in run["processes"].items()}


def family(roots: dict[str, psutil.Process]) -> list[psutil.Process]:
    """Processes with all that they have started."""
    return [each for root in roots.values() for each in (root, *root.children(recursive=True))]


def gone(each: psutil.Process) -> bool:
    try:
        return not each.is_running() or each.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def whether(check: Callable[[], bool]) -> Callable[[], Any]:
    async def look() -> bool:
        return check()

    return look


def kinds_in_order(output: str, kind: str, names: tuple[str, ...]) -> list[str]:
    found = [(output.find(f"{kind} {name}" if kind == "✓" else f"– {name} {kind}"), name) for name in names]
    assert all(place >= 0 for place, _ in found), output
    return [name for _, name in sorted(found)]


async def test_from_start_to_stop(environment: Environment) -> None:
    everything = ("redis", "consul", *SERVICES)
    environment |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    async with started(environment, "up") as up:
        await up.says("/messages")
        assert "Zhiyin is up" in up.output
        assert kinds_in_order(up.output, "✓", everything)[-1] == "dialogue"
        running = processes(environment)
        assert set(running) == set(everything)

        await status_shows_everything(environment)
        await what_is_printed_can_be_pasted(environment, up.output)
        await chats_hold(environment)

        code, _, err = await command(environment, "up")
        assert code == 3
        assert f"already running in {environment['ZHIYIN_HOME']} (process {up.child.pid})" in err

        running["business"].kill()
        await up.says("✗ business was ended by SIGKILL")
        await up.says("business is started again in 1 s")
        await eventually(whether(lambda: up.output.count("✓ business") == 2), START_SECONDS, what="business again")

        everyone = family(processes(environment))
        assert await up.end(signal.SIGINT) == 0
        assert kinds_in_order(up.output, "stopped", everything) == [
            *("dialogue", "worker", "business", "intent", "learning", "login"),
            *("consul", "redis"),
        ]
    assert all(gone(each) for each in everyone)
    assert not (Path(environment["ZHIYIN_HOME"]) / "run.json").exists()
    code, _, _ = await command(environment, "status")
    assert code == 4


async def status_shows_everything(environment: Environment) -> None:
    code, out, err = await command(environment, "status", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert {each["service"] for each in found} == set(SERVICES)
    assert {each["health"] for each in found} == {"passing"}
    assert all(each["version"] for each in found)
    assert next(each for each in found if each["service"] == "intent")["model"].startswith("shop@")
    code, out, _ = await command(environment, "status")
    assert code == 0
    assert out.count("passing") == len(SERVICES)


async def what_is_printed_can_be_pasted(environment: Environment, output: str) -> None:
    pasted = "\n".join(line for line in output.splitlines() if re.match(r"TOKEN=|CHAT=|curl ", line))
    code, out, err = await command(environment, "-c", pasted, program=("bash",))
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["complete"]
    assert "上海" in answer["replies"][0]["text"]


async def chats_hold(environment: Environment) -> None:
    """A refund through the queue with its follow-up, resumed by its guest; and a customer by name, in English."""
    typed = "我要退款\n20261103003\n尺码太小了，穿不下\n确认\n"
    code, out, err = await command(environment, "chat", "--language", "zh", "--linger", "5", typed=typed)
    assert (code, err) == (0, "")
    assert "我> 我要退款" in out
    assert out.index("已受理") < out.rindex("¥89.90")

    (conversation,) = json.loads((Path(environment["ZHIYIN_HOME"]) / "secrets" / "chats.json").read_text())
    code, again, err = await command(environment, "chat", "--language", "zh", "--conversation", conversation)
    assert (code, err, again) == (0, "", out)

    typed = "where is my parcel\n1\n\n/quit\nnot said\n"
    code, out, err = await command(environment, "chat", "--username", "hanmeimei", typed=typed)
    assert (code, err) == (0, "")
    assert "you> where is my parcel" in out
    assert "20261104" in out
    assert "not said" not in out


@pytest.mark.long
async def test_nothing_outlives_a_killed_run_and_the_next_one_starts(environment: Environment) -> None:
    async with started(environment, "up") as up:
        await up.says("Zhiyin is up")
        everyone = family(processes(environment))
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
        await eventually(whether(lambda: all(gone(each) for each in everyone)), what="the end of every process")

    async with started(environment | {"ZHIYIN_REGISTRY": "static"}, "up") as again:
        await again.says("Zhiyin is up")
        assert "is up to date" in again.output, "the model of the first run is still there"
        assert "consul" not in processes(environment)
        code, out, _ = await command(environment, "status", "--json")
        assert code == 0
        assert {each["service"]: each["health"] for each in json.loads(out)} == dict.fromkeys(SERVICES, "passing")
        processes(environment)["intent"].send_signal(signal.SIGSTOP)
        code, _, err = await command(environment, "status")
        assert code == 1
        assert "Not passing: intent-" in err
        processes(environment)["intent"].send_signal(signal.SIGCONT)
        assert await again.end(signal.SIGTERM) == 0


async def test_stopping_while_it_starts(environment: Environment) -> None:
    async with started(environment, "up") as up:
        await up.says("✓ redis")
        everyone = family(processes(environment))
        assert await up.end(signal.SIGINT) == 0
    assert all(gone(each) for each in everyone)
    assert "Stopped." in up.output


async def test_a_service_that_cannot_start_is_named_with_its_last_words(environment: Environment) -> None:
    async with started(environment | {"ZHIYIN_INFERENCE_STREAMS": "-1"}, "up") as up:
        async with asyncio.timeout(START_SECONDS):
            assert await up.child.wait() == 1
    assert "intent ended with exit code" in up.output
    assert "ZHIYIN_INFERENCE_STREAMS: " in up.output
    assert "– redis stopped" in up.output


async def test_a_taken_port_is_named_before_anything_starts(environment: Environment) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(environment["ZHIYIN_REDIS_PORT"])))
        listener.listen()
        code, _, err = await command(environment, "up")
    assert code == 3
    assert f"Port {environment['ZHIYIN_REDIS_PORT']} for Redis is in use by" in err
    assert "ZHIYIN_REDIS_PORT" in err


def first_of_each_list(content: Any) -> Any:
    """YAML in which every list has FEW entries at most."""
    if isinstance(content, dict):
        return {key: first_of_each_list(value) for key, value in content.items()}
    return content[:FEW] if isinstance(content, list) else content


@pytest.fixture
def quick_to_train(environment: Environment, encoder_folder: Path) -> tuple[Environment, Path]:
    """The demo with few utterances and a tiny random encoder, no model, and a cache of its own.

    Nothing tells two such models apart, so their figures decide nothing here.
    """
    home = Path(environment["ZHIYIN_HOME"])
    shutil.rmtree(home / "models")
    assistant = shutil.copytree(PROJECT / "assistants" / "shop", home / "shop")
    shutil.rmtree(assistant / "heldout")
    for file in (assistant / "nlu").glob("*.yml"):
        few = first_of_each_list(yaml.safe_load(file.read_text(encoding="utf-8")))
        file.write_text(yaml.safe_dump(few, allow_unicode=True), encoding="utf-8")
    manifest = yaml.safe_load((assistant / "assistant.yml").read_text(encoding="utf-8"))
    manifest["training"] = {
        **manifest["training"],
        "encoder": str(encoder_folder),
        "layers": 1,
        "frozen_layers": 0,
        "epochs": 1,
        "hint_weight": 0,
        "max_tokens": 48,
    }
    (assistant / "assistant.yml").write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")
    lenient = {"ZHIYIN_WORSE_MARGIN": "1", "ZHIYIN_GOLDEN_MARGIN": "1", "ZHIYIN_MAX_SLOWDOWN": "1000"}
    return environment | lenient, assistant


async def test_the_whole_model_is_trained_in_the_background_and_swapped_in(
    quick_to_train: tuple[Environment, Path],
) -> None:
    environment, assistant = quick_to_train
    async with started(environment, "up", str(assistant)) as up:
        await up.says("Zhiyin is up", TRAIN_SECONDS)
        assert "A first model of shop is there" in up.output
        await up.says("is being trained in the background")
        await eventually(whether(lambda: "training" in processes(environment)), START_SECONDS, what="the training")
        everyone = family(processes(environment))
        assert await up.end(signal.SIGINT) == 0
        assert "– training stopped" in up.output
    assert all(gone(each) for each in everyone)

    async with started(environment, "up", str(assistant)) as again:
        await again.says("The whole model is trained and swapped in", TRAIN_SECONDS)
        version = again.output.rpartition("swapped in: ")[2].split()[0]
        code, out, _ = await command(environment, "models", str(assistant), "--json")
        assert code == 0
        whole, first = json.loads(out)
        assert (whole["version"], first["aliases"]) == (version, [])
        assert "production" in whole["aliases"]
        assert "training" not in processes(environment)
        assert await again.end(signal.SIGINT) == 0

    # Another clone of the same user: nothing is trained.
    other = environment | {"ZHIYIN_HOME": f"{environment['ZHIYIN_HOME']}2"}
    put_empty_store(Path(other["ZHIYIN_HOME"]))
    code, out, _ = await command(other, "train", str(assistant), "--json")
    assert code == 0
    assert (json.loads(out)["cached"], json.loads(out)["version"]) == (True, version)
