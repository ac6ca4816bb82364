"""What a person reads of the training beside what serves, when it does not end in a swap."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from cli.background_training import BackgroundTraining
from cli.bootstrap import load_bootstrap
from cli.home import Home
from cli.process import Program
from cli.stack import Ports, Stack
from cli.supervisor import Supervisor


@dataclass(frozen=True)
class Running(BackgroundTraining):
    """Runs other code in the place of `zhiyin train`."""

    code: str

    def program(self) -> Program:
        return replace(super().program(), command=(sys.executable, "-c", self.code))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    home = Home(tmp_path / "home")
    home.prepare()
    return Stack(
        home=home,
        ports=Ports(**{each.name: 1 for each in fields(Ports)}),
        redis=Path("redis"),
        consul=None,
        bootstrap=load_bootstrap(home),
        assistant=Path("assistants/shop"),
    )


@pytest.fixture
async def supervisor(stack: Stack) -> AsyncIterator[Supervisor]:
    running = Supervisor([], home=stack.home, report=lambda _: None)
    yield running
    await running.kill()


async def test_one_that_fails_is_reported_with_its_last_words(
    stack: Stack, supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import os, sys; print('out of memory', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    await Running(stack, code).run(supervisor)
    said = " ".join(capsys.readouterr().err.split())
    assert "The background training was ended by SIGKILL; the first model goes on serving" in said
    assert "out of memory" in said


async def test_a_model_that_is_held_back_is_not_waited_for(
    stack: Stack, supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    await Running(stack, """print('{"version": "v2", "held_back": "it is worse"}')""").run(supervisor)
    said = " ".join(capsys.readouterr().err.split())
    assert "The whole model v2 was trained and is not swapped in: it is worse." in said
