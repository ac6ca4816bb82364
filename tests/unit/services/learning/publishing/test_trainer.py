"""Trainings as child processes: their end, their failures, and that nothing is left running."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from services.learning.publishing.trainer import ProcessTrainer, Training, TrainingFailed, TrainingRefused
from services.learning.settings import Settings
from tests.stack import eventually

HANGS = (
    "import time\nprint('noise of a library')\nprint('{\"progress\": \"heads, 10 %\"}', flush=True)\ntime.sleep(600)\n"
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is run as `python -m services.learning.runs`; it is found first."""
    folder = tmp_path / "path" / "services" / "learning"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        (each / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.chdir(tmp_path)
    return folder / "runs.py"


def put(program: Path, source: str) -> None:
    program.write_text(source)


def trainer(tmp_path: Path, **settings: float) -> ProcessTrainer:
    return ProcessTrainer(Settings(environment="development", home=tmp_path / "home", **settings))  # type: ignore[arg-type]


def training(tmp_path: Path) -> Training:
    return Training(folder=tmp_path, name="mini", soon=True, known=("v1", "v2"))


async def silent(_words: str) -> None:
    """Nobody listens."""


async def test_data_that_cannot_be_used_are_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match=r"^assistant\.yml"):
        await trainer(tmp_path).train(training(tmp_path), silent)


async def test_what_it_says_is_passed_on_and_its_result_returned(tmp_path: Path, program: Path) -> None:
    put(
        program,
        "import json, os, sys\n"
        "print('noise')\n"
        "print(json.dumps({'progress': f'heads {os.nice(0)}'}))\n"
        "print(json.dumps({'result': {'version': ' '.join(sys.argv[1:]), 'preliminary': True}}))\n",
    )
    heard: list[str] = []

    async def hear(words: str) -> None:
        heard.append(words)

    made = await trainer(tmp_path).train(training(tmp_path), hear)
    assert made.preliminary
    wanted = f"train {tmp_path} --known=v1 --known=v2 --soon --name mini --home {tmp_path / 'home'}"
    assert made.version == wanted
    assert len(heard) == 1
    assert int(heard[0].split()[1]) > os.nice(0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys\nsys.exit('the disk is full')\n", "ended with exit code 1: the disk is full"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "ended with exit code -9: "),
        ("print('nothing')\n", "ended with exit code 0: "),
        ("import sys\nsys.stderr.write('x' * 1_000_000 + '\\nlast')\nsys.exit(3)\n", "ended with exit code 3: last"),
    ],
)
async def test_an_end_without_a_result_is_a_failure_that_says_how(
    tmp_path: Path, program: Path, source: str, reason: str
) -> None:
    put(program, source)
    with pytest.raises(TrainingFailed) as caught:
        await trainer(tmp_path).train(training(tmp_path), silent)
    assert str(caught.value).endswith(reason)


async def test_one_that_takes_too_long_is_ended(tmp_path: Path, program: Path) -> None:
    put(program, HANGS)
    with pytest.raises(TrainingFailed, match="took longer than 1 s"):
        await trainer(tmp_path, training_seconds=1.0).train(training(tmp_path), silent)
    assert not of_this_test(tmp_path)


async def test_one_that_is_cancelled_leaves_nothing_running(tmp_path: Path, program: Path) -> None:
    put(program, "import subprocess\nsubprocess.Popen(['sleep', '600'])\n" + HANGS)
    begun = asyncio.Event()

    async def hear(_words: str) -> None:
        begun.set()

    running = asyncio.create_task(trainer(tmp_path).train(training(tmp_path), hear))
    await begun.wait()
    (child,) = of_this_test(tmp_path)
    grandchildren = child.children()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async def gone() -> bool:
        return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in [child, *grandchildren])

    await eventually(gone)


async def test_one_ends_with_its_parent(tmp_path: Path, program: Path) -> None:
    put(program, HANGS)
    parent = (
        "import asyncio\nfrom pathlib import Path\n"
        "from services.learning.publishing.trainer import ProcessTrainer, Training\n"
        "from services.learning.settings import Settings\n"
        "async def say(words): print(words, flush=True)\n"
        f"settings = Settings(environment='development', home=Path({str(tmp_path)!r}))\n"
        f"training = Training(folder=Path({str(tmp_path)!r}), name='m', soon=True)\n"
        "asyncio.run(ProcessTrainer(settings).train(training, say))"
    )
    # The parent has the real modules, and its child those of the test.
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"import os\nos.environ['PYTHONPATH'] = {os.environ['PYTHONPATH']!r}\n{parent}"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"heads, 10 %\n"
    (child,) = of_this_test(tmp_path)
    process.send_signal(signal.SIGKILL)
    await process.wait()

    async def gone() -> bool:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    await eventually(gone)


def of_this_test(tmp_path: Path) -> list[psutil.Process]:
    """The trainings that run."""
    return [
        each
        for each in psutil.process_iter()
        if "services.learning.runs" in (line := safe_line(each)) and str(tmp_path) in line
    ]


def safe_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
