"""FAQ documents: an answer to one intent, in every language, with its title as the source."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.assistants.yaml_source import Mistakes, Part, read_text, yaml_documents

__all__ = ["FaqDocument", "read_faq"]

FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
SECTION = re.compile(r"^## (\w+)[ \t]*$", re.MULTILINE)


class FrontMatter(Part):
    """What stands between the `---` lines."""

    intent: str
    title: Annotated[dict[str, str], Field(min_length=1)]


@dataclass(frozen=True)
class FaqDocument:
    """A document; an answer is the first paragraph of its section."""

    file: str
    intent: str
    title: dict[str, str]
    answers: dict[str, str]


def read_faq(path: Path, file: str, languages: tuple[str, ...], mistakes: Mistakes) -> FaqDocument | None:
    """One `faq/*.md`; `None` when it cannot be used, with the mistakes noted."""
    text = read_text(path, file, mistakes)
    if text is None:
        return None
    head = FRONT_MATTER.match(text)
    if head is None:
        mistakes.add(f"{file}:1", "begins with '---', then intent and title, then '---'")
        return None
    documents = yaml_documents("\n" + head.group(1), file, mistakes)
    front = documents[0].parse(FrontMatter, mistakes) if documents else None
    parts = SECTION.split(text[head.end() :])
    sections = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    answers = {
        name: ("" if name == "zh" else " ").join(body.split("\n\n")[0].split("\n"))
        for name, body in sections.items()
        if body
    }
    for language in languages:
        if language not in answers:
            mistakes.add(file, f"has no '## {language}' section with an answer")
        if front is not None and language not in front.title:
            mistakes.add(f"{file}:1", f"title: has no {language}")
    if front is None:
        return None
    return FaqDocument(file=path.stem, intent=front.intent, title=front.title, answers=answers)
