"""The report of a run's end, in a pytest of its own: with workers and without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.budgets import UNKNOWN_FOLDER_SECONDS, default_budget

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests import budgets

budgets.TABLE_FROM_SECONDS = 0.0

def pytest_configure(config):
    config.addinivalue_line("markers", "budget(seconds, reason): more time")
    config.pluginmanager.register(budgets.Budgets(), "budgets")
"""
TESTS = """
import time
import pytest

@pytest.fixture(scope="module")
def shared():
    time.sleep(1.0)

@pytest.mark.budget(0.01, "to be too slow")
def test_slow():
    time.sleep(0.05)

@pytest.mark.budget(0.9, "less than what it shares with others takes")
def test_of_a_slow_fixture(shared):
    pass

def test_quick():
    pass
"""


@pytest.mark.budget(15, "starts pytest, and pytest its workers")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_slow_test_is_named_and_shared_set_up_is_nobodys(tmp_path: Path, workers: str) -> None:
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_some.py").write_text(TESTS, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        workers,
        f"--rootdir={tmp_path}",
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    run = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    *report, closing = run.stdout.splitlines()
    assert "3 passed" in closing
    over = report[next(place for place, line in enumerate(report) if "over their budget" in line) + 1 :]
    assert [line.split("::")[-1] for line in over] == ["test_slow"]
    [folders] = [line.split() for line in report if line.endswith("  tests/unit")]
    assert folders[0] == "3"
    [fixture] = [line.split() for line in report if line.endswith("  shared")]
    assert fixture[0] == "1"


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("tests/unit/cli/test_main.py", 3.0),
        ("tests/chart/test_api.py", 3.0),
        ("tests/integration/cli/test_up.py", 15.0),
        ("tests/cluster/test_kills.py", UNKNOWN_FOLDER_SECONDS),
        ("tests/unity/test_one.py", UNKNOWN_FOLDER_SECONDS),
    ],
)
def test_a_budget_follows_from_the_folder(path: str, seconds: float) -> None:
    assert default_budget(path) == seconds
