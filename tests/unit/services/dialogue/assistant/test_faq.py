from pathlib import Path

import pytest

from services.dialogue.assistant.faq import FaqDocument, read_faq
from shared.assistants.yaml_source import Mistakes
from tests.unit.services.dialogue.assistants import FAQ, mistakes


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


def read(tmp_path: Path, text: str, languages: tuple[str, ...] = ("zh", "en")) -> tuple[FaqDocument | None, list[str]]:
    path = tmp_path / "hours.md"
    path.write_text(text, encoding="utf-8")
    mistakes = Mistakes()
    return read_faq(path, "faq/hours.md", languages, mistakes), mistakes.found


@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_document_of_another_system_says_the_same(tmp_path: Path, before: str, end: str) -> None:
    path = tmp_path / "hours.md"
    path.write_bytes((before + FAQ.replace("\n", end)).encode())
    mistakes = Mistakes()
    document = read_faq(path, "faq/hours.md", ("zh", "en"), mistakes)
    assert mistakes.found == []
    assert document is not None
    assert document.answers == {"zh": "九点到六点。", "en": "From nine to six."}


def test_an_answer_is_the_first_paragraph_in_one_line(tmp_path: Path) -> None:
    text = FAQ.replace("九点到六点。", "九点\n到六点。").replace(
        "to six.", "to six.\n\nBut not on Sundays.\n\n### Why\n\nRest."
    )
    document, mistakes = read(tmp_path, text)
    assert mistakes == []
    assert document is not None
    assert document.answers == {"zh": "九点到六点。", "en": "From nine to six."}
    assert (document.file, document.intent) == ("hours", "faq_hours")


def test_a_section_in_a_language_that_nobody_speaks_here_is_kept_and_none_is_missed(tmp_path: Path) -> None:
    document, mistakes = read(tmp_path, FAQ + "\n## fr\n\nDe neuf à six.\n", languages=("en",))
    assert mistakes == []
    assert document is not None
    assert set(document.answers) == {"zh", "en", "fr"}


def test_an_empty_section_is_no_answer(tmp_path: Path) -> None:
    document, mistakes = read(tmp_path, FAQ.replace("From nine\nto six.\n", ""))
    assert mistakes == ["faq/hours.md: has no '## en' section with an answer"]
    assert document is not None
    assert "en" not in document.answers


def test_everything_that_is_wrong_with_a_document_is_reported_at_once(tmp_path: Path) -> None:
    text = FAQ.replace("## en", "## fr").replace("intent:", "intend:")
    document, mistakes = read(tmp_path, text)
    assert document is None
    assert len(mistakes) == 3
