from pathlib import Path

import pytest

from cli.check import findings_in
from cli.new import new


@pytest.fixture
def library(tmp_path: Path) -> Path:
    new(tmp_path / "library")
    return tmp_path / "library"


@pytest.mark.parametrize(
    ("old", "new_text", "said"),
    [
        (
            "http://127.0.0.1:8090",
            "http://lending.example.com",
            "core.yml:6: what goes to lending.example.com over http",
        ),
        ("delivery: idempotent", "delivery: once", "core.yml:34: 'renew' is delivered once"),
        ("lookups:\n", "lookups:\n  other: {request: {path: /x}, answer: {a: text}}\n", "core.yml:13: nothing uses"),
    ],
)
def test_what_is_unwise_is_a_warning_with_its_line(library: Path, old: str, new_text: str, said: str) -> None:
    connector = library / "connectors" / "core.yml"
    text = connector.read_text(encoding="utf-8")
    assert old in text
    connector.write_text(text.replace(old, new_text, 1), encoding="utf-8")
    mistakes, warnings = findings_in(library)
    assert mistakes == []
    assert any(said in each for each in warnings), warnings


def test_a_connector_without_recorded_answers_is_a_warning(library: Path) -> None:
    (library / "connectors" / "recorded" / "core.yml").unlink()
    mistakes, (warning,) = findings_in(library)
    assert mistakes == []
    assert "--record writes them" in warning


def test_a_mistake_in_recorded_answers_is_one(library: Path) -> None:
    (library / "connectors" / "recorded" / "core.yml").write_text("recorded:\n- {request: /a, answer: {}}\n")
    mistakes, _ = findings_in(library)
    assert any("core.yml:2: recorded.0.request: a request is a method and a path" in each for each in mistakes)
