"""Names tests that are slower than their budget and shows where a run's time went, by folder and by fixture.

A report, not a check: how long a test takes depends on the machine. The time of fixtures that several tests share is
counted apart, for it would fall on whichever test comes first. Works with pytest-xdist: workers attach what they
measured to their reports, and the controller prints.
"""

import os
import time
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import PurePosixPath
from typing import Any

import pytest
from pluggy import Result

__all__ = ["DEFAULT_SECONDS", "Budgets", "default_budget"]

DEFAULT_SECONDS = {"tests/unit": 3.0, "tests/chart": 3.0, "tests/integration": 15.0, "tests/e2e": 15.0}
UNKNOWN_FOLDER_SECONDS = 300.0
TABLE_FROM_SECONDS = 60.0
"""A shorter run shows no tables; a test over its budget is always named."""
FIXTURES_SHOWN = 12
FOLDER_DEPTH = 4


def default_budget(path: str) -> float:
    """Seconds for the set-up and the call of a test in this file, where its marker `budget` says nothing else."""
    for folder, seconds in DEFAULT_SECONDS.items():
        if PurePosixPath(path).is_relative_to(folder):
            return seconds
    return UNKNOWN_FOLDER_SECONDS


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Budgets:
    """The plugin; one in every process of a run."""

    def __init__(self) -> None:
        self._processor = processor_seconds()
        self._fixtures: list[tuple[str, bool, float]] = []
        self._tests: Counter[str] = Counter()
        self._wall: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._fixture_seconds: Counter[str] = Counter()
        self._fixture_times: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        self._over: dict[str, tuple[float, float]] = {}

    def pytest_collection_finish(self) -> None:
        """Time of the collection counts for no test."""
        self._processor = processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Measures one fixture; those that it asks for by name are set up before it."""
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - began
            self._fixtures.append((fixturedef.argname, fixturedef.scope != "function", seconds))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Result[pytest.TestReport], None]:
        """Attaches what this phase of the test has used."""
        report: Any = (yield).get_result()
        marker = item.get_closest_marker("budget")
        used = processor_seconds()
        report.budget = marker.args[0] if marker else default_budget(item.nodeid.partition("::")[0])
        report.processor = used - self._processor
        report.fixtures = self._fixtures
        self._processor = used
        self._fixtures = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Adds a phase up; under xdist this is the controller's hook too."""
        if not hasattr(report, "budget"):
            return  # A worker that crashed.
        folder = "/".join(PurePosixPath(report.nodeid.partition("::")[0]).parent.parts[:FOLDER_DEPTH])
        self._wall[folder] += report.duration
        self._used[folder] += report.processor
        for name, shared, seconds in report.fixtures:
            self._fixture_seconds[name] += seconds
            self._fixture_times[name] += 1
            if shared:
                self._own[report.nodeid] -= seconds
        if report.when != "teardown":
            self._own[report.nodeid] += report.duration
        else:
            self._tests[folder] += 1
            own = self._own.pop(report.nodeid, 0.0)
            if own > report.budget:
                self._over[report.nodeid] = (own, report.budget)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints before pytest's closing line."""
        if sum(self._wall.values()) >= TABLE_FROM_SECONDS:
            _table(
                terminalreporter,
                "where the minutes went",
                ("tests", "seconds", "processor"),
                [(folder, self._tests[folder], seconds, self._used[folder]) for folder, seconds in by_size(self._wall)],
            )
            _table(
                terminalreporter,
                "fixtures that took longest",
                ("times", "seconds"),
                [
                    (name, self._fixture_times[name], seconds)
                    for name, seconds in by_size(self._fixture_seconds)[:FIXTURES_SHOWN]
                ],
            )
        if self._over:
            terminalreporter.section("over their budget")
            for test, (seconds, budget) in sorted(self._over.items(), key=lambda each: -each[1][0]):
                terminalreporter.write_line(f"{seconds:7.1f} s of {budget:g}  {test}")


def by_size(seconds: Counter[str]) -> list[tuple[str, float]]:
    """The largest first."""
    return sorted(seconds.items(), key=lambda each: -each[1])


def _table(
    reporter: pytest.TerminalReporter, title: str, columns: tuple[str, ...], rows: Iterable[tuple[str | float, ...]]
) -> None:
    reporter.section(title)
    reporter.write_line("".join(f"{column:>10}" for column in columns))
    for name, *figures in rows:
        reporter.write_line("".join(f"{figure:10.0f}" for figure in figures) + f"  {name}")
