"""Logs are JSON, one object a line, whoever writes them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from shared.logs import QUIET, configure_logs

NAMES = (None, "uvicorn", "uvicorn.error", *QUIET)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Logs belong to the process, so what a test says about them is taken back."""
    before = structlog.get_config()
    loggers = [logging.getLogger(name) for name in NAMES]
    kept = [(each.handlers, each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.setLevel(logging.NOTSET)
        each.propagate = True
    yield
    structlog.configure(**before)
    for each, (handlers, level, propagate) in zip(loggers, kept, strict=True):
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.rstrip("\n").split("\n")]


def test_both_kinds_of_loggers_write_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("shop")
    with bound_contextvars(request_id="r1"):
        structlog.get_logger("a").info("order_taken", number=7)
        logging.getLogger("b").warning("slow %s", "query", extra={"seconds": 2})
    ours, theirs = written(capsys)
    for each in (ours, theirs):
        assert (each["service"], each["request_id"]) == ("shop", "r1")
        assert each.pop("timestamp").endswith("Z")
    assert (ours["event"], ours["level"], ours["number"]) == ("order_taken", "info", 7)
    assert (theirs["event"], theirs["level"], theirs["seconds"]) == ("slow query", "warning", 2)


def test_a_trace_and_any_text_stay_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("shop")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        structlog.get_logger().exception("failed", name="知音\n\u2028")
        logging.getLogger("b").exception("failed too")
    ours, theirs = written(capsys)
    assert ours["name"] == "知音\n\u2028"
    for each in (ours, theirs):
        assert each["exception"].endswith("ValueError: first\nsecond")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("shop", "warning")
    structlog.get_logger().info("taken")
    logging.getLogger("b").info("taken")
    structlog.get_logger().warning("refused")
    assert [each["event"] for each in written(capsys)] == ["refused"]


def test_servers_and_libraries_write_once_and_the_talkative_ones_only_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger("uvicorn.error").handlers = [logging.StreamHandler()]
    logging.getLogger("uvicorn.error").propagate = False
    configure_logs("shop", "debug")
    configure_logs("shop", "debug")
    logging.getLogger("uvicorn.error").info("started")
    for name in QUIET:
        logging.getLogger(name).info("a request")
        logging.getLogger(name).warning(name)
    assert [each["event"] for each in written(capsys)] == ["started", *QUIET]
