"""The supervisor, with small real child processes: order, failure, restart, stop, and nothing left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.home import Home
from cli.process import NeverReady, Program
from cli.supervisor import Happening, RestartPolicy, Supervisor
from tests.unit.cli.programs import IGNORES_TERM, WRITES_AND_WAITS, shell, until, whether

FAST = RestartPolicy(first_seconds=0.01, longest_seconds=0.02, most_failures=3)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def happened() -> list[Happening]:
    return []


Make = Callable[..., Supervisor]


@pytest.fixture
async def make(home: Home, happened: list[Happening]) -> AsyncIterator[Make]:
    made: list[Supervisor] = []

    def supervisor(*stages: list[Program], policy: RestartPolicy = FAST, grace: float = 20.0) -> Supervisor:
        made.append(
            Supervisor(stages, home=home, report=happened.append, policy=policy, grace_seconds=grace, about={"a": 1})
        )
        return made[-1]

    yield supervisor
    for each in made:
        await each.kill()


def kinds(happened: list[Happening], *wanted: str) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in happened if each.kind in wanted]


def running(home: Home) -> dict[str, int]:
    document = json.loads(home.run_file.read_text())
    return {name: entry["pid"] for name, entry in document["processes"].items()}


async def test_starts_in_order_and_stops_in_reverse(home: Home, make: Make, happened: list[Happening]) -> None:
    supervisor = make([shell(home, "one")], [shell(home, "two"), shell(home, "three")])
    await supervisor.start()
    assert kinds(happened, "starting") == [("starting", "one"), ("starting", "two"), ("starting", "three")]
    assert happened.index(Happening(kind="ready", name="one")) < happened.index(Happening(kind="starting", name="two"))
    document = json.loads(home.run_file.read_text())
    assert document["a"] == 1
    assert document["processes"]["one"]["address"] == "127.0.0.1:1"
    pids = running(home)
    assert all(psutil.pid_exists(pid) for pid in pids.values())
    await supervisor.stop()
    assert kinds(happened, "stopped") == [("stopped", "three"), ("stopped", "two"), ("stopped", "one")]
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not home.run_file.exists()
    assert (home.logs / "one.log").read_text() == "stopped\n"


async def test_what_runs_and_does_not_work_is_ended_and_started_again(
    home: Home, make: Make, happened: list[Happening]
) -> None:
    """It works while the file is there."""
    works = home.root / "works"
    works.touch()
    program = replace(shell(home, "hung", IGNORES_TERM), live=whether(works.exists))
    policy = replace(FAST, look_seconds=0.05, most_refusals=2, most_failures=100)
    supervisor = make([program], policy=policy)
    await supervisor.start()
    before = running(home)["hung"]

    works.unlink()
    await until(lambda: running(home)["hung"] != before)
    works.touch()
    await until(lambda: len(kinds(happened, "ready")) >= 2)

    died = next(each for each in happened if each.kind == "died")
    assert "did not work any more" in died.detail
    assert not psutil.pid_exists(before)


async def test_what_works_is_left_alone_and_its_end_is_seen(home: Home, make: Make, happened: list[Happening]) -> None:
    looks: list[int] = []

    def alive() -> bool:
        looks.append(1)
        return True

    program = replace(shell(home, "one"), live=whether(alive))
    supervisor = make([program], policy=replace(FAST, look_seconds=0.01, most_refusals=1))
    await supervisor.start()
    await until(lambda: len(looks) > 5)
    assert kinds(happened, "died") == []
    os.kill(running(home)["one"], signal.SIGKILL)
    await until(lambda: kinds(happened, "died") == [("died", "one")])


async def test_run_ends_when_it_is_asked_to(home: Home, make: Make) -> None:
    supervisor = make([shell(home, "one")])
    await supervisor.start()
    supervisor.ask_to_stop()
    await supervisor.run()
    await supervisor.stop()


async def test_a_program_that_dies_is_reported_and_comes_back(
    home: Home, make: Make, happened: list[Happening]
) -> None:
    supervisor = make([shell(home, "one", f"echo hello; {WRITES_AND_WAITS}")])
    await supervisor.start()
    first = running(home)["one"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: ("restarting", "one") in kinds(happened, "restarting") and running(home)["one"] != first)
    await until(lambda: kinds(happened, "ready") == [("ready", "one")] * 2)
    died = next(each for each in happened if each.kind == "died")
    assert died.detail == "was ended by SIGKILL"
    assert died.tail == ("hello",)
    assert json.loads(home.run_file.read_text())["processes"]["one"]["restarts"] == 1
    await supervisor.stop()


async def test_a_program_that_keeps_dying_is_given_up(home: Home, make: Make, happened: list[Happening]) -> None:
    script = "if [ -e $FILE ]; then echo broken; exit 3; fi; " + WRITES_AND_WAITS
    supervisor = make([shell(home, "one", script)])
    await supervisor.start()
    os.kill(running(home)["one"], signal.SIGKILL)
    with pytest.raises(NeverReady, match=r"one ended 3 times in a row; its log is .*one\.log") as caught:
        await supervisor.run()
    assert caught.value.tail[-1] == "broken"
    assert kinds(happened, "gave_up") == [("gave_up", "one")]
    await supervisor.stop()


async def test_a_program_that_ends_before_it_is_ready(home: Home, make: Make) -> None:
    supervisor = make([shell(home, "good")], [shell(home, "bad", "echo no such thing; exit 7")])
    with pytest.raises(NeverReady, match=r"^bad ended with exit code 7 before it was ready\.$") as caught:
        await supervisor.start()
    assert caught.value.tail == ["no such thing"]
    pid = running(home)["good"]
    await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_a_program_that_is_never_ready(home: Home, make: Make) -> None:
    supervisor = make([shell(home, "slow", "sleep 60", seconds=0.05)])
    with pytest.raises(NeverReady, match=r"slow was not ready within 0 s\."):
        await supervisor.start()
    await supervisor.stop()


async def test_what_does_not_stop_in_its_grace_is_killed_with_its_children(
    home: Home, make: Make, happened: list[Happening]
) -> None:
    supervisor = make([shell(home, "deaf", IGNORES_TERM)], grace=0.05)
    await supervisor.start()
    leader = psutil.Process(running(home)["deaf"])
    await until(lambda: len(leader.children()) == 1)
    family = [leader, *leader.children()]
    await supervisor.stop()
    assert kinds(happened, "stopped", "killed") == [("killed", "deaf")]
    await until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family))


async def test_killing_everything_at_once(home: Home, make: Make) -> None:
    supervisor = make([shell(home, "one", IGNORES_TERM)])
    await supervisor.start()
    pid = running(home)["one"]
    await supervisor.kill()
    assert not psutil.pid_exists(pid)


def test_nothing_outlives_a_killed_supervisor(home: Home) -> None:
    code = """
import asyncio, os, sys
from pathlib import Path
from cli.home import Home
from cli.process import Program
from cli.supervisor import Supervisor

home = Home(Path(sys.argv[1]))

async def at_once():
    return True

async def main():
    program = Program(name="one", command=("sleep", "600"), environment=dict(os.environ), ready=at_once)
    await Supervisor([[program]], home=home, report=lambda _: None).start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        child = psutil.Process(running(home)["one"])
        assert child.is_running()
        parent.kill()
        parent.wait()
    child.wait(timeout=20)
    assert not child.is_running()


def test_the_pause_doubles_up_to_its_cap() -> None:
    policy = RestartPolicy(first_seconds=1, longest_seconds=5)
    assert [policy.pause(failures) for failures in (1, 2, 3, 4)] == [1, 2, 4, 5]


async def test_a_job_runs_to_its_end_beside_the_others(home: Home, make: Make) -> None:
    supervisor = make([shell(home, "one")])
    await supervisor.start()
    results = home.root / "results"
    script = "echo result; echo words >&2; exit 3"
    job = await supervisor.run_once(replace(shell(home, "job", script), results=results))
    assert job.exit_code == 3
    assert results.read_text(encoding="utf-8") == "result\n"
    assert job.tail() == ["words"]
    assert set(running(home)) == {"one"}


async def test_a_job_under_way_is_stopped_before_the_others(home: Home, make: Make, happened: list[Happening]) -> None:
    supervisor = make([shell(home, "one")])
    await supervisor.start()
    work = asyncio.create_task(supervisor.run_once(shell(home, "job")))
    await until(lambda: "job" in running(home) and (home.root / "job.up").exists())
    pid = running(home)["job"]
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await supervisor.stop()
    assert kinds(happened, "stopped", "killed") == [("stopped", "job"), ("stopped", "one")]
    assert not psutil.pid_exists(pid)
