from collections.abc import Callable
from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.loader import AssistantFiles
from shared.errors import ConfigurationError
from tests.unit.services.dialogue.assistants import MANIFEST, flows, mistakes, write_assistant


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("flow: greet", "flow: pay", "there is already a flow 'pay'"),
    ],
)
def test_a_flow_that_stands_twice_is_named_with_its_line(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, flows=flows(old, new))
    [line] = [line for line in found if mistake in line]
    assert line.startswith(("flows/all.yml:", "flows:", "faq/hours.md:"))


def test_a_flow_takes_over_a_shared_slot_and_changes_what_it_states(tmp_path: Path) -> None:
    shared = "slots:\n  day: {name: {zh: 日, en: Day}, entity: date, ask: ask_way, attempts: 5}\n---\n"
    own = flows("slots:\n  table:", "slots:\n  day: {attempts: 2}\n  table:")
    mini = load_assistant(write_assistant(tmp_path, flows=shared + own))
    assert (mini.slots["book"]["day"].attempts, mini.slots["book"]["day"].ask) == (2, "ask_way")
    assert "day" not in mini.slots["pay"]


def test_a_mistake_in_a_shared_slot_is_reported_once(tmp_path: Path) -> None:
    shared = "slots:\n  day: {name: {zh: 日, en: Day}, entity: date, aks: ask_way}\n---\n"
    own = flows("slots:\n  table:", "slots:\n  day: {}\n  table:").replace(
        "slots:\n  way:", "slots:\n  day: {}\n  way:"
    )
    assert mistakes(tmp_path, flows=shared + own) == [
        "flows/all.yml:2: 'ask' is missing",
        "flows/all.yml:2: 'aks' is not known here; did you mean 'ask'?",
    ]


@pytest.mark.parametrize(
    ("break_it", "mistake"),
    [
        (lambda folder: (folder / "replies" / "zh.yml").unlink(), "replies/zh.yml: cannot be read: No such file"),
        (lambda folder: (folder / "replies" / "zh.yml").write_text("# nothing"), "replies/zh.yml: has no replies"),
        (lambda folder: (folder / "flows" / "all.yml").unlink(), "flows: there are no flows here"),
        (lambda folder: (folder / "flows" / "all.yml").write_bytes(b"\xff"), "flows/all.yml: is not UTF-8 text"),
        (lambda folder: (folder / "faq" / "hours.md").write_bytes(b"\xff"), "faq/hours.md: is not UTF-8 text"),
        (lambda folder: (folder / "assistant.yml").unlink(), "assistant.yml: this file is missing"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, break_it: Callable[[Path], object], mistake: str) -> None:
    write_assistant(tmp_path)
    break_it(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load_assistant(tmp_path)
    assert mistake in str(caught.value)


def test_one_language_is_enough(tmp_path: Path) -> None:
    write_assistant(tmp_path, manifest=MANIFEST.replace("languages: [zh, en]", "languages: [en]"))
    (tmp_path / "replies" / "zh.yml").unlink()
    assert load_assistant(tmp_path).languages == ("en",)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = flows("reply: good_choice", "reply: god_choice").replace("collect: note", "collect: notes")
    assert len(mistakes(tmp_path, flows=text)) == 2


def test_what_there_is_to_look_up_comes_from_the_connectors(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path)
    (folder / "connectors").mkdir()
    (folder / "connectors" / "core.yml").write_text(
        "connector: core\nlookups:\n  seats:\n    arguments: {day: {}, area: {optional: true}}\n"
        "    request: {path: /seats}\n    answer: {free: integer, tables: {type: list, fields: {name: text}}}\n",
        encoding="utf-8",
    )
    files = AssistantFiles(folder)
    files.read(("zh", "en"))
    seats = files.business.lookups["seats"]
    assert (seats.needs, seats.takes, seats.gives) == (["day"], ["area"], ["free", "tables", "tables.name"])
    assert list(files.business.lookups) == ["seats", "submitted_actions"]


def test_the_customers_own_actions_are_offered_besides_those_of_the_connectors(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path)
    (folder / "connectors").mkdir()
    (folder / "connectors" / "core.yml").write_text(
        "connector: core\nactions:\n  book:\n    arguments: {day: {}}\n"
        "    request: {method: POST, path: /seats}\n    answer: {seat: {type: text, from: response.id}}\n",
        encoding="utf-8",
    )
    files = AssistantFiles(folder)
    files.read(("zh", "en"))
    own, withdrawal = files.business.lookups["submitted_actions"], files.business.actions["withdraw_action"]
    assert (own.needs, own.takes) == ([], [])
    assert own.gives is not None
    assert {"count", "open", "first.id", "first.arguments.day", "actions.data.seat"} <= set(own.gives)
    assert "first.arguments.seat" not in own.gives
    assert (withdrawal.needs, withdrawal.takes, withdrawal.gives) == (["action"], [], ["action", "name"])


def test_what_does_not_fit_together_in_connectors_is_a_mistake_of_the_assistant(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path)
    (folder / "connectors").mkdir()
    (folder / "connectors" / "core.yml").write_text(
        "connector: core\nlookups:\n  seats:\n"
        "    request: {path: /seats, query: {on: dya}}\n    answer: {free: integer}\n",
        encoding="utf-8",
    )
    files = AssistantFiles(folder)
    with pytest.raises(ConfigurationError, match=r"core\.yml:4: 'dya' is not known here"):
        files.read(("zh", "en"))
