"""The command line as a script sees it: exit codes, one sentence for an error, JSON where it is asked for."""

import errno
import importlib.metadata
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from cli import console, tools
from cli.main import main
from cli.ports import free_ports
from cli.settings import PROJECT

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What the command says about logs holds for this process, so it is taken back."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def zhiyin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, in a state folder of its own; answers with exit code, output and errors."""
    (port,) = free_ports(1)
    monkeypatch.setenv("ZHIYIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZHIYIN_CONSUL_PORT", str(port))
    monkeypatch.setenv("ZHIYIN_DIALOGUE_PORT", str(port))
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["zhiyin", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    return run


def test_help_names_every_command(zhiyin: Run) -> None:
    code, out, _ = zhiyin("--help")
    assert code == 0
    for command in (
        "up",
        "chat",
        "train",
        "evaluate",
        "check",
        "new",
        "test",
        "status",
        "approve",
        "dead-letters",
        "handoffs",
        "reset-demo",
        "migrate",
        "tools",
    ):
        assert f" {command} " in out


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; import cli.main; print(sorted({'torch', 'fastapi', 'sqlalchemy', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def command(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; `shell` redirects its streams."""
    line = f"{shlex.join([sys.executable, '-m', 'cli.main', *arguments])} {shell}"
    variables = {**os.environ, "ZHIYIN_CONSUL_PORT": "9", "ZHIYIN_DIALOGUE_PORT": "9", **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=variables, cwd=PROJECT, check=False)


def test_version(zhiyin: Run) -> None:
    code, out, _ = zhiyin("--version")
    assert (code, out) == (0, f"zhiyin {importlib.metadata.version('zhiyin')}\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_help_can_be_written_to_any_terminal(encoding: str) -> None:
    done = command("--help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "customer service" in done.stdout


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_empty_ones(shell: str, tmp_path: Path) -> None:
    done = command("chat", shell=shell, ZHIYIN_HOME=str(tmp_path))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_a_table_that_is_piped_has_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    code = "from cli.console import out; from rich.table import Table; t = Table(box=None); t.add_column('a');"
    code += "t.add_column('b'); t.add_row('x' * 100, 'y' * 100); out.print(t)"
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=True)
    assert [line.split() for line in done.stdout.splitlines()] == [["a", "b"], ["x" * 100, "y" * 100]]


@pytest.mark.parametrize("arguments", [["no-such-command"], ["chat", "--language", "fr"], ["up", "--no-such-option"]])
def test_a_command_that_makes_no_sense(zhiyin: Run, arguments: list[str]) -> None:
    assert zhiyin(*arguments)[0] == 2


def test_an_assistant_that_is_not_there(zhiyin: Run) -> None:
    code, out, err = zhiyin("train", "no/such/assistant")
    assert (code, out) == (2, "")
    assert err == "There is no assistant in no/such/assistant (no assistant.yml); the demo is assistants/shop.\n"


def test_evaluating_without_a_model(zhiyin: Run) -> None:
    code, _, err = zhiyin("evaluate")
    assert code == 3
    assert err.startswith("There is no model in production for shop: ")


def test_status_when_nothing_runs(zhiyin: Run) -> None:
    code, out, err = zhiyin("status", "--json")
    assert (code, out) == (4, "")
    assert "start Zhiyin with `zhiyin up`" in err


def test_chat_when_nothing_runs(zhiyin: Run) -> None:
    code, _, err = zhiyin("chat")
    assert code == 4
    assert "(nothing listens there); start it with `zhiyin up`" in err


def test_a_setting_that_cannot_be_used(zhiyin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_REDIS_PORT", "0")
    code, _, err = zhiyin("status")
    assert code == 2
    assert err.startswith("ZHIYIN_REDIS_PORT=0 cannot be used: ")


def test_migrate(zhiyin: Run, tmp_path: Path) -> None:
    code, _, err = zhiyin("migrate", "business")
    assert (code, err) == (0, "The database of business has the newest schema.\n")
    assert (tmp_path / "home" / "data" / "business.sqlite").exists()
    code, _, err = zhiyin("migrate", "nobody")
    assert code == 2
    assert err.startswith("There is no service 'nobody' with a database; there are business, dialogue, learning, login")


def test_tools(zhiyin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> Path:
        raise tools.ConsulUnavailable("Consul cannot be had")

    monkeypatch.setattr(tools, "find_consul", none)
    code, out, err = zhiyin("tools")
    assert code == 0
    assert out.startswith("redis-server: ")
    assert err == "Consul cannot be had; Zhiyin runs without it, with ZHIYIN_REGISTRY=static.\n"
    code, out, err = zhiyin("tools", "--require")
    assert (code, out, err) == (3, "", "Consul cannot be had\n")


def test_a_database_that_cannot_be_opened(zhiyin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_DATABASE_URL", "sqlite+aiosqlite:////dev/null/business.sqlite")
    code, _, err = zhiyin("migrate", "business")
    assert code != 0
    assert "/dev/null" in err or "unable to open" in err


def test_what_the_system_refuses_is_a_sentence(zhiyin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run.json")

    monkeypatch.setattr("cli.settings.load_settings", full)
    assert zhiyin("status") == (3, "", "No space left on device: run.json.\n")


def test_an_assistant_with_a_mistake_in_it(zhiyin: Run, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "assistant.yml").write_text("name: [")
    code, _, err = zhiyin("train", str(tmp_path / "broken"))
    assert code == 1
    assert "assistant.yml" in err


def test_rules_are_shown_and_tried_with_exit_codes_for_scripts(
    zhiyin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was made before the variable was set.
    monkeypatch.setattr(console.out, "width", 400)
    code, out, _ = zhiyin("rules", "show", "shop", "refund")
    assert code == 0
    assert "'automatic'" in out
    facts = ("status=paid", "refund_status=none", "invoice_status=none", "days=1", "amount=20")
    code, out, _ = zhiyin("rules", "try", "shop", "refund", *facts, "--json")
    assert (code, json.loads(out)["result"]["outcome"]) == (0, "automatic")
    assert zhiyin("rules", "try", "shop", "refund", "status=paid")[0] == 1
    assert zhiyin("rules", "try", "shop", "refnd")[0] == 2
    code, _, err = zhiyin(
        "rules", "learn", "shop", "late", "--from", str(tmp_path / "none.csv"), "--outcome", "outcome"
    )
    assert code == 1
    assert "cannot be read" in err


def test_up_refuses_a_taken_port_before_it_starts_anything(zhiyin: Run, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(os.environ["ZHIYIN_DIALOGUE_PORT"])))
        listener.listen()
        code, _, err = zhiyin("up")
    assert code == 3
    assert "for the dialogue service and its chat page is in use by" in err
    assert not list((tmp_path / "home" / "logs").iterdir())


def test_json_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    from cli.console import write_json

    write_json({"text": "订单 [bold]" + "x" * 500})
    assert json.loads(capsys.readouterr().out) == {"text": "订单 [bold]" + "x" * 500}
