from collections.abc import Callable
from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.validation import BUILT_IN, PATTERN_ENTITIES
from shared.errors import ConfigurationError
from shared.nlu.entities.patterns import PATTERN_ENTITIES as intent_entities  # noqa: N811
from tests.unit.services.dialogue.assistants import FAQ, FLOWS, MANIFEST, REPLIES, load, write_assistant

SHOP = Path(__file__).parents[5] / "assistants" / "shop"


def mistakes(folder: Path, **files: str) -> list[str]:
    write_assistant(folder, **files)
    with pytest.raises(ConfigurationError) as caught:
        load_assistant(folder)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def flows(old: str, new: str) -> str:
    assert old in FLOWS
    return FLOWS.replace(old, new)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_demo_assistant_loads() -> None:
    shop = load_assistant(SHOP)
    assert shop.name == "shop"
    assert shop.languages == ("zh", "en")
    assert {"refund", "track_order", "ask_human"} <= set(shop.flows)
    assert len(shop.faq) == 8
    assert all(
        shop.answers(intent)
        for intent in shop.intents - {"affirm", "deny", "stop", "correct", "inform", "wait"} - {"out_of_scope"}
    )


def test_a_small_assistant_loads(tmp_path: Path) -> None:
    mini = load(tmp_path)
    assert mini.title == {"zh": "小店", "en": "Mini"}
    assert mini.thresholds.clarify == 0.5
    assert mini.title_of("book") == {"zh": "订位", "en": "Booking"}
    assert mini.title_of("faq_hours") == {"zh": "营业时间", "en": "Opening hours"}
    assert mini.title_of("greet") is None
    assert mini.title_of("nothing") is None
    assert mini.faq["faq_hours"].answers == {"zh": "九点到六点。", "en": "From nine to six."}


def test_a_flow_takes_over_a_shared_slot_and_changes_what_it_states(tmp_path: Path) -> None:
    shared = "slots:\n  day: {name: {zh: 日, en: Day}, entity: date, ask: ask_way, attempts: 5}\n---\n"
    own = flows("slots:\n  table:", "slots:\n  day: {attempts: 2}\n  table:")
    mini = load_assistant(write_assistant(tmp_path, flows=shared + own))
    assert (mini.slots["book"]["day"].attempts, mini.slots["book"]["day"].ask) == (2, "ask_way")
    assert "day" not in mini.slots["pay"]


def test_a_called_flow_brings_its_slots_and_steps(tmp_path: Path) -> None:
    calling = flows("  - set: {cash: way == 'cash'}", "  - call: book\n  - set: {cash: way == 'cash'}")
    mini = load_assistant(write_assistant(tmp_path, flows=calling))
    assert set(mini.slots["pay"]) == {"way", "address", "table", "note"}
    assert "1.call.5" in mini.steps["pay"]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("reply: good_choice", "reply: god_choice", "there is no reply 'god_choice'; did you mean 'good_choice'?"),
        ("ask: ask_way", "ask: ask_weigh", "there is no reply 'ask_weigh'; did you mean 'ask_way'?"),
        ("retry: retry_table", "retry: rety", "there is no reply 'rety'"),
        ("title: table_title", "title: tabel_title", "there is no reply 'tabel_title'; did you mean 'table_title'?"),
        ("reply: no_such_table", "reply: no_table", "there is no reply 'no_table'"),
        ("succeeded: booking_done", "succeeded: done", "there is no reply 'done'"),
        ("collect: note", "collect: notes", "the flow has no slot 'notes'; did you mean 'note'?"),
        ("intents: [pay]", "intents: [pai]", "there is no intent 'pai'; did you mean 'pay'?"),
        ("intents: [pay]", "intents: [pay, book]", "'book' already begins the flow 'book'"),
        ("intents: [pay]", "intents: [pay, faq_hours]", "'faq_hours' already begins the flow 'pay'"),
        ("intents: [greet]", "intents: []", "no flow and no document answers 'greet'"),
        ("intents: [ask_human]", "intents: []", "no flow has the intent 'ask_human'"),
        ("entity: word", "entity: wurd", "there is no entity 'wurd'; did you mean 'word'?"),
        ("lookup: tables", "lookup: tabels", "business has no look-up 'tabels'; did you mean 'tables'?"),
        ("action: book", "action: boook", "business has no action 'boook'; did you mean 'book'?"),
        ("arguments: [table, note]", "arguments: [note]", "the action 'book' needs 'table'"),
        ("arguments: [table, note]", "arguments: {table: table, nota: note}", "takes no 'nota'; did you mean 'note'?"),
        ("arguments: {number: table}", "arguments: {number: tabel}", "no value 'tabel' here; did you mean 'table'?"),
        ("of: free.tables", "of: fee.tables", "there is no value 'fee' here; did you mean 'free'?"),
        ("valid: chosen.open", "valid: choosen.open", "there is no value 'choosen' here; did you mean 'chosen'?"),
        ("- if: cash", "- if: chas", "there is no value 'chas' here; did you mean 'cash'?"),
        ("if: result.error_code", "if: chosen.error_code", "there is no value 'chosen' here"),
        ("confirm: confirm_booking", "confirm: good_choice", "'good_choice' should offer the choices yes and no"),
        ("title: {zh: 订位, en: Booking}", "title: {zh: 订位, en: Booking}\nslots: {}", "'slots' stands here twice"),
        ("- if: cash", "- call: payy\n  - if: cash", "there is no flow 'payy'; did you mean 'pay'?"),
        ("- if: cash", "- call: pay\n  - if: cash", "'pay' calls itself"),
        ("flow: greet", "flow: pay", "there is already a flow 'pay'"),
        ("name: {zh: 方式, en: Way}", "name: {zh: 方式}", "has no en"),
        ("{zh: 现金, en: Cash}", "{zh: 现金}", "has no en"),
        ("- collect: way", "- colect: way", "a step has one of: collect,"),
        ("- collect: way", "- colect: way", "did you mean 'collect'?"),
        ("- collect: way", "- just words", "this is no step"),
        ("ask: ask_note", "ask: ask_note\n    aks: x", "'aks' is not known here; did you mean 'ask'?"),
        ("    entity: word\n", "    entity: word\n    pattern: '['\n", "not a regular expression"),
        ("- if: cash", "- if: cash +", "cannot read the condition: cash +"),
        ("attempts: 2", "attempts: many", "attempts: Input should be a valid integer"),
        ("    text: {shortest: 2, longest: 20}\n", "", "a slot needs an entity, text or options"),
        ("handoff: asked", "handoff: ''", "handoff: String should have at least 1 character"),
        ("flow: pay\ntitle: {zh: 付款, en: Paying}", "flow: pay", "a flow that asks something needs a title"),
        (
            "- collect: way\n",
            "- collect: way\n" + "  - {lookup: tables, save: free}\n" * 9,
            "at most 8 look-ups, this one 9",
        ),
    ],
)
def test_a_mistake_in_a_flow_is_named_with_its_line(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, flows=flows(old, new))
    [line] = [line for line in found if mistake in line]
    assert line.startswith(("flows/all.yml:", "flows:", "faq/hours.md:"))


def test_the_line_is_the_one_in_which_it_stands(tmp_path: Path) -> None:
    text = flows("reply: good_choice", "reply: god_choice")
    assert mistakes(tmp_path, flows=text)[0].startswith(f"flows/all.yml:{line_of(text, 'reply: god_choice')}: ")


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("hello: [Hello!, Hi!]", "", "there is no reply 'hello'"),
        ("pay_cash: Cash it is.", "pay_cash: Cash {it} is.", "there is no value 'it' here"),
        ("pay_cash: Cash it is.", "pay_cash: Cash {it is.", "a brace that stands for itself is written twice"),
        ("pay_cash: Cash it is.", "pay_cash: {text: []}", "at least 1 item"),
        ("pay_cash: Cash it is.", "pay_cash: {txt: x}", "'txt' is not known here; did you mean 'text'?"),
        ("pay_cash: Cash it is.", "pay_cash: 7", "Input should be a valid dictionary"),
        (
            "pay_cash: Cash it is.",
            "pay_cash: {text: x, options: [{title: x, intent: bok}]}",
            "nothing answers 'bok'; did you mean 'book'?",
        ),
        ("pay_cash: Cash it is.", "pay_cash: {text: x, options: [{title: x}]}", "either an intent or a choice"),
        (
            "pay_cash: Cash it is.",
            "pay_cash: {text: x, options: [{title: x, intent: book}]}",
            "'pay_cash' offers something else in zh",
        ),
    ],
)
def test_a_mistake_in_a_reply_is_named(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, en=REPLIES.replace(old, new))
    assert any(mistake in line for line in found), found


def test_a_reply_of_the_conversation_itself_is_needed_and_knows_only_its_own_values(tmp_path: Path) -> None:
    write_assistant(tmp_path)
    path = tmp_path / "replies" / "en.yml"
    path.write_text(path.read_text().replace("\nresume: {text: 'resume {flow}'", "\nresume: {text: 'resume {table}'"))
    with pytest.raises(ConfigurationError, match=r"en\.yml:\d+: there is no value 'table' here"):
        load_assistant(tmp_path)
    for name in BUILT_IN:
        write_assistant(tmp_path)
        path.write_text(path.read_text().replace(f"\n{name}: ", f"\nx{name}: "))
        with pytest.raises(ConfigurationError, match=f"there is no reply '{name}'"):
            load_assistant(tmp_path)


@pytest.mark.parametrize(
    ("faq", "mistake"),
    [
        (FAQ.replace("faq_hours", "faq_ours"), "there is no intent 'faq_ours'; did you mean 'faq_hours'?"),
        (FAQ.replace("## en", "## fr"), "has no '## en' section with an answer"),
        (FAQ.replace(", en: Opening hours", ""), "faq/hours.md:1: title: has no en"),
        (FAQ.replace("intent:", "intend:"), "faq/hours.md:2: 'intend' is not known here; did you mean 'intent'?"),
        (FAQ.replace("---\n", "", 1), "begins with '---'"),
        (FAQ.replace("title: {", "title: {{"), "faq/hours.md:3: not YAML"),
    ],
)
def test_a_mistake_in_a_document_is_named(tmp_path: Path, faq: str, mistake: str) -> None:
    found = mistakes(tmp_path, faq=faq)
    assert any(mistake in line for line in found), found


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


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = flows("reply: good_choice", "reply: god_choice").replace("collect: note", "collect: notes")
    assert len(mistakes(tmp_path, flows=text)) == 2


def test_a_mistake_in_a_shared_slot_is_told_once(tmp_path: Path) -> None:
    shared = "slots:\n  day: {name: {zh: 日, en: Day}, entity: date, aks: ask_way}\n---\n"
    own = flows("slots:\n  table:", "slots:\n  day: {}\n  table:").replace(
        "slots:\n  way:", "slots:\n  day: {}\n  way:"
    )
    assert mistakes(tmp_path, flows=shared + own) == [
        "flows/all.yml:2: 'ask' is missing",
        "flows/all.yml:2: 'aks' is not known here; did you mean 'ask'?",
    ]


def test_one_language_is_enough(tmp_path: Path) -> None:
    write_assistant(tmp_path, manifest=MANIFEST.replace("languages: [zh, en]", "languages: [en]"))
    (tmp_path / "replies" / "zh.yml").unlink()
    assert load_assistant(tmp_path).languages == ("en",)


def test_the_entities_found_by_form_are_those_of_the_intent_service() -> None:
    assert frozenset(intent_entities) == PATTERN_ENTITIES
