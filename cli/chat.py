"""A conversation in the terminal: typed or piped, followed live."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from cli.console import harmless
from cli.errors import CommandError, UsageError
from cli.gateway import Gateway, Refused
from cli.home import Home, write_atomically
from shared.contracts.events import Event, Option

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

__all__ = ["ChatOptions", "chat", "chat_language", "password_of"]

ANSWER_SECONDS = 30.0
KEPT_CHATS = 50
MOST_DIGITS = 4
QUIT = ("/quit", "/exit", "/q")

TEXTS = {
    "zh": {
        "hello": "输入消息后回车；输入数字选择快捷回复；/quit 或 Ctrl-D 退出。",
        "you": "我",
        "assistant": "助手",
        "agent": "客服",
        "system": "通知",
        "resume": "继续这次对话：",
        "late": "（还没有收到回复，稍后会显示在这里。）",
    },
    "en": {
        "hello": "Type a message, or the number of a quick reply; /quit or Ctrl-D leaves.",
        "you": "you",
        "assistant": "assistant",
        "agent": "agent",
        "system": "notice",
        "resume": "Go on with this conversation:",
        "late": "(No reply yet; it will show here when it comes.)",
    },
}


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """Who talks to whom. `linger_seconds`: how long a script waits for follow-ups after its last line."""

    url: str
    language: str | None = None
    username: str | None = None
    password: str | None = None
    conversation: str | None = None
    linger_seconds: float = 2.0


def chat_language(wanted: str | None) -> str:
    """The language of the client's own words: what was asked for, else what the terminal is set to."""
    if wanted:
        return wanted
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "zh" if locale.startswith("zh") else "en"


async def chat(options: ChatOptions, home: Home, console: Console) -> None:
    """Holds a conversation until the input ends.

    Raises:
        CommandError: the gateway cannot be reached, or the conversation belongs to another customer.
    """
    async with Gateway(options.url) as gateway:
        conversation = await enter(gateway, options, home)
        typed = sys.stdin.isatty()
        terminal = Terminal(gateway, conversation, console, chat_language(options.language), echo=not typed)
        if typed:
            console.print(terminal.texts["hello"], style="dim")
        await terminal.catch_up()
        try:
            async with terminal.following(), lines_of(typed, terminal.texts["you"]) as lines:
                async for line in lines:
                    try:
                        await terminal.take(line)
                    except CommandError as error:
                        # A person reads it and tries again; a script must not go on as if nothing had happened.
                        if not typed:
                            raise
                        console.print(str(error), style="red", markup=False)
                if not typed:
                    await terminal.linger(options.linger_seconds)
        finally:
            remember(home, conversation, gateway.refresh_token, guest=options.username is None)
        if typed:
            by_name = f" --username {options.username}" if options.username else ""
            console.print(f"{terminal.texts['resume']} zhiyin chat --conversation {conversation}{by_name}", style="dim")


async def enter(gateway: Gateway, options: ChatOptions, home: Home) -> str:
    """Logs in or becomes a guest, and answers with the conversation, a new one if none was named."""
    if options.username is not None:
        await gateway.log_in(options.username, options.password or "")
    elif options.conversation is not None:
        token = kept_chats(home).get(options.conversation)
        if token is None:
            raise UsageError(
                f"Conversation {options.conversation} was not held from here as a guest; "
                "if it is an account's, name that with --username."
            )
        try:
            await gateway.come_back(token)
        except Refused as error:
            raise UsageError(
                f"The guest of conversation {options.conversation} is no longer known ({error})."
            ) from error
    else:
        await gateway.enter_as_guest()
    return options.conversation or await gateway.open(chat_language(options.language))


class Terminal:
    """One conversation on a console: shows every event once and in order, whichever way it came."""

    def __init__(self, gateway: Gateway, conversation: str, console: Console, language: str, *, echo: bool) -> None:
        self.texts = TEXTS[language]
        self._gateway = gateway
        self._conversation = conversation
        self._console = console
        self._echo = echo
        self._options: Sequence[Option] = ()
        self._mine: set[str] = set()
        self._last = 0
        self._answered = 0
        self._changed = asyncio.Event()

    async def take(self, line: str) -> None:
        """Says one line, and shows what is answered within a while."""
        text, choice = line.strip(), None
        if not text:
            return
        if text.isdecimal() and len(text) <= MOST_DIGITS and 1 <= int(text) <= len(self._options):
            option = self._options[int(text) - 1]
            text, choice = option.title, option.id
        message_id = uuid4().hex
        self._mine.add(message_id)
        answer = await self._gateway.say(self._conversation, message_id, text, choice)
        await self.catch_up()
        if not answer.complete and not await self._until_answered(answer.message.seq):
            self._console.print(self.texts["late"], style="dim")

    async def catch_up(self) -> None:
        """Shows what the transcript has and the console has not."""
        for event in await self._gateway.events(self._conversation, self._last):
            self._show(event)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Shows events as they happen."""

        async def follow() -> None:
            async for event in self._gateway.follow(self._conversation, self._last):
                self._show(event)

        task = asyncio.create_task(follow(), name="follow")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def linger(self, seconds: float) -> None:
        """Waits until nothing has happened for so long."""
        with suppress(TimeoutError):
            while True:
                self._changed.clear()
                await asyncio.wait_for(self._changed.wait(), seconds)

    async def _until_answered(self, seq: int) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._answered < seq:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _show(self, event: Event) -> None:
        if event.seq <= self._last:
            return
        self._last = event.seq
        self._answered = max(self._answered, event.in_reply_to or 0)
        self._changed.set()
        if event.sender == "customer":
            if self._echo or event.message_id not in self._mine:
                self._say(self.texts["you"], event.text, "bold")
            return
        self._options = event.options
        self._say(
            self.texts.get(event.sender, event.sender), event.text, "green" if event.sender == "assistant" else "yellow"
        )
        for number, option in enumerate(event.options, start=1):
            self._console.print(Text(f"  {number}. {harmless(option.title)}", style="cyan"))

    def _say(self, name: str, text: str, style: str) -> None:
        # The words of a conversation are never taken for the console's markup.
        # Wrapped by the terminal itself, which knows how, and not at all where there is none.
        self._console.print(Text.assemble((f"{name}> ", style), harmless(text)), soft_wrap=True)


@asynccontextmanager
async def lines_of(typed: bool, name: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines that a person types, below what others say meanwhile, or that a script pipes in."""
    if not typed:
        yield piped_lines()
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    with patch_stdout(raw=True):
        yield typed_lines(PromptSession(f"{name}> "))


async def piped_lines() -> AsyncIterator[str]:
    """Standard input, line by line, read by a thread that does not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        line = "start"
        while line:
            try:
                line = sys.stdin.readline()
            except (OSError, ValueError):  # it was closed, or is no text at all
                line = ""
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while line := await lines.get():
        if line.strip() in QUIT:
            return
        yield line


async def typed_lines(session: "PromptSession[str]") -> AsyncIterator[str]:
    """What a person types, with history and editing."""
    while True:
        try:
            line = await session.prompt_async()
        except EOFError:
            return
        if line.strip() in QUIT:
            return
        yield line


def chats_file(home: Home) -> Path:
    """Where the guests' refresh tokens of earlier chats are kept."""
    return home.secrets / "chats.json"


def kept_chats(home: Home) -> dict[str, str]:
    """Refresh tokens by conversation; empty when none was kept."""
    try:
        kept = json.loads(chats_file(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(token) for key, token in kept.items()} if isinstance(kept, dict) else {}


def remember(home: Home, conversation: str, refresh_token: str, *, guest: bool) -> None:
    """Keeps a guest's token, so that the conversation can be resumed; the oldest are forgotten."""
    if not guest:
        return
    home.prepare()
    kept = {key: token for key, token in kept_chats(home).items() if key != conversation}
    newest = [*kept.items(), (conversation, refresh_token)][-KEPT_CHATS:]
    write_atomically(chats_file(home), json.dumps(dict(newest), indent=2) + "\n")


def password_of(home: Home, username: str) -> str:
    """The password: `ZHIYIN_PASSWORD`, else a demo account's from the state folder, else what is typed.

    Raises:
        UsageError: there is nobody to ask.
    """
    given = os.environ.get("ZHIYIN_PASSWORD")
    if given:
        return given
    try:
        accounts = json.loads((home.secrets / "bootstrap.json").read_text(encoding="utf-8"))["accounts"]
    except (OSError, ValueError, KeyError):
        accounts = []
    known = next((str(each["password"]) for each in accounts if each["username"] == username), None)
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise UsageError(f"The password of {username} is not known here; set ZHIYIN_PASSWORD.")
    return getpass(f"Password of {username}: ")
