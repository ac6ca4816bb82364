"""Rasa's REST channel on this machine: installed and trained where it is not yet, ended when it was measured."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.turn.rasa_project import write_project
from cli.ports import free_ports
from cli.process import Process, Program
from shared.nlu.training_data import load_training_data

__all__ = ["RASA", "Rasa", "python_for_rasa", "rasa"]

RASA = "3.6.21"
PACKAGES = (f"rasa[jieba]=={RASA}", "setuptools<80")
"""Rasa imports `pkg_resources`, which setuptools will not have for ever."""
PYTHON = "python3.10"
"""The newest that Rasa 3.6 runs with."""
READY_SECONDS = 180.0
STOP_SECONDS = 10.0
DONE = ".installed"


@dataclass(frozen=True)
class Rasa:
    """A running server."""

    url: str
    pid: int


def python_for_rasa() -> bool:
    """Whether there is the Python that Rasa needs; a version manager's stand-in for one that is not chosen is none."""
    try:
        return subprocess.run([PYTHON, "-V"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@asynccontextmanager
async def rasa(assistant: Path, home: Path, logs: Path) -> AsyncIterator[Rasa]:
    """Rasa with the intents of an assistant; what was installed and trained in `home` is used again.

    Raises:
        NeverReady, RuntimeError: a step failed; they carry the last lines of its log.
    """
    quiet = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "SQLALCHEMY_WARN_20": "0"}
    python = home / "venv" / "bin" / "python"
    await _install(home / "venv", python, quiet, logs)
    model = await _train(assistant, home / "project", python, quiet, logs)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/status") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    program = Program(
        name="rasa",
        command=(
            *(str(python), "-m", "rasa", "run", "--enable-api", "-i", "127.0.0.1", "-p", str(port)),
            *("-m", str(model), "--credentials", "credentials.yml"),
        ),
        environment=quiet,
        folder=home / "project",
        ready=answers,
        ready_seconds=READY_SECONDS,
    )
    process = await Process.start(program, logs / "rasa.log")
    try:
        await process.wait_ready()
        yield Rasa(url, process.pid)
    finally:
        await process.stop(STOP_SECONDS)


async def _install(folder: Path, python: Path, environment: Mapping[str, str], logs: Path) -> None:
    done = folder / DONE
    wanted = "\n".join(PACKAGES)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return
    await _run("rasa-venv", (PYTHON, "-m", "venv", "--clear", str(folder)), environment, logs)
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PACKAGES)
    await _run("rasa-install", pip, environment, logs)
    done.write_text(wanted, encoding="utf-8")


async def _train(assistant: Path, project: Path, python: Path, environment: Mapping[str, str], logs: Path) -> Path:
    """The model that belongs to the project as it would be written now."""
    fresh = project.with_name("project-new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_project(load_training_data(assistant), fresh)
    digest = hashlib.sha256()
    for path in sorted(fresh.rglob("*.yml")):
        digest.update(path.read_bytes())
    name = f"{digest.hexdigest()[:16]}.tar.gz"
    model = project / "models" / name
    if model.exists():
        shutil.rmtree(fresh)
        return model
    shutil.rmtree(project, ignore_errors=True)
    fresh.rename(project)
    train = (str(python), "-m", "rasa", "train", "--fixed-model-name", name.removesuffix(".tar.gz"))
    await _run("rasa-train", train, environment, logs, project)
    return model


async def _run(
    name: str, command: tuple[str, ...], environment: Mapping[str, str], logs: Path, folder: Path | None = None
) -> None:
    """Runs a program to its end, and not beyond the benchmark's own."""

    async def never() -> bool:
        return False

    program = Program(name=name, command=command, environment=environment, folder=folder, ready=never)
    process = await Process.start(program, logs / f"{name}.log")
    try:
        if code := await process.wait():
            lines = "\n".join(process.tail())
            raise RuntimeError(f"{name} ended with exit code {code}:\n{lines}")
    finally:
        await process.kill()
