"""Answers of an assistant's systems in `connectors/recorded/<connector>.yml`, so that its tests need no system.

An answer belongs to a request by method, path and query, where `*` stands for any characters, and, where it has a
`body`, by those parts of it. Within one conversation a request that is made again gets the next of its answers, and the
last one from then on: that is how a system that was changed is told, without a program that plays it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode

import yaml
from pydantic import BeforeValidator, Field, JsonValue, model_validator

from shared.assistants.yaml_source import Document, Mistakes, Part, read_documents

__all__ = ["Exchange", "RecordedFile", "Recording", "Recordings", "read_recordings", "write_recordings"]

FOLDER = "connectors/recorded"
METHODS = "GET|POST|PUT|PATCH|DELETE"


def request_line(value: object) -> object:
    """Method, path and query, the query's parts in order."""
    match = re.fullmatch(rf"({METHODS}) (/[^\s?#]*)(?:\?(\S*))?", str(value))
    if match is None:
        raise ValueError("a request is a method and a path, such as: GET /members/7/loans?open=true")
    query = urlencode(sorted(parse_qsl(match[3] or "", keep_blank_values=True)), safe="*")
    return f"{match[1]} {match[2]}{f'?{query}' if query else ''}"


RequestLine = Annotated[str, BeforeValidator(request_line)]


class RecordedAnswer(Part):
    """What the system answered; `fails` is how a system that gives no answer is played."""

    status: Annotated[int, Field(ge=100, le=599)] = 200
    body: JsonValue = None
    fails: bool = False


class Recorded(Part):
    """A request and its answers, in the order in which they are given within a conversation."""

    request: RequestLine
    body: dict[str, JsonValue] | None = None
    conversation: str | None = None
    """The one conversation in which this is the answer; it comes before what is for all."""
    answers: Annotated[list[RecordedAnswer], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _one_answer_for_short(cls, value: Any) -> Any:
        if isinstance(value, dict) and "answer" in value and "answers" not in value:
            value = {**value, "answers": [value["answer"]]}
            del value["answer"]
        return value

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a request line has to be."""
        return re.compile(re.escape(self.request).replace(r"\*", "[^?&]*"))


class RecordedFile(Part):
    """`connectors/recorded/<connector>.yml`."""

    recorded: list[Recorded]


@dataclass(frozen=True)
class Exchange:
    """One request as it was made, and what came back; `failure` says why nothing did."""

    connector: str
    line: str
    body: Any
    status: int
    answer: Any
    milliseconds: float = 0.0
    failure: str = ""

    @classmethod
    def of(cls, connector: str, method: str, path: str, **rest: Any) -> Self:
        """An exchange by its method, path and query."""
        return cls(connector=connector, line=str(request_line(f"{method} {path}")), **rest)


class Recording:
    """The recorded answers of one system, during one conversation."""

    def __init__(self, entries: Iterable[Recorded], conversation: str) -> None:
        own = [each for each in entries if each.conversation in (None, conversation)]
        self._entries = sorted(own, key=lambda each: (each.conversation is None, each.body is None))
        self._given: dict[int, int] = defaultdict(int)

    def answer(self, line: str, body: Any) -> RecordedAnswer | None:
        """The next answer to a request; `None` when none was recorded."""
        for index, each in enumerate(self._entries):
            if not each.pattern.fullmatch(line):
                continue
            if each.body is not None and not (isinstance(body, dict) and each.body.items() <= body.items()):
                continue
            found = each.answers[min(self._given[index], len(each.answers) - 1)]
            self._given[index] += 1
            return found
        return None


class Recordings:
    """All of an assistant's recorded answers."""

    def __init__(self, entries: dict[str, list[Recorded]]) -> None:
        self._entries = entries

    def during(self, conversation: str) -> dict[str, Recording]:
        """By connector, as nothing had been asked yet."""
        return {name: Recording(entries, conversation) for name, entries in self._entries.items()}


def read_recordings(folder: Path, mistakes: Mistakes) -> Recordings:
    """What `connectors/recorded/` holds."""
    entries: dict[str, list[Recorded]] = {}
    known = {path.stem for path in (folder / "connectors").glob("*.yml")}
    for path in sorted((folder / FOLDER).glob("*.yml")):
        documents: list[Document] = read_documents(path, str(path), mistakes)
        for document in documents[:1]:
            if path.stem not in known:
                mistakes.add(document.where(), f"there is no connectors/{path.stem}.yml that this was recorded of")
            if (file := document.parse(RecordedFile, mistakes)) is not None:
                entries[path.stem] = file.recorded
    return Recordings(entries)


HEAD = """\
# yaml-language-server: $schema=../../.schemas/recorded.json
# What the system answered, for `zhiyin test`. A request is matched by method, path and query (* is anything), and by
# the parts of `body` where it has one; made again in one conversation it gets the next answer, the last one for good.
# `zhiyin test --record` writes this file again. Look through it: what real customers are called does not belong here.
"""


def write_recordings(folder: Path, exchanges: dict[str, list[Exchange]]) -> list[Path]:
    """Writes what was heard in each conversation: what was alike in all of them once, the rest for the one alone."""
    heard: dict[str, dict[str, dict[str, list[Any]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for conversation, made in exchanges.items():
        for each in made:
            answer: dict[str, Any] = {"fails": True} if each.failure else {"status": each.status, "body": each.answer}
            heard[each.connector][each.line][conversation].append(answer)
    written: list[Path] = []
    for connector, lines in heard.items():
        entries: list[dict[str, Any]] = []
        for line, by_conversation in lines.items():
            series = {name: without_repetition(answers) for name, answers in by_conversation.items()}
            usual = max(series.values(), key=lambda one: sum(one == other for other in series.values()))
            entries.append({"request": line, **said(usual)})
            entries += [
                {"request": line, "conversation": name, **said(answers)}
                for name, answers in series.items()
                if answers != usual
            ]
        path = folder / FOLDER / f"{connector}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = yaml.dump({"recorded": entries}, Dumper=Plain, allow_unicode=True, sort_keys=False, width=110)
        path.write_text(HEAD + content, encoding="utf-8")
        written.append(path)
    return written


class Plain(yaml.SafeDumper):
    """YAML without anchors, which nobody wants to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def without_repetition(answers: list[Any]) -> list[Any]:
    """The last answer stands for all that are like it and follow it."""
    while len(answers) > 1 and answers[-1] == answers[-2]:
        answers = answers[:-1]
    return answers


def said(answers: list[Any]) -> dict[str, Any]:
    """One answer, or several in their order."""
    return {"answer": answers[0]} if len(answers) == 1 else {"answers": answers}
