"""The rules of an assistant by name: any decision tables and graphs in the JDM format, which people write and edit.

Rules are read and checked as a whole before they decide anything (`services.business.rules.check`): the engine takes a
cell that it cannot read for one that does not match, which would turn a typing mistake into another decision.

The folder of a release never changes. That of the settings may (`changes`): a file that is edited is taken over, a
broken one refused, and the last good one stays. Reading and checking takes time, so a program that answers many at once
has a thread look for changes (`Rules.watch`). Where nobody watches, each decision looks.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

import structlog
from prometheus_client import Gauge

from services.business.rules.check import check_set, read_sources
from services.business.rules.rule_set import Decided, RulesError, RuleSet, Undecided, read_rule_set
from shared.assistants.yaml_source import Mistakes

__all__ = ["OUTDATED", "Rules", "RulesError", "Undecided"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5

OUTDATED = Gauge("zhiyin_business_rules_outdated", "1 while a file is broken and an older table is in use", ["table"])


class Rules:
    """Every rule of a `rules` folder; where there is no such folder, none.

    Raises:
        RulesError: a file cannot be used; a line for each mistake.
    """

    def __init__(self, folder: Path, *, changes: bool = False) -> None:
        self._folder = folder
        self._changes = changes
        self._watched = False
        mistakes = Mistakes()
        self._sources = read_sources(folder, mistakes)
        self._rules = self._checked(self._sources, mistakes)
        self._refused: dict[str, bytes] | None = None
        if mistakes.found:
            raise RulesError("\n".join(mistakes.found))
        for name in self._rules.rules:
            OUTDATED.labels(name).set(0)

    @property
    def names(self) -> frozenset[str]:
        """The rules that there are."""
        return frozenset(self._current().rules)

    def decide(self, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a rule gives for facts; what all rows of a table give, where it collects them, stands in `results`.

        Raises:
            Undecided: there is no such rule, its facts are none, or it says nothing usable for them.
        """
        try:
            return self._current().decide(name, facts)
        except Undecided:
            log.warning("rules_undecided", rule=name)
            raise

    def explain(self, name: str, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[Decided]]:
        """What `decide` gives, and the rows that decided."""
        return self._current().explain(name, facts)

    async def watch(self, beat: Callable[[], None]) -> None:
        """Has changes taken over off the event loop until it is cancelled; `beat` is called at every look.

        Meanwhile decisions read no file.
        """
        self._watched = True
        try:
            while True:
                beat()
                await asyncio.to_thread(self.refresh)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._watched = False

    def refresh(self) -> None:
        """Takes over files that have changed; those that cannot be used are refused and logged, once."""
        # The bytes are compared, not the time of change: an edit within the clock's grain must not be missed.
        mistakes = Mistakes()
        sources = read_sources(self._folder, mistakes)
        if sources == self._sources and self._refused is None:
            return
        if sources == self._refused and not mistakes.found:
            return
        for gone in self._sources.keys() - sources.keys():
            mistakes.add(f"{self._folder}/{gone}", "it is gone")
        rules = self._checked(sources, mistakes)
        if mistakes.found:
            self._refuse(sources, mistakes)
        else:
            self._accept(sources, rules)
            self._refused = None

    def _refuse(self, sources: dict[str, bytes], mistakes: Mistakes) -> None:
        """A broken rule does not keep the others from changing, as long as they are good beside what it was."""
        broken = {
            PurePath(name).stem
            for name in sources.keys() | self._sources.keys()
            if any(re.match(rf"{re.escape(f'{self._folder}/{name}')}[:,]", line) for line in mistakes.found)
        }
        good = {name: source for name, source in sources.items() if PurePath(name).stem not in broken}
        good |= {name: source for name, source in self._sources.items() if PurePath(name).stem in broken}
        again = Mistakes()
        if good != self._sources:
            rules = self._checked(good, again)
            if not again.found:
                self._accept(good, rules)
        if sources != self._refused:
            self._refused = sources
            log.error("rules_refused", reason="; ".join(mistakes.found)[:2000])
        for name in self._rules.rules:
            OUTDATED.labels(name).set(name in broken)

    def _current(self) -> RuleSet:
        if self._changes and not self._watched:
            self.refresh()
        return self._rules

    def _checked(self, sources: Mapping[str, bytes], mistakes: Mistakes) -> RuleSet:
        rules = read_rule_set(sources, str(self._folder), mistakes)
        check_set(rules, mistakes, [])
        return rules

    def _accept(self, sources: dict[str, bytes], rules: RuleSet) -> None:
        self._sources, self._rules = sources, rules
        for name in rules.rules:
            OUTDATED.labels(name).set(0)
        log.info("rules_loaded", rules=sorted(rules.rules))
