from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.validation import BUILT_IN, PATTERN_ENTITIES
from shared.errors import ConfigurationError
from shared.nlu.entities.patterns import PATTERN_ENTITIES as intent_entities  # noqa: N811
from tests.unit.services.dialogue.assistants import REPLIES, flows, mistakes, write_assistant


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
        ("- if: cash", "- call: payy\n  - if: cash", "there is no flow 'payy'; did you mean 'pay'?"),
        ("- if: cash", "- call: pay\n  - if: cash", "'pay' calls itself"),
        ("name: {zh: 方式, en: Way}", "name: {zh: 方式}", "has no en"),
        ("{zh: 现金, en: Cash}", "{zh: 现金}", "has no en"),
        ("flow: pay\ntitle: {zh: 付款, en: Paying}", "flow: pay", "a flow that asks something needs a title"),
        (
            "- collect: way\n",
            "- collect: way\n" + "  - {lookup: tables, save: free}\n" * 9,
            "at most 8 look-ups, this one 9",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_named_with_its_line(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    found = mistakes(tmp_path, flows=flows(old, new))
    [line] = [line for line in found if mistake in line]
    assert line.startswith(("flows/all.yml:", "flows:", "faq/hours.md:"))


def test_a_reply_of_the_conversation_itself_is_needed_and_knows_only_its_own_values(tmp_path: Path) -> None:
    write_assistant(tmp_path)
    path = tmp_path / "replies" / "en.yml"
    path.write_text(path.read_text().replace("\nresume: {text: 'resume {flow}'", "\nresume: {text: 'resume {table}'"))
    with pytest.raises(ConfigurationError, match=r"en\.yml:\d+: there is no value 'table' here"):
        load_assistant(tmp_path)
    for name in BUILT_IN:
        write_assistant(tmp_path)
        path.write_text(path.read_text().replace(f"\n{name}: ", f"\nx{name}: "))
        with pytest.raises(ConfigurationError, match=rf"en\.yml:\d+: the reply '{name}' is there in zh, but not in en"):
            load_assistant(tmp_path)


def test_the_entities_found_by_form_are_those_of_the_intent_service() -> None:
    assert frozenset(intent_entities) == PATTERN_ENTITIES


GIVING = (
    ("tables: {takes: [day]}", "tables: {takes: [day], gives: [count, {tables: [number, seats, {floor: [name]}]}]}"),
    ("table: {needs: [number]}", "table: {needs: [number], gives: [number, open]}"),
    ("book: {needs: [table], takes: [note]}", "book: {needs: [table], takes: [note], gives: [code]}"),
)


def giving(old: str = "", new: str = "") -> str:
    """The flows with look-ups and actions that say what they give, and one text in place of another."""
    text = flows(old, new) if old else flows("flow: pay", "flow: pay")
    for plain, with_fields in GIVING:
        assert plain in text
        text = text.replace(plain, with_fields)
    return text


def test_what_is_declared_may_be_used(tmp_path: Path) -> None:
    replies = REPLIES.replace("nothing_free: ", "nothing_free: {text: None of these, lines: {of: free.tables, ")
    replies = replies.replace("Nothing is free.", "line: 'No. {number} on {floor.name}, {floor}'}}")
    load_assistant(write_assistant(tmp_path, flows=giving(), en=replies, zh=replies))


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("of: free.tables", "of: free.table", "there is no 'table' in 'free'; did you mean 'tables'?"),
        ("value: number", "value: numbr", "there is no 'numbr' in an item; did you mean 'number'?"),
        ("item.seats > 1", "item.seat > 1", "there is no 'seat' in 'item'; did you mean 'seats'?"),
        ("item.seats > 1", "itm.seats > 1", "there is no value 'itm' here; did you mean 'item'?"),
        ("valid: chosen.open", "valid: chosen.opn", "there is no 'opn' in 'chosen'; did you mean 'open'?"),
        ("if: chosen,", "if: chosen.full,", "there is no 'full' in 'chosen'"),
        (
            "result.error_code ==",
            "result.eror_code ==",
            "there is no 'eror_code' in 'result'; did you mean 'error_code'?",
        ),
        ("cash: way == 'cash'", "cash: way.kind == 'cash'", "there is no 'kind' in 'way'"),
        ("cash: way == 'cash'", "cash: sentiment.label == 'x'", "there is no 'label' in 'sentiment'"),
        ("cash: way == 'cash'", "cash: way = cash", "to compare, write ==, and a text in quotes"),
        ("cash: way == 'cash'", "cash: way == coins", "there is no value 'coins' here; a text needs quotes: 'coins'"),
        ("cash: way == 'cash'", "cash: way == “cash”", "marks are those of a plain keyboard: == and 'text'"),
        ("cash: way == 'cash'", "cash: way ＝ 'cash'", "marks are those of a plain keyboard"),
        ("cash: way == 'cash'", "cash: way && note", "write `and`, `or`, `not`"),
        ("tables: {takes: [day]}", "tables: {gives: [a b]}", "lookups.tables.gives.0: String should match"),
        ("tables: {takes: [day]}", "tables: {gives: {a: [b]}}", "lookups.tables.gives: Input should be a valid list"),
    ],
)
def test_a_field_that_nothing_gives_is_named(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    text = flows(old, new) if old.startswith("tables") else giving(old, new)
    found = mistakes(tmp_path, flows=text)
    assert any(mistake in line and line.startswith("flows/all.yml:") for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (
            "{chosen.number} is closed",
            "{chosen.nmber} is closed",
            "in en: there is no 'nmber' in 'chosen'; did you mean",
        ),
        ("Table {number}", "Table {nmber}", "in en: there is no 'nmber' in an item; did you mean 'number'?"),
        ("{result.code}", "{result.cod}", "in en: there is no 'cod' in 'result'; did you mean 'code'?"),
        ("no table {table}", "no table {table.number}", "in en: there is no 'number' in 'table'"),
        (
            "Nothing is free.",
            "{text: None, lines: {of: free.tables, line: '{nr}'}}",
            "in en: there is no 'nr' in an item",
        ),
    ],
)
def test_a_reply_that_uses_a_field_that_nothing_gives_is_named(
    tmp_path: Path, old: str, new: str, mistake: str
) -> None:
    replies = REPLIES.replace("{{", "{").replace("}}", "}") if "{{" in REPLIES else REPLIES
    assert old in replies
    found = mistakes(tmp_path, flows=giving(), en=replies.replace(old, new))
    assert any(mistake in line for line in found), found


def test_where_a_look_up_does_not_say_what_it_gives_any_field_passes(tmp_path: Path) -> None:
    load_assistant(write_assistant(tmp_path, flows=flows("valid: chosen.open", "valid: chosen.whatever")))
