from pathlib import Path

import pytest

from shared.nlu.assistant_files import AssistantError, YamlFile, load_manifest

GOOD = """name: mini
title: {zh: 小店, en: Mini}
languages: [zh, en]
default_language: en
"""


def write(folder: Path, text: str) -> Path:
    (folder / "assistant.yml").write_bytes(text.encode())
    return folder


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    assert (manifest.name, manifest.timezone, manifest.currency) == ("mini", "UTC", "CNY")
    told = load_manifest(write(tmp_path, GOOD + "timezone: Asia/Shanghai\ncurrency: HKD\n"))
    assert (told.timezone, told.currency) == ("Asia/Shanghai", "HKD")


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD.replace("\n", "\r\n")])
def test_a_file_of_another_system_says_the_same(tmp_path: Path, text: str) -> None:
    assert load_manifest(write(tmp_path, text)) == load_manifest(write(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (GOOD + "name: maxi\n", ":5: 'name' is written twice"),
        (GOOD + "thresholds:\n  clarify: 0.5\n  clarify: 0.6\n", ":7: 'clarify' is written twice"),
        (GOOD + "colour: red\n", ":5: 'colour' is not known here"),
        (GOOD.replace("name: mini\n", ""), ": 'name' is missing"),
        (GOOD + "timezone: Mars/Olympus\n", ":5: timezone: there is no time zone 'Mars/Olympus'"),
        (GOOD + "currency: yuan\n", ":5: currency: String should match"),
        (GOOD.replace("[zh, en]", "[en, en]"), ": languages lists one twice"),
        (GOOD + "entities: !list [a]\n", ":5: not valid YAML: a word with ! before it is a tag"),
        (GOOD + "entities: [a\x07]\n", ":5: a character here cannot be printed; take it out"),
        (GOOD + "note: Sorry: no\n", ":5: not valid YAML: mapping values are not allowed"),
        (GOOD + "entities: 2026-13-45\n", ": a value cannot be read (month must be in 1..12); put quotes around it"),
        ("a: &x [*x]\n", ""),
        ("a: " + "[" * 200 + "]" * 200, ""),
    ],
)
def test_a_slip_is_told_with_file_and_line(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(AssistantError) as caught:
        load_manifest(write(tmp_path, text))
    assert f"assistant.yml{mistake}" in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_a_file_that_is_empty_or_missing(tmp_path: Path) -> None:
    with pytest.raises(AssistantError, match="the file is empty"):
        load_manifest(write(tmp_path, ""))
    with pytest.raises(AssistantError, match="this file is missing"):
        YamlFile(tmp_path / "none.yml")
