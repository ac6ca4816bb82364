"""An assistant's files: what is read from them, and what is said when they are wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.training_data import (
    AssistantError,
    HeldOut,
    Span,
    Utterance,
    comparable,
    load_manifest,
    load_training_data,
    parse_annotated,
)

MANIFEST = """\
name: mini
title: {zh: 小店, en: Mini}
languages: [zh, en]
default_language: en
entities: [address]
training:
  epochs: 3
"""

Write = Callable[[str, str], None]


def intent(name: str, extra: str = "") -> str:
    zh = "".join(f"    - {name}句子{number}\n" for number in range(5))
    en = "".join(f"    - {name} sentence {number}\n" for number in range(5))
    return f"intent: {name}\nutterances:\n  zh:\n{zh}  en:\n{en}{extra}"


def sentiments() -> str:
    lines = ["sentiment:"]
    for label in ("negative", "neutral", "positive"):
        lines.append(f"  {label}:")
        for language in ("zh", "en"):
            lines.append(f"    {language}: [{', '.join(f'{label} {language} {n}' for n in range(5))}]")
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nlu").mkdir()
    (tmp_path / "heldout").mkdir()
    (tmp_path / "assistant.yml").write_text(MANIFEST, encoding="utf-8")
    for name in ("refund", "greet", "out_of_scope"):
        (tmp_path / "nlu" / f"{name}.yml").write_text(intent(name), encoding="utf-8")
    (tmp_path / "nlu" / "sentiment.yml").write_text(sentiments(), encoding="utf-8")
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    def write_file(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return write_file


def test_reads_utterances_of_intents_and_sentiments(folder: Path, write: Write) -> None:
    write("nlu/refund.yml", intent("refund", "    - send it to [1 Elm Street](address) now\n    - no\n    - 88\n"))
    assistant = load_training_data(folder)
    assert assistant.manifest.name == "mini"
    assert assistant.manifest.training.epochs == 3
    assert assistant.intents == ("greet", "refund", "out_of_scope")
    found = Utterance("send it to 1 Elm Street now", "en", "refund", spans=(Span("address", 11, 23),))
    assert found in assistant.utterances
    assert Utterance("no", "en", "refund") in assistant.utterances
    assert Utterance("88", "en", "refund") in assistant.utterances
    assert Utterance("positive zh 3", "zh", sentiment="positive") in assistant.utterances
    assert assistant.heldout == ()


def test_the_same_sentence_twice_in_an_intent_counts_once(folder: Path, write: Write) -> None:
    before = load_training_data(folder)
    assert before.warnings == ()
    write("nlu/refund.yml", intent("refund", "    - Refund sentence 0!\n"))
    after = load_training_data(folder)
    assert after.utterances == before.utterances
    [warning] = after.warnings
    assert "'Refund sentence 0!' is already an example of the same (refund.yml:" in warning


def test_a_sentence_of_two_intents_counts_for_one_and_is_warned_of(folder: Path, write: Write) -> None:
    before = load_training_data(folder)
    write("nlu/refund.yml", intent("refund", "    - greet sentence 1\n"))
    after = load_training_data(folder)
    assert (after.utterances, after.data_hash) == (before.utterances, before.data_hash)
    [warning] = after.warnings
    assert warning.startswith(f"{folder / 'nlu' / 'refund.yml'}:15: ")
    assert "already an example of greet (greet.yml:" in warning


def test_a_sentence_of_two_sentiments_counts_for_one_and_is_warned_of(folder: Path, write: Write) -> None:
    text = (folder / "nlu" / "sentiment.yml").read_text(encoding="utf-8")
    write("nlu/sentiment.yml", text.replace("neutral en 0,", "neutral en 0, negative en 1, neutral en 0,"))
    other, same = load_training_data(folder).warnings
    assert "'negative en 1' is already an example of negative (sentiment.yml:" in other
    assert "'neutral en 0' is already an example of the same (sentiment.yml:" in same


def test_a_sentence_in_several_files_expresses_several_intents_where_that_is_allowed(
    folder: Path, write: Write
) -> None:
    both = intent("greet").replace("greet sentence 1", "refund sentence 1")
    write("nlu/greet.yml", both)
    write("assistant.yml", MANIFEST + "  multi_intent: true\n")
    assistant = load_training_data(folder)
    [shared] = [u for u in assistant.utterances if u.text == "refund sentence 1"]
    assert set(shared.intents) == {"greet", "refund"}
    write("nlu/greet.yml", intent("greet"))
    write("nlu/refund.yml", intent("refund", "    - out_of_scope sentence 1\n"))
    [warning] = load_training_data(folder).warnings
    assert "and counts for that alone" in warning


def test_reads_held_out_sentences(folder: Path, write: Write) -> None:
    write(
        "heldout/en.yml",
        "- text: ship to 5 Oak Road or 6 Oak Road\n  intent: refund\n  sentiment: neutral\n"
        "  entities: {address: [5 Oak Road, 6 Oak Road]}\n- {text: hi, intent: greet, entities: {address: hi}}\n",
    )
    first, second = load_training_data(folder).heldout
    assert first == HeldOut(
        "ship to 5 Oak Road or 6 Oak Road",
        "en",
        "refund",
        (("address", "5 Oak Road"), ("address", "6 Oak Road")),
        "neutral",
    )
    assert second.entities == (("address", "hi"),)
    assert second.sentiment is None


def test_the_hashes_tell_training_data_from_held_out_data(folder: Path, write: Write) -> None:
    first = load_training_data(folder)
    write("heldout/en.yml", "- {text: hello, intent: greet}")
    second = load_training_data(folder)
    assert second.data_hash == first.data_hash
    assert second.heldout_hash != first.heldout_hash
    write("nlu/greet.yml", intent("greet", "    - good day\n"))
    third = load_training_data(folder)
    assert third.data_hash != second.data_hash
    assert third.heldout_hash == second.heldout_hash


@pytest.mark.parametrize(
    ("file", "content", "line", "message"),
    [
        ("assistant.yml", "name: [", None, "not valid YAML"),
        ("assistant.yml", MANIFEST.replace("default_language: en", "default_language: fr"), 4, "default_language"),
        ("assistant.yml", MANIFEST.replace("[zh, en]", "[en]").replace("language: en", "language: zh"), None, "zh"),
        ("assistant.yml", MANIFEST.replace("[zh, en]", "[en, en]"), None, "twice"),
        ("assistant.yml", MANIFEST.replace("{zh: 小店, en: Mini}", "{zh: 小店}"), None, "title is missing for en"),
        ("assistant.yml", MANIFEST.replace("epochs: 3", "epochs: 0"), 7, "training.epochs"),
        ("assistant.yml", MANIFEST.replace("epochs", "epoch"), 7, "training.epoch"),
        ("assistant.yml", "- 1", None, "file"),
        ("nlu/refund.yml", "intent: refund", 1, "expected the keys"),
        ("nlu/refund.yml", "intent: refunds\nutterances: {}", 1, "named as its file"),
        ("nlu/refund.yml", "intent: refund\nutterances: []", 2, "should be a mapping"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  fr: [a]", 3, "no language 'fr'"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en: a", 3, "should be a list"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en:\n    - {a: b}", 4, "should be text"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en:\n    - ' '", 4, "empty"),
        ("nlu/refund.yml", f"intent: refund\nutterances:\n  en:\n    - {'a' * 501}", 4, "longer than 500"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en:\n    - '[a](street)'", 4, "unknown entity 'street'"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en: [a]\n  en: [b]", 4, "written twice"),
        ("nlu/refund.yml", "intent: refund\nutterances:\n  en: [a, b]", None, "refund has 0 sentences in zh"),
        ("nlu/refund.yml", "", None, "empty"),
        ("nlu/sentiment.yml", "sentiment: {angry: {en: [a]}}", 1, "unknown sentiment 'angry'"),
        ("heldout/en.yml", "text: a", 1, "should be a list"),
        ("heldout/en.yml", "- text: a", 1, "has `text` and `intent`"),
        ("heldout/en.yml", "- {text: a, intent: fly}", 1, "no training utterances for intent 'fly'"),
        ("heldout/en.yml", "- {text: a, intent: greet, sentiment: angry}", 1, "unknown sentiment"),
        ("heldout/en.yml", "- {text: a, intent: greet, entities: {address: b}}", 1, "does not occur"),
    ],
)
def test_says_where_a_file_is_wrong(
    folder: Path, write: Write, file: str, content: str, line: int | None, message: str
) -> None:
    write(file, content)
    with pytest.raises(AssistantError) as caught:
        load_training_data(folder)
    assert message in str(caught.value)
    if line is not None:
        assert caught.value.line == line
        assert f"{folder / file}:{line}: " in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("assistant.yml", "missing"),
        ("nlu/out_of_scope.yml", "out_of_scope.yml is missing"),
        ("nlu/sentiment.yml", "sentiment.yml is missing"),
        ("nlu/greet.yml", "at least two intents"),
    ],
)
def test_says_what_is_missing(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(AssistantError, match=message):
        load_training_data(folder)


def test_says_that_there_is_no_assistant(tmp_path: Path) -> None:
    with pytest.raises(AssistantError, match="no such assistant folder"):
        load_training_data(tmp_path / "nothing")


def test_says_that_there_are_no_utterances(folder: Path) -> None:
    for path in (folder / "nlu").iterdir():
        path.unlink()
    with pytest.raises(AssistantError, match="no training utterances"):
        load_training_data(folder)


def test_refuses_what_is_not_utf_8_or_too_large(folder: Path) -> None:
    (folder / "assistant.yml").write_bytes("name: 店".encode("gb18030"))
    with pytest.raises(AssistantError, match="not UTF-8"):
        load_manifest(folder)
    (folder / "assistant.yml").write_bytes(b"#" * 4_000_001)
    with pytest.raises(AssistantError, match="larger than"):
        load_manifest(folder)


@pytest.mark.parametrize(
    "text", ["[ a](address)", "[](address)", "[a](b c)", "[a](address", "[[a](address)](address)", "[a](phone)"]
)
def test_refuses_marks_that_cannot_be_right(text: str) -> None:
    with pytest.raises(ValueError):
        parse_annotated(text, ["address"])


def test_brackets_without_a_label_are_text() -> None:
    assert parse_annotated("[微笑] 寄到[北京](address)", ["address"]) == ("[微笑] 寄到北京", (Span("address", 7, 9),))


plain = st.text(st.characters(codec="utf-8", exclude_characters="[]()"), max_size=8)
value = plain.filter(lambda text: text.strip() == text and text != "")


@given(st.lists(st.tuples(plain, value, st.sampled_from(["address", "company"]))), plain)
def test_marks_are_taken_out_and_spans_point_at_their_values(parts: list[tuple[str, str, str]], tail: str) -> None:
    marked = "".join(f"{before}[{inside}]({label})" for before, inside, label in parts) + tail
    text, spans = parse_annotated(marked, ["address", "company"])
    assert text == "".join(before + inside for before, inside, _ in parts) + tail
    assert [(text[s.start : s.end], s.label) for s in spans] == [(inside, label) for _, inside, label in parts]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Where's my order?", "wheres MY order", True),
        ("退款，谢谢！", "退款谢谢", True),
        ("１２３", "123", True),
        ("退款", "退货", False),
        ("？", "！", False),
    ],
)
def test_tells_whether_sentences_are_the_same(one: str, other: str, same: bool) -> None:
    assert (comparable(one) == comparable(other)) is same
