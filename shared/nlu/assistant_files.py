"""The YAML files of an assistant, and what `assistant.yml` says; errors name file and line."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from shared.errors import ConfigurationError
from shared.nlu.training_settings import TrainingSettings
from shared.zones import zone_of

__all__ = [
    "MAX_UTTERANCE",
    "AssistantError",
    "AssistantManifest",
    "Language",
    "Thresholds",
    "YamlFile",
    "line_of_control_character",
    "load_manifest",
    "plain_message",
    "yaml_problem",
]

MAX_UTTERANCE = 500
MAX_FILE_BYTES = 4_000_000
MAX_DEPTH = 40

Language = Literal["zh", "en"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class AssistantError(ConfigurationError):
    """A file of an assistant cannot be used; the message says where and why."""

    def __init__(self, message: str, path: Path, line: int | None = None) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {message}")
        self.path = path
        self.line = line


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Frozen):
    """Calibrated probabilities from which the assistant trusts its model."""

    clarify: Share = 0.5
    out_of_scope: Share | None = None


class AssistantManifest(_Frozen):
    """What `assistant.yml` says; `timezone` is where the company's days begin, `currency` what it counts in."""

    name: Name
    title: dict[Language, str]
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    default_language: Language
    timezone: str = "UTC"
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CNY"
    thresholds: Thresholds = Thresholds()
    entities: tuple[Label, ...] = ()
    training: TrainingSettings = TrainingSettings()

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, name: str) -> str:
        zone_of(name)
        return name

    @model_validator(mode="after")
    def _languages_agree(self) -> Self:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError("languages lists one twice")
        if self.default_language not in self.languages:
            raise ValueError(f"default_language {self.default_language!r} is not among languages")
        if missing := [language for language in self.languages if language not in self.title]:
            raise ValueError(f"title is missing for {', '.join(missing)}")
        return self


def load_manifest(folder: Path) -> AssistantManifest:
    """Reads `assistant.yml`.

    Raises:
        AssistantError: it cannot be used.
    """
    path = folder / "assistant.yml"
    file = YamlFile(path)
    try:
        return AssistantManifest.model_validate(file.plain())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = tuple(str(part) for part in first["loc"])
        raise AssistantError(_sentence(where, first["type"], first["msg"]), path, file.line_of(where)) from None


def _sentence(where: tuple[str, ...], kind: str, message: str) -> str:
    name = ".".join(where)
    if kind == "extra_forbidden":
        return f"{name!r} is not known here"
    if kind == "missing":
        return f"{name!r} is missing"
    if not where:
        return "the file should have keys with values" if kind == "model_type" else plain_message(message)
    return f"{name}: {plain_message(message)}"


def plain_message(message: str) -> str:
    """What a validator says, as a sentence of ours."""
    return message.removeprefix("Value error, ")


def line_of_control_character(text: str) -> int | None:
    """The line of the first character that YAML does not allow; none where all are."""
    found = CONTROL.search(text)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def yaml_problem(error: yaml.MarkedYAMLError) -> str:
    """What is wrong with a text that is not YAML, with a hint where a slip is common."""
    problem = str(error.problem)
    if "mapping values are not allowed" in problem:
        return f"{problem}; a text with a colon and a blank in it needs quotes around it"
    if "could not determine a constructor for the tag" in problem:
        return "a word with ! before it is a tag, and none is known here; a text that begins with ! needs quotes"
    if "expected <block end>" in problem or "expected ',' or" in problem:
        return f"{problem}; a text that begins with one of {{ [ * & % @ ' needs quotes around all of it"
    if "found character" in problem and "\\t" in problem:
        return "a line begins with a tab; YAML wants blanks"
    return problem


CONTROL = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LOADER: type[yaml.SafeLoader] = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class YamlFile:
    """A YAML file as nodes, so that an error can say which line it means."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise AssistantError(f"larger than {MAX_FILE_BYTES} bytes", path)
            self.text = path.read_text(encoding="utf-8-sig")
            if (line := line_of_control_character(self.text)) is not None:
                raise AssistantError("a character here cannot be printed; take it out", path, line)
            self.root: yaml.Node | None = yaml.compose(self.text, Loader=LOADER)
        except FileNotFoundError:
            raise AssistantError("this file is missing", path) from None
        except UnicodeDecodeError:
            raise AssistantError("not UTF-8", path) from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise AssistantError(f"not valid YAML: {yaml_problem(error)}", path, line) from None
        if self.root is None:
            raise AssistantError("the file is empty", path)

    def plain(self) -> Any:
        """What the file says, as dictionaries, lists and scalars.

        Raises:
            AssistantError: a key stands twice, or a value cannot be what it looks like.
        """
        self._each_key_once(self.root, 0)
        try:
            return yaml.load(self.text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise AssistantError(f"not valid YAML: {yaml_problem(error)}", self.path, line) from None
        except (ValueError, TypeError, RecursionError) as error:
            # Such as a day that is in no calendar.
            raise AssistantError(f"a value cannot be read ({error}); put quotes around it", self.path) from None

    def _each_key_once(self, node: yaml.Node | None, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise AssistantError("nested too deeply", self.path)
        if isinstance(node, yaml.MappingNode):
            for value in self.mapping(node, "this").values():
                self._each_key_once(value, depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._each_key_once(value, depth + 1)

    def fail(self, message: str, node: yaml.Node) -> AssistantError:
        return AssistantError(message, self.path, node.start_mark.line + 1)

    def mapping(self, node: yaml.Node | None, what: str) -> dict[str, yaml.Node]:
        assert node is not None
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(f"{what} should be a mapping", node)
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.scalar(key, "a key")
            if name in found:
                raise self.fail(f"{name!r} is written twice", key)
            found[name] = value
        return found

    def items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        assert node is not None
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(f"{what} should be a list", node)
        return list(node.value)

    def scalar(self, node: yaml.Node, what: str) -> str:
        """The characters as written: `no` and `88` are words here, not a boolean and a number."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(f"{what} should be text; one with a colon and a blank in it needs quotes around it", node)
        return str(node.value)

    def sentence(self, node: yaml.Node) -> str:
        text = self.scalar(node, "a sentence").strip()
        if not text:
            raise self.fail("a sentence is empty", node)
        if len(text) > MAX_UTTERANCE:
            raise self.fail(f"a sentence is longer than {MAX_UTTERANCE} characters", node)
        return text

    def line_of(self, where: tuple[str, ...]) -> int | None:
        """The line of the deepest part of `where` that the file has."""
        node, line = self.root, None
        for part in where:
            if not isinstance(node, yaml.MappingNode):
                break
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        return line
