"""The terminal client's own matters: its language, passwords, and the guests whose conversations can be resumed."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli import chat
from cli.bootstrap import load_bootstrap
from cli.errors import UsageError
from cli.gateway import Answer, Gateway
from cli.home import Home
from shared.contracts.events import Event, Option


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


@pytest.mark.parametrize(
    ("wanted", "variables", "language"),
    [
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        (None, {}, "en"),
        ("zh", {"LANG": "en_US.UTF-8"}, "zh"),
    ],
)
def test_language(
    wanted: str | None, variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert chat.chat_language(wanted) == language


def test_password_of_a_demo_account_is_in_the_state_folder(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = load_bootstrap(home)
    assert chat.password_of(home, "lilei") == bootstrap.password("lilei")
    monkeypatch.setenv("ZHIYIN_PASSWORD", "given")
    assert chat.password_of(home, "lilei") == "given"


def test_password_that_nobody_can_be_asked_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UsageError, match="set ZHIYIN_PASSWORD"):
        chat.password_of(home, "somebody")


def test_password_that_is_typed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(chat, "getpass", lambda _: "typed")
    assert chat.password_of(home, "somebody") == "typed"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_whoever_speaks_has_a_name(language: str) -> None:
    assert {"assistant", "agent", "system"} <= chat.TEXTS[language].keys()


def test_guests_are_remembered_by_conversation_and_the_oldest_forgotten(home: Home) -> None:
    assert chat.kept_chats(home) == {}
    for number in range(chat.KEPT_CHATS + 2):
        chat.remember(home, f"c{number}", f"token {number}", guest=True)
    chat.remember(home, "c2", "newer", guest=True)
    chat.remember(home, "account", "secret", guest=False)
    kept = chat.kept_chats(home)
    assert len(kept) == chat.KEPT_CHATS
    assert kept["c2"] == "newer"
    assert "c1" not in kept
    assert "account" not in kept
    assert chat.chats_file(home).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_file_of_guests_is_no_obstacle(home: Home, text: str) -> None:
    chat.chats_file(home).write_text(text)
    assert chat.kept_chats(home) == {}
    chat.remember(home, "c1", "token", guest=True)
    assert json.loads(chat.chats_file(home).read_text()) == {"c1": "token"}


async def test_a_conversation_that_was_not_held_from_here(home: Home) -> None:
    async with Gateway("http://127.0.0.1:9") as gateway:
        with pytest.raises(UsageError, match="was not held from here as a guest"):
            await chat.enter(gateway, chat.ChatOptions(url="", conversation="c9"), home)


class Listening(Gateway):
    """A gateway that remembers what was said and has a transcript to show."""

    def __init__(self, *events: Event) -> None:
        super().__init__("http://127.0.0.1:9")
        self.said: list[tuple[str, str | None]] = []
        self.transcript = list(events)

    async def say(self, conversation: str, message_id: str, text: str, choice: str | None = None) -> Answer:
        self.said.append((text, choice))
        return Answer(event(1, "customer", text), complete=True)

    async def events(self, conversation: str, after: int) -> list[Event]:
        return [each for each in self.transcript if each.seq > after]


def event(seq: int, sender: Any, text: str, *options: Option) -> Event:
    return Event(
        seq=seq,
        kind="message" if sender == "customer" else "reply",
        sender=sender,
        text=text,
        options=options,
        message_id=f"m{seq}" if sender == "customer" else None,
        in_reply_to=None,
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1", ("Refund", "intent:refund")),
        ("１", ("Refund", "intent:refund")),
        ("2", ("2", None)),
        ("²", ("²", None)),
        ("①", ("①", None)),
        ("0", ("0", None)),
        ("9" * 5000, ("9" * 5000, None)),
    ],
)
async def test_the_number_of_a_quick_reply_chooses_it_and_others_are_words(line: str, said: tuple[str, Any]) -> None:
    gateway = Listening(event(1, "assistant", "What is it?", Option(id="intent:refund", title="Refund")))
    terminal = chat.Terminal(gateway, "c1", Console(file=io.StringIO()), "en", echo=True)
    await terminal.catch_up()
    await terminal.take(line)
    assert gateway.said == [said]


async def test_what_somebody_writes_does_not_command_the_terminal() -> None:
    option = Option(id="x", title="\x1b]0;title\x07yes\x1b[2J")
    gateway = Listening(
        event(1, "customer", "a\x1b[31mb\x07c\x9b2Jd\u202ee"), event(2, "assistant", "ok\x1b[1A", option)
    )
    screen = Console(file=io.StringIO(), width=80)
    await chat.Terminal(gateway, "c1", screen, "en", echo=True).catch_up()
    assert screen.file.getvalue().splitlines() == ["you> abcde", "assistant> ok", "  1. yes"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("errors", "lines"), [("strict", ["one\n"]), ("replace", ["one\n", "\ufffd\ufffd\n", "two\n"])]
)
async def test_a_pipe_with_bytes_that_are_no_text_comes_to_an_end(
    errors: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO(b"one\n\xff\xfe\ntwo\n")
    content.read1 = lambda _size=-1: content.readline()  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content, encoding="utf-8", errors=errors))
    assert [line async for line in chat.piped_lines()] == lines
