"""One program as a child process: its log, its end in words, and nothing left behind."""

import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.errors import EnvironmentUnfit
from cli.home import Home
from cli.process import Process, Program, describe_end, open_log, tail_of, wait_until
from tests.unit.cli.programs import shell, until, whether


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


async def test_what_a_program_leaves_in_its_group_ends_with_it(home: Home) -> None:
    process = await Process.start(shell(home, "parent", "sleep 60 & echo $! > $FILE"), home.logs / "parent.log")
    assert await process.wait() == 0
    child = int((home.root / "parent.up").read_text())
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    assert process.exit_code == 0
    assert await process.stop(1.0)


async def test_a_stopped_process_goes_on(home: Home) -> None:
    process = await Process.start(shell(home, "one"), home.logs / "one.log")
    await process.wait_ready()
    process.send(signal.SIGSTOP)
    await until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    process.send(signal.SIGCONT)
    assert await process.stop(20.0)


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-200, "was ended by signal 200")],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_end(code) == words


def test_tail_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}\n" for number in range(20_000)))
    assert tail_of(log, 2) == ["line 19998", "line 19999"]
    assert tail_of(tmp_path / "none", 2) == []


def test_a_log_that_has_grown_too_long_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.process.LOG_BYTES", 10)
    for text in (b"one", b"two, and more than ten bytes", b"three"):
        with open_log(tmp_path / "logs" / "a.log") as log:
            log.write(text)
    assert (tmp_path / "logs" / "a.log").read_text() == "three"
    assert (tmp_path / "logs" / "a.log.1").read_text() == "onetwo, and more than ten bytes"


async def test_waiting_ends_when_the_condition_comes_true_and_looks_again_until_then() -> None:
    answers = iter([False, False, True])
    assert await wait_until(whether(lambda: next(answers)), 20.0)
    assert list(answers) == []


async def test_waiting_gives_up_at_the_deadline_after_a_last_look() -> None:
    looks = iter(range(1_000_000))
    assert not await wait_until(whether(lambda: next(looks) < 0), 0.05)
    assert next(looks) >= 2
    assert await wait_until(whether(lambda: True), 0.0), "what is true already needs no time"


async def test_a_program_has_its_own_environment_and_folder_and_nothing_of_ours(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "yes")
    program = replace(shell(home, "one", "pwd; echo ${SECRET_OF_OURS:-unknown}; cat"), folder=home.data)
    process = await Process.start(program, home.logs / "one.log")
    assert await process.wait() == 0, "what it could read ends at once"
    assert process.tail() == [str(home.data.resolve()), "unknown"]


async def test_a_program_that_does_not_exist_is_named(home: Home) -> None:
    program = Program(name="none", command=("/no/such/program",), ready=whether(lambda: True))
    with pytest.raises(EnvironmentUnfit, match=r"^none cannot be started: No such file .* \(/no/such/program\)\.$"):
        await Process.start(program, home.logs / "none.log")
