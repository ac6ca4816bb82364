import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.business.rules import rules as module
from services.business.rules.check import read_sources
from services.business.rules.rules import Rules, RulesError, Undecided
from shared.assistants.yaml_source import Mistakes
from tests.stack import eventually
from tests.unit.services.business.rules.jdm import chain, sources, table, write

DESCRIBED = "facts: {days: {type: integer, least: 0}}\ngives: {ok: boolean}\n"


def limit(days: int) -> dict[str, object]:
    return chain(table(["days"], ["ok"], [(f"> {days}", "true"), ("", "false")]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "rules", {"late": limit(3), "later": limit(10)}, late=DESCRIBED)


def outdated(name: str) -> float | None:
    return REGISTRY.get_sample_value("zhiyin_business_rules_outdated", {"table": name})


def test_rules_answer_by_name(folder: Path) -> None:
    rules = Rules(folder)
    assert rules.names == {"late", "later"}
    assert rules.decide("late", {"days": 5}) == {"ok": True}
    assert rules.explain("later", {"days": 5})[1][0].row.number == 2
    with pytest.raises(Undecided):
        rules.decide("never", {"days": 5})


def test_where_there_is_no_folder_there_are_no_rules(tmp_path: Path) -> None:
    assert Rules(tmp_path / "nowhere").names == frozenset()


def test_a_folder_with_a_mistake_is_refused(folder: Path) -> None:
    write(folder, {"late": chain(table(["days"], ["ok"], [("> 3", "true")]))})
    with pytest.raises(RulesError, match=r"late\.json.* no row matches days=0"):
        Rules(folder)


def test_a_folder_that_does_not_change_is_read_once(folder: Path) -> None:
    rules = Rules(folder)
    (folder / "late.json").unlink()
    write(folder, {"later": limit(4)})
    assert rules.decide("late", {"days": 5}) == {"ok": True}
    assert rules.decide("later", {"days": 5}) == {"ok": False}


def test_an_edit_changes_the_next_decision(folder: Path) -> None:
    rules = Rules(folder, changes=True)
    write(folder, {"late": limit(7), "new": limit(1)})
    assert rules.decide("late", {"days": 5}) == {"ok": False}
    assert rules.decide("new", {"days": 5}) == {"ok": True}


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff", b" " * 300_000, None])
def test_a_broken_edit_keeps_the_last_good_one_and_holds_nobody_else_up(folder: Path, broken: bytes | None) -> None:
    rules = Rules(folder, changes=True)
    if broken is None:
        (folder / "late.json").unlink()
    else:
        (folder / "late.json").write_bytes(broken)
    write(folder, {"later": limit(4)})
    assert rules.decide("late", {"days": 5}) == {"ok": True}
    assert rules.decide("later", {"days": 5}) == {"ok": True}
    assert (outdated("late"), outdated("later")) == (1, 0)
    write(folder, {"late": limit(7)})
    assert rules.decide("late", {"days": 5}) == {"ok": False}
    assert outdated("late") == 0


def test_a_file_that_is_put_back_is_good_again(folder: Path) -> None:
    rules = Rules(folder, changes=True)
    good = (folder / "late.json").read_bytes()
    for source in (b"{", good):
        (folder / "late.json").write_bytes(source)
        assert rules.decide("late", {"days": 5}) == {"ok": True}
    assert outdated("late") == 0


async def test_while_a_folder_is_watched_nothing_is_read_on_the_event_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()

    def noted(place: Path, mistakes: Mistakes) -> Mapping[str, bytes]:
        threads.add(threading.current_thread())
        return read_sources(place, mistakes)

    rules = Rules(folder, changes=True)
    monkeypatch.setattr(module, "read_sources", noted)
    beats: list[None] = []
    watching = asyncio.create_task(rules.watch(lambda: beats.append(None)))
    try:

        async def watched() -> bool:
            return bool(beats)

        async def changed() -> bool:
            return rules.decide("late", {"days": 5}) == {"ok": False}

        async def refused() -> bool:
            return outdated("late") == 1

        await eventually(watched, what="the first look")
        write(folder, {"late": limit(7)})
        await eventually(changed, what="the new limit")
        (folder / "late.json").write_bytes(b"{")
        await eventually(refused, what="the refusal of a broken file")
        assert await changed(), "the last good one stays"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert threads
    assert threading.main_thread() not in threads


def test_files_that_are_no_rules_are_left_alone(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    assert Rules(folder).names == {"late", "later"}
    assert set(sources({"late": limit(3)})) == {"late.json"}
