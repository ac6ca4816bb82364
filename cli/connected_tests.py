"""The business side of conversations under test, where an assistant has connectors: its systems or recorded answers."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Literal, Self

from cli.connectors import Systems, connectors_of
from cli.recordings import Exchange, read_recordings, write_recordings
from cli.wire import Wire
from services.dialogue.testing import Script
from shared.assistants.yaml_source import Mistakes
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.lookups import LookupAnswer

__all__ = ["Answers", "ConnectedShop", "ConnectedShops"]

Answers = Literal["recorded", "real", "record"]
"""Where answers come from; `record` is the real system, and its answers are written down."""

NOT_APPROVED = "approval_rejected"


class ConnectedShops:
    """The systems behind an assistant; each conversation starts with the recorded answers from the beginning."""

    def __init__(self, folder: Path, answers: Answers, urls: dict[str, str], kept: Path | None = None) -> None:
        mistakes = Mistakes()
        self._recordings = read_recordings(folder, mistakes)
        mistakes.raise_if_any()
        self._folder = folder
        self._answers = answers
        self._urls = urls
        self._kept = kept
        self._heard: dict[str, list[Exchange]] = defaultdict(list)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._runner = stack.enter_context(asyncio.Runner())
            opened = AsyncExitStack()
            stack.callback(lambda: self._runner.run(opened.aclose()))
            self._runner.run(self._open(opened))
            self._close = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    async def _open(self, stack: AsyncExitStack) -> None:
        files = connectors_of(self._folder).connectors
        self._wire = await stack.enter_async_context(Wire())
        self._wire.reach(files, self._urls)
        # What is recorded asks for no secret, and is there for anybody.
        names = [each.auth.secret for each in files.values() if each.auth is not None]
        secrets = dict.fromkeys(names, "recorded") if self._answers == "recorded" else {}
        urls = {name: self._wire.url(name) for name in files}
        systems = Systems(self._folder, urls, secrets=secrets, kept=self._kept)
        self._systems = await stack.enter_async_context(systems)

    def open(self, script: Script) -> "ConnectedShop":
        """The business side of one conversation."""
        name = script.conversation
        if self._answers == "recorded":
            self._wire.recording = self._recordings.during(name)
        self._wire.exchanges = self._heard[name]
        return ConnectedShop(self._runner, self._systems, self._wire, script.customer)

    def write(self) -> list[Path]:
        """Writes down what was heard; the files."""
        return write_recordings(self._folder, {name: heard for name, heard in self._heard.items() if heard})


class ConnectedShop:
    """Look-ups and actions of one conversation, made at once and without a queue."""

    def __init__(self, runner: asyncio.Runner, systems: Systems, wire: Wire, customer: str) -> None:
        self._runner = runner
        self._systems = systems
        self._wire = wire
        self._customer = customer

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        """Answers a look-up of the conversation's customer."""
        try:
            return self._runner.run(self._systems.look_up(name, arguments, customer=self._customer))
        finally:
            self._wire.complain()

    def perform(self, request: ActionRequest) -> ActionResult:
        """Performs an action, once."""
        try:
            return self._runner.run(self._systems.perform(request))
        finally:
            self._wire.complain()

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        """Decides on an action as a person at the desk does."""
        if not approved:
            return ActionResult(
                action_id=request.id,
                tenant=request.tenant,
                name=request.name,
                conversation_id=request.conversation_id,
                status="rejected",
                error_code=NOT_APPROVED,
            )
        try:
            return self._runner.run(self._systems.perform(request, approved=True))
        finally:
            self._wire.complain()
