"""`zhiyin test`: an assistant's conversations, held with its real model and its systems, or their recorded answers.

An assistant without connectors has the demo's shop, which is reset for each conversation.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from rich.table import Table
from rich.text import Text

from cli.connected_tests import Answers, ConnectedShops
from cli.console import err, harmless, out, write_json
from cli.errors import CommandError, UsageError
from cli.home import Home
from cli.training import production_model
from services.business.actions import approvals
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.lookups import look_up
from services.business.shop.seed import seed
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.testing import (
    ConversationResult,
    Script,
    Shop,
    TestCase,
    load_conversations,
    run_conversation,
)
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.approvals import Verdict
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.contracts.understanding import Understanding
from shared.errors import ZhiyinError
from shared.nlu.model import Model
from shared.nlu.training_data import load_manifest
from shared.storage.database import Database
from shared.storage.migrations import migrate
from shared.zones import zone_of

__all__ = ["EVERYTHING", "Choice", "DemoShops", "chosen", "hold_conversations", "hold_tests"]

TENANT = "default"


@dataclass(frozen=True)
class Choice:
    """The conversations that are wanted: of one file of `tests/`, with one name, or all."""

    file: str = ""
    name: str = ""

    def has(self, case: TestCase) -> bool:
        """Whether a conversation is among them."""
        file = Path(case.places[0].rpartition(":")[0]).name
        return self.file in ("", file) and self.name in ("", case.conversation.conversation)


EVERYTHING = Choice()


def chosen(what: str) -> tuple[Path, Choice]:
    """The assistant's folder and the conversations that `ASSISTANT` or `FILE[::NAME]` means."""
    path, _, name = what.partition("::")
    given = Path(path)
    if given.suffix in (".yml", ".yaml"):
        return given.absolute().parent.parent, Choice(given.name, name.strip())
    return given, Choice(name=name.strip())


def hold_tests(
    folder: Path,
    home: Home,
    choice: Choice = EVERYTHING,
    *,
    answers: Answers = "recorded",
    urls: dict[str, str] | None = None,
    as_json: bool,
) -> None:
    """Holds conversations below `tests/` and shows those that went wrong.

    Args:
        urls: addresses of systems by connector, in place of those that the connectors name.

    Raises:
        CommandError: at least one did, or there are none.
        UsageError: answers are wanted of systems that there are not.
    """
    if answers != "recorded" and not has_connectors(folder):
        raise UsageError(f"{folder.name} has no connectors, so there is no system to ask.")
    if answers == "record" and choice != EVERYTHING:
        raise UsageError("All conversations are recorded together: name the assistant alone.")
    model = Model.load(production_model(folder, home))
    unknown = sorted(load_assistant(folder).intents - set(model.manifest.intents))
    if unknown:
        err.print(
            f"[yellow]The model {model.manifest.version} does not know {', '.join(unknown)} yet; "
            f"`zhiyin train {folder.name} --quick` teaches it.[/]",
            soft_wrap=True,
        )
    today = zone_of(load_manifest(folder).timezone)
    results = hold_conversations(
        folder,
        lambda text: model.understand([text], today=datetime.now(today).date())[0],
        choice,
        answers=answers,
        urls=urls,
        kept=home.secrets,
    )
    failed = [result for result in results if not result.passed]
    if as_json:
        write_json([document(result) for result in results])
    elif failed:
        show(failed)
    if not results:
        name = f" named {choice.name!r}" if choice.name else ""
        raise CommandError(f"There are no conversations{name} in {folder / 'tests' / choice.file}.")
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} conversations went wrong.")
    err.print(f"[green]✓[/] {len(results)} conversations went as they should.")


def hold_conversations(
    folder: Path,
    understand: Callable[[str], Understanding],
    choice: Choice = EVERYTHING,
    *,
    answers: Answers = "recorded",
    urls: dict[str, str] | None = None,
    kept: Path | None = None,
) -> list[ConversationResult]:
    """The assistant's conversations that are wanted, each with a business side of its own."""
    assistant = load_assistant(folder)
    cases = [case for case in load_conversations(folder, assistant) if choice.has(case)]
    results: list[ConversationResult] = []
    with business_sides(folder, answers, urls or {}, kept) as open_for:
        for case in cases:
            try:
                results.append(run_conversation(assistant, case, understand, open_for(case.conversation)))
            except ZhiyinError as error:
                name, where = case.conversation.conversation, case.places[0]
                results.append(
                    ConversationResult(name=name, where=where, failures=[f"{where}: business says: {error}"])
                )
    return results


@contextmanager
def business_sides(
    folder: Path, answers: Answers, urls: dict[str, str], kept: Path | None
) -> Iterator[Callable[[Script], Shop]]:
    """What opens the business side of a conversation."""
    if not has_connectors(folder):
        with DemoShops(folder) as shops:
            yield lambda script: shops.open(script.customer)
        return
    with ConnectedShops(folder, answers, urls, kept) as systems:
        yield systems.open
        if answers == "record":
            for path in systems.write():
                err.print(f"Written: {path}", soft_wrap=True, markup=False)


def has_connectors(folder: Path) -> bool:
    """Whether an assistant reaches its systems by connectors."""
    return any((folder / "connectors").glob("*.yml"))


class DemoShops:
    """Shops with the demo's customers and orders, each in a copy of one seeded database."""

    def __init__(self, assistant: Path) -> None:
        self._assistant = assistant.absolute()

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="zhiyin-test-")
        root = Path(self._folder.name)
        self._settings = Settings(home=root, assistant=str(self._assistant), tenant=TENANT)
        self._rules = RuleBook(self._settings.rules_dir)
        self._runner = asyncio.Runner()
        self._template = root / "template.sqlite"
        self._shop: DemoShop | None = None
        url = f"sqlite+aiosqlite:///{self._template}"
        migrate("business", url)
        self._runner.run(self._seed(url))
        return self

    def __exit__(self, *_: object) -> None:
        self._close_shop()
        self._runner.close()
        self._folder.cleanup()

    def open(self, customer: str) -> "DemoShop":
        """A shop in which nothing has happened yet; the one before is closed."""
        self._close_shop()
        file = self._template.with_name("shop.sqlite")
        for left in self._template.parent.glob("shop.sqlite*"):
            left.unlink()
        shutil.copyfile(self._template, file)
        self._shop = DemoShop(
            self._runner, Database(f"sqlite+aiosqlite:///{file}"), self._rules, self._settings, customer
        )
        return self._shop

    def _close_shop(self) -> None:
        if self._shop is not None:
            self._shop.close()
            self._shop = None

    async def _seed(self, url: str) -> None:
        database = Database(url)
        await seed(database, TENANT)
        await database.close()


class DemoShop:
    """The business service's own look-ups, ledger and desk, without the queue between."""

    def __init__(
        self, runner: asyncio.Runner, database: Database, rules: RuleBook, settings: Settings, customer: str
    ) -> None:
        self._runner = runner
        self._database = database
        self._rules = rules
        self._ledger = Ledger(database, rules, settings)
        self._customer = customer

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        """Answers a look-up of the conversation's customer."""

        async def ask() -> LookupAnswer:
            request = LookupRequest(customer=self._customer, arguments=arguments)
            return await self._database.read(TENANT, lambda unit: look_up(unit, self._rules, name, request))

        return self._runner.run(ask())

    def perform(self, request: ActionRequest) -> ActionResult:
        """Performs an action as the worker does."""

        async def take_and_perform() -> ActionResult:
            await self._ledger.accept(request)
            return await self._ledger.perform(request)

        return self._runner.run(take_and_perform())

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        """Decides on an action as a person at the desk does."""

        async def decide_and_go_on() -> ActionResult:
            decision: Verdict = "approve" if approved else "reject"
            await approvals.decide(self._database, TENANT, request.id, decision, by="test", note=None)
            decided = (await self._ledger.accept(request)).result
            if decided is not None and decided.final:
                return decided
            return await self._ledger.perform(request)

        return self._runner.run(decide_and_go_on())

    def close(self) -> None:
        """Gives the database back."""
        self._runner.run(self._database.close())


def document(result: ConversationResult) -> dict[str, Any]:
    """A conversation for a script."""
    return {
        "conversation": result.name,
        "where": result.where,
        "passed": result.passed,
        "failures": result.failures,
        "transcript": result.transcript,
    }


def show(failed: list[ConversationResult]) -> None:
    """What went wrong, and how the conversation went until then."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("conversation")
    table.add_column("what went wrong", overflow="fold")
    for result in failed:
        table.add_row(Text(result.name), Text(harmless("\n".join(result.failures)), style="red"))
        table.add_row("", Text(harmless("\n".join(result.transcript)), style="dim"))
    out.print(table)
