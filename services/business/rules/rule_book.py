"""The shop's rules: decision tables in the JDM format that a person edits, evaluated by the rules engine.

A table is checked as a whole before it is used: every cell must be readable, and every order that there can be must
get an answer. The engine itself takes a cell that it cannot read for one that does not match, which would turn a typing
mistake into another decision. A file that changes while the program runs is taken over; a broken one is refused and the
last good one stays.

Reading a file takes time, and checking a table more, so a program that answers many at once has a thread look for
changes (`RuleBook.watch`). Where nobody watches, in a worker that performs one action at a time, each decision looks.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from services.business.rules.decision_table import DecisionTable, RulesError
from services.business.rules.facts import OrderFacts, Permission, RefundDecision
from services.business.rules.rules import OUTDATED

__all__ = ["RuleBook", "RulesError", "Table", "shop_rules"]

log = structlog.get_logger(__name__)

MAX_BYTES = 256_000
LOOK_SECONDS = 0.5

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class Table(Generic[AnswerT]):
    """One file with one question to it."""

    def __init__(self, path: Path, undecided: AnswerT) -> None:
        """Reads and checks the file; `undecided` is answered where the table, against all checks, says nothing.

        Raises:
            RulesError: the file cannot be used.
        """
        self.path = path
        self.watched = False
        self._undecided = undecided
        self._source = _read(path)
        self._decision = DecisionTable(path, self._source, type(undecided))
        self._refused: bytes | None = None
        OUTDATED.labels(path.stem).set(0)

    def decide(self, facts: OrderFacts) -> AnswerT:
        """The answer for an order, by the file as it is now, or as it was when it was last looked at while watched."""
        if not self.watched:
            self.refresh()
        try:
            return self._decision.answer(facts)
        except (RulesError, ValidationError):
            log.error("rules_undecided", table=self.path.stem, facts=facts.context())
            return self._undecided

    def refresh(self) -> None:
        """Takes over a file that has changed; one that cannot be used is refused and logged, once."""
        # The bytes are compared, not the time of change: an edit within the clock's grain must not be missed.
        source = b""
        try:
            source = _read(self.path)
            if source in (self._source, self._refused):
                if source == self._source and self._refused is not None:
                    self._accept(source, self._decision)
                return
            decision = DecisionTable(self.path, source, type(self._undecided))
        except RulesError as error:
            if source != self._refused:
                self._refused = source
                OUTDATED.labels(self.path.stem).set(1)
                log.error("rules_refused", table=self.path.stem, reason=str(error))
            return
        self._accept(source, decision)

    def _accept(self, source: bytes, decision: DecisionTable[AnswerT]) -> None:
        self._source, self._decision, self._refused = source, decision, None
        OUTDATED.labels(self.path.stem).set(0)
        log.info("rules_loaded", table=self.path.stem)


class RuleBook:
    """Every table of an assistant's `rules` folder.

    Raises:
        RulesError: a file is missing or cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RulesError(f"there is no folder of rules at {folder}")
        # What no table decides is never paid out and never done: a person looks at it, or it is declined.
        nobody = Permission(allowed=False, reason_code="undecided")
        self.refund = Table(folder / "refund.json", RefundDecision(outcome="approval", reason_code="undecided"))
        self.cancel_order = Table(folder / "cancel_order.json", nobody)
        self.change_address = Table(folder / "change_address.json", nobody)
        self.request_invoice = Table(folder / "request_invoice.json", nobody)
        self._tables: tuple[Table[Any], ...] = (
            self.refund,
            self.cancel_order,
            self.change_address,
            self.request_invoice,
        )

    async def watch(self, beat: Callable[[], None]) -> None:
        """Has changes taken over off the event loop until it is cancelled; `beat` is called at every look.

        Meanwhile decisions read no file.
        """
        for table in self._tables:
            table.watched = True
        try:
            while True:
                beat()
                await asyncio.to_thread(self._refresh)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for table in self._tables:
                table.watched = False

    def _refresh(self) -> None:
        for table in self._tables:
            table.refresh()


def shop_rules(folder: Path, *, connectors: bool) -> RuleBook | None:
    """The demo shop's rules; none for an assistant with connectors, which has its own.

    Raises:
        RulesError: a file is missing or cannot be used.
    """
    return None if connectors else RuleBook(folder)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            source = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RulesError(f"the rules in {path} cannot be read: {error.strerror}") from error
    if len(source) > MAX_BYTES:
        raise RulesError(f"the rules in {path} have more than {MAX_BYTES} bytes")
    return source
