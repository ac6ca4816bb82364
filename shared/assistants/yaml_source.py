"""Reading the files that an assistant is made of; every mistake is reported with its file and line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from shared.errors import ConfigurationError
from shared.nlu.assistant_files import line_of_control_character, plain_message, yaml_problem

__all__ = [
    "BrokenAssistant",
    "Document",
    "Mistakes",
    "Part",
    "Place",
    "did_you_mean",
    "read_documents",
    "read_text",
    "yaml_documents",
]

MAX_FILE_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_PARTS = 50_000

Place = tuple[str | int, ...]


class BrokenAssistant(ConfigurationError):
    """An assistant cannot be used; one line for each mistake."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Part(BaseModel):
    """A piece of an assistant as somebody wrote it: nothing unknown passes, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


PartT = TypeVar("PartT", bound=BaseModel)


class Mistakes:
    """What is wrong so far, so that one look shows everything there is to mend."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, message: str) -> None:
        """Note one mistake."""
        line = f"{where}: {message}"
        if line not in self.found:
            self.found.append(line)

    def raise_if_any(self) -> None:
        """Refuse the assistant when something was wrong."""
        if self.found:
            raise BrokenAssistant(self.found)


@dataclass(frozen=True)
class Document:
    """One YAML document with the line on which each of its parts begins."""

    file: str
    value: JsonValue
    lines: Mapping[Place, int]

    def where(self, *place: str | int) -> str:
        """`file:line` of a part, or of the nearest part around it."""
        known: Place = ()
        for item in place:  # a validator's place may name a union's branch, which is not in the file
            if (*known, item) in self.lines:
                known = (*known, item)
        return f"{self.file}:{self.lines.get(known, 1)}"

    def parse(self, model: type[PartT], mistakes: Mistakes) -> PartT | None:
        """The document as a model; `None` when it is not one, with the mistakes noted."""
        try:
            return model.model_validate(self.value)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                mistakes.add(self.where(*problem["loc"]), self.explain(problem["loc"], problem["type"], problem["msg"]))
        return None

    def explain(self, place: Place, kind: str, message: str) -> str:
        """A validator's finding as a sentence about the file."""
        name = ".".join(str(item) for item in place)
        if kind == "extra_forbidden":
            return f"'{place[-1]}' is not known here{did_you_mean(str(place[-1]), all_fields(Part))}"
        if kind == "missing":
            return f"'{place[-1]}' is missing"
        return f"{name}: {plain_message(message)}" if name else plain_message(message)


def all_fields(model: type[BaseModel]) -> set[str]:
    """The names that may stand anywhere in an assistant's files."""
    names: set[str] = set()
    for child in model.__subclasses__():
        names |= {field.alias or name for name, field in child.model_fields.items()} | all_fields(child)
    return names


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when something like it exists, else nothing."""
    near = get_close_matches(name, sorted(known), n=5, cutoff=0.6)
    near.sort(key=lambda other: sorted(other) != sorted(name))  # letters that changed places come first
    return f"; did you mean '{near[0]}'?" if near else ""


class PlainLoader(yaml.SafeLoader):
    """YAML without surprises: `yes`, `no`, `on` and dates stay text."""


PlainLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]{0,15})$", "-0123456789"),
    ("float", r"^-?[0-9]{1,15}\.[0-9]{1,15}$", "-0123456789"),
):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


def read_text(path: Path, file: str, mistakes: Mistakes) -> str | None:
    """The text of a file; `file` is what mistakes call it."""
    try:
        content = path.read_bytes()
        if len(content) <= MAX_FILE_BYTES:
            # As an editor of another system leaves it: with a byte order mark, lines ended in its own way.
            return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        mistakes.add(file, f"larger than {MAX_FILE_BYTES} bytes")
    except OSError as error:
        mistakes.add(file, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        mistakes.add(file, "is not UTF-8 text")
    return None


def read_documents(path: Path, file: str, mistakes: Mistakes) -> list[Document]:
    """The YAML documents of one file."""
    text = read_text(path, file, mistakes)
    return [] if text is None else yaml_documents(text, file, mistakes)


def yaml_documents(text: str, file: str, mistakes: Mistakes) -> list[Document]:
    """The YAML documents of a text, none when it is not YAML."""
    if (line := line_of_control_character(text)) is not None:
        mistakes.add(f"{file}:{line}", "a character here cannot be printed; take it out")
        return []
    try:
        return list(documents(text, file, mistakes))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        mistakes.add(f"{file}:{line}", f"not YAML: {yaml_problem(error)}")
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mistakes.add(file, f"not YAML: {error}")
    except RecursionError:
        mistakes.add(file, "nested too deeply")
    return []


def documents(text: str, file: str, mistakes: Mistakes) -> Iterator[Document]:
    """Each document of a text with the lines of its parts."""
    loader = PlainLoader(text)
    try:
        while loader.check_node():
            node = cast(yaml.Node, loader.get_node())
            lines: dict[Place, int] = {}
            note_lines(node, (), lines, file, mistakes)
            yield Document(file, loader.construct_document(node), lines)
    finally:
        loader.dispose()


def note_lines(node: yaml.Node, place: Place, lines: dict[Place, int], file: str, mistakes: Mistakes) -> None:
    """Walk a document, noting the line of each part and keys that stand twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > MAX_DEPTH or len(lines) > MAX_PARTS:  # aliases can make a short text endless
        raise yaml.MarkedYAMLError(problem="nested too deeply, or too much in one file", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            note_lines(item, (*place, index), lines, file, mistakes)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                mistakes.add(f"{file}:{key.start_mark.line + 1}", f"'{key.value}' stands here twice")
            lines[inner] = key.start_mark.line + 1
            note_lines(value, inner, lines, file, mistakes)
