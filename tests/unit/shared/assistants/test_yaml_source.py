from pathlib import Path

import pytest

from shared.assistants.yaml_source import (
    MAX_FILE_BYTES,
    BrokenAssistant,
    Mistakes,
    Part,
    did_you_mean,
    read_documents,
)


class Inner(Part):
    colour: str


class Outer(Part):
    name: str
    parts: list[Inner] = []  # noqa: RUF012 - pydantic copies it


def read(tmp_path: Path, text: str | bytes) -> tuple[list[object], list[str]]:
    path = tmp_path / "file.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    mistakes = Mistakes()
    return [document.value for document in read_documents(path, "file.yml", mistakes)], mistakes.found


def test_words_stay_words_and_numbers_numbers(tmp_path: Path) -> None:
    values, mistakes = read(
        tmp_path, "[yes, no, on, off, true, null, ~, 7, 2.5, 007, 10:30, 2026-11-03, 20261103001, 0x1f, '1']"
    )
    assert values == [
        ["yes", "no", "on", "off", True, None, None, 7, 2.5, "007", "10:30", "2026-11-03", 20261103001, "0x1f", "1"]
    ]
    assert mistakes == []


@pytest.mark.parametrize("text", ["\ufeffa: 1\nb: [x, y]\n", "a: 1\r\nb: [x, y]\r\n", "\ufeffa: 1\rb: [x, y]\r"])
def test_a_file_of_another_system_says_the_same(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text.encode()) == ([{"a": 1, "b": ["x", "y"]}], [])


def test_several_documents(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1\n---\n- b\n") == ([{"a": 1}, ["b"]], [])
    assert read(tmp_path, "") == ([], [])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: [1, 2", "file.yml:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\n\na: 2", "file.yml:4: 'a' stands here twice"),
        ("b: 1\na: !!python/object:os.system x", "file.yml:2: not YAML: a word with ! before it is a tag"),
        ("b: 1\na: !important x", "file.yml:2: not YAML: a word with ! before it is a tag"),
        ("b: 1\ntext: Sorry: no", "file.yml:2: not YAML: mapping values are not allowed here; a text with a colon"),
        ("b: 1\na:\n\t- x", "file.yml:3: not YAML: a line begins with a tab"),
        ("b: 1\n\na: x\x07y", "file.yml:3: a character here cannot be printed; take it out"),
        ("b: 1\na: \x1b[31mred", "file.yml:2: a character here cannot be printed"),
        (b"a: \xff\xfe", "file.yml: is not UTF-8 text"),
        ("a: \x00", "file.yml:1: a character here cannot be printed"),
        ("[" * 60, "file.yml"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("[" * 5000, "nested too deeply"),
        ("a: &x [*x]", "nested too deeply"),
        (b"x" * (MAX_FILE_BYTES + 1), "larger than"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str | bytes, mistake: str) -> None:
    _, mistakes = read(tmp_path, text)
    assert mistake in "\n".join(mistakes)


def test_a_text_that_grows_when_read_is_refused(tmp_path: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    _, mistakes = read(tmp_path, f"l0: &l0 [1]\n{levels}")
    assert "too much in one file" in mistakes[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    mistakes = Mistakes()
    assert read_documents(tmp_path / "none.yml", "none.yml", mistakes) == []
    with pytest.raises(BrokenAssistant, match=r"none\.yml: cannot be read: No such file"):
        mistakes.raise_if_any()


def test_mistakes_name_the_line_and_what_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "file.yml"
    path.write_text("name: x\nparts:\n  - colour: red\n  - colur: blue\n    colour: 7\n")
    mistakes = Mistakes()
    [document] = read_documents(path, "file.yml", mistakes)
    assert document.parse(Outer, mistakes) is None
    assert mistakes.found == [
        "file.yml:5: parts.1.colour: Input should be a valid string",
        "file.yml:4: 'colur' is not known here; did you mean 'colour'?",
    ]
    assert document.where("parts", 1, "no", "such") == "file.yml:4"
    path.write_text("parts: []\n")
    [document] = read_documents(path, "file.yml", mistakes)
    assert document.parse(Outer, mistakes) is None
    assert mistakes.found[-1] == "file.yml:1: 'name' is missing"


def test_the_same_mistake_is_reported_once() -> None:
    mistakes = Mistakes()
    mistakes.add("a", "b")
    mistakes.add("a", "b")
    assert mistakes.found == ["a: b"]
    Mistakes().raise_if_any()


def test_did_you_mean() -> None:
    assert did_you_mean("refnd", ["refund", "reply"]) == "; did you mean 'refund'?"
    assert did_you_mean("xyz", ["refund"]) == ""
