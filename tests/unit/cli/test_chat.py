"""The terminal client's own matters: its language, passwords, and the guests whose conversations can be resumed."""

import json
from pathlib import Path
from typing import get_args

import pytest

from cli import chat
from cli.bootstrap import load_bootstrap
from cli.errors import UsageError
from cli.gateway import Gateway
from cli.home import Home
from shared.contracts.events import Event


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
    senders = get_args(Event.model_fields["sender"].annotation)
    assert set(senders) - {"customer"} <= chat.TEXTS[language].keys()


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
