"""An assistant as files: what `assistant.yml`, `nlu/` and `heldout/` say, checked; errors name file and line."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.errors import ConfigurationError
from shared.nlu.training_settings import TrainingSettings

__all__ = [
    "MAX_UTTERANCE",
    "OUT_OF_SCOPE",
    "SENTIMENTS",
    "AssistantError",
    "AssistantManifest",
    "HeldOut",
    "Span",
    "Thresholds",
    "TrainingData",
    "Utterance",
    "comparable",
    "load_manifest",
    "load_training_data",
    "parse_annotated",
]

OUT_OF_SCOPE = "out_of_scope"
SENTIMENTS = ("negative", "neutral", "positive")
MAX_UTTERANCE = 500
MAX_FILE_BYTES = 4_000_000
FEWEST_UTTERANCES = 5

Language = Literal["zh", "en"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Share = Annotated[float, Field(ge=0, le=1)]

ANNOTATION = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
INTENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


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
    """What `assistant.yml` says."""

    name: Name
    title: dict[Language, str]
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    default_language: Language
    thresholds: Thresholds = Thresholds()
    entities: tuple[Label, ...] = ()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _languages_agree(self) -> Self:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError("languages lists one twice")
        if self.default_language not in self.languages:
            raise ValueError(f"default_language {self.default_language!r} is not among languages")
        if missing := [language for language in self.languages if language not in self.title]:
            raise ValueError(f"title is missing for {', '.join(missing)}")
        return self


@dataclass(frozen=True, slots=True)
class Span:
    """An entity inside a text: `text[start:end]`."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """An example of an intent or of a sentiment; `others` are intents beside `intent`, where several are allowed."""

    text: str
    language: Language
    intent: str | None = None
    sentiment: str | None = None
    spans: tuple[Span, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def intents(self) -> tuple[str, ...]:
        """All intents that it expresses."""
        return () if self.intent is None else (self.intent, *self.others)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A sentence for testing only, with what a person says that it means."""

    text: str
    language: Language
    intent: str
    entities: tuple[tuple[str, str], ...] = ()
    sentiment: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that training and evaluation need of an assistant."""

    folder: Path
    manifest: AssistantManifest
    utterances: tuple[Utterance, ...]
    heldout: tuple[HeldOut, ...]

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents by name, out_of_scope last."""
        names = {intent for u in self.utterances for intent in u.intents} - {OUT_OF_SCOPE}
        return (*sorted(names), OUT_OF_SCOPE)

    @property
    def data_hash(self) -> str:
        """SHA-256 of the training utterances and of what they are to teach, independent of file layout."""
        rows = sorted(
            [
                u.language,
                u.text,
                u.intent or "",
                u.sentiment or "",
                [[s.label, s.start, s.end] for s in u.spans],
                *u.others,
            ]
            for u in self.utterances
        )
        subject = [self.manifest.name, self.manifest.languages, self.manifest.entities, rows]
        return hashlib.sha256(json.dumps(subject, ensure_ascii=False).encode()).hexdigest()

    @property
    def heldout_hash(self) -> str:
        """SHA-256 of the held-out sentences."""
        rows = sorted([h.language, h.text, h.intent, h.sentiment or "", sorted(h.entities)] for h in self.heldout)
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def comparable(text: str) -> str:
    """The text without case, width, spaces and punctuation, to tell whether two sentences are the same."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c for c in folded if unicodedata.category(c)[0] not in "PZC")
    return kept or folded.strip()


def parse_annotated(text: str, labels: Iterable[str]) -> tuple[str, tuple[Span, ...]]:
    """Takes the `[value](label)` marks out of a text; raises ValueError when a mark cannot be right."""
    known = tuple(labels)
    plain: list[str] = []
    spans: list[Span] = []
    length = position = 0
    for mark in ANNOTATION.finditer(text):
        value, label = mark.groups()
        if label not in known:
            raise ValueError(f"unknown entity {label!r} in {mark.group()!r}; known: {', '.join(known) or 'none'}")
        if not value.strip() or value != value.strip():
            raise ValueError(f"the value in {mark.group()!r} is empty or has spaces around it")
        before = text[position : mark.start()]
        length += len(before)
        spans.append(Span(label, length, length + len(value)))
        length += len(value)
        plain += [before, value]
        position = mark.end()
    plain.append(text[position:])
    result = "".join(plain)
    if "](" in result:
        raise ValueError("a mark is not closed or is nested; write [value](label)")
    return result, tuple(spans)


def load_manifest(folder: Path) -> AssistantManifest:
    """Reads `assistant.yml`."""
    path = folder / "assistant.yml"
    file = _File(path)
    plain = yaml.load(file.text, Loader=_LOADER)
    try:
        return AssistantManifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = tuple(str(part) for part in first["loc"])
        raise AssistantError(f"{'.'.join(where) or 'file'}: {first['msg']}", path, file.line_of(where)) from None


def load_training_data(folder: Path) -> TrainingData:
    """Reads an assistant; with `multi_intent` a sentence that stands in the files of several intents expresses all."""
    if not folder.is_dir():
        raise AssistantError("no such assistant folder", folder)
    manifest = load_manifest(folder)
    files = sorted((folder / "nlu").glob("*.yml"))
    if not files:
        raise AssistantError("there are no training utterances here (one <intent>.yml an intent)", folder / "nlu")
    utterances: list[Utterance] = []
    taught: dict[tuple[str, str], tuple[int, str]] = {}
    for path in files:
        for utterance, line in _utterances(_File(path), manifest):
            key = (utterance.language, comparable(utterance.text))
            if utterance.intent is None or key not in taught:
                if utterance.intent is not None:
                    taught[key] = len(utterances), f"{path.name}:{line}"
                utterances.append(utterance)
                continue
            place, where = taught[key]
            first = utterances[place]
            if utterance.intent in first.intents:
                continue
            if not manifest.training.multi_intent or OUT_OF_SCOPE in (first.intent, utterance.intent):
                raise AssistantError(
                    f"{utterance.text!r} is already an example of {first.intent} ({where})", path, line
                )
            utterances[place] = replace(first, others=(*first.others, utterance.intent))
    _check_coverage(manifest, utterances, folder / "nlu")
    known = {intent for u in utterances for intent in u.intents}
    heldout = [
        sentence
        for language in manifest.languages
        if (path := folder / "heldout" / f"{language}.yml").exists()
        for sentence in _heldout(_File(path), language, known)
    ]
    return TrainingData(folder, manifest, tuple(utterances), tuple(heldout))


_LOADER: type[yaml.SafeLoader] = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class _File:
    """A YAML file as nodes, so that an error can say which line it means."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise AssistantError(f"larger than {MAX_FILE_BYTES} bytes", path)
            self.text = path.read_text(encoding="utf-8")
            self.root: yaml.Node | None = yaml.compose(self.text, Loader=_LOADER)
        except FileNotFoundError:
            raise AssistantError("this file is missing", path) from None
        except UnicodeDecodeError:
            raise AssistantError("not UTF-8", path) from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise AssistantError(f"not valid YAML: {error.problem}", path, line) from None
        if self.root is None:
            raise AssistantError("the file is empty", path)

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
            raise self.fail(f"{what} should be text", node)
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


def _utterances(file: _File, manifest: AssistantManifest) -> Iterator[tuple[Utterance, int]]:
    top = file.mapping(file.root, "the file")
    if set(top) == {"sentiment"}:
        for label, by_language in file.mapping(top["sentiment"], "sentiment").items():
            if label not in SENTIMENTS:
                raise file.fail(f"unknown sentiment {label!r}; known: {', '.join(SENTIMENTS)}", by_language)
            for text, _spans, language, line in _sentences(file, by_language, manifest):
                yield Utterance(text, language, sentiment=label), line
        return
    if set(top) != {"intent", "utterances"}:
        raise file.fail("expected the keys `intent` and `utterances`, or `sentiment`", cast("yaml.Node", file.root))
    intent = file.scalar(top["intent"], "intent")
    if intent != file.path.stem or not INTENT_NAME.fullmatch(intent):
        raise file.fail(f"intent {intent!r} should be named as its file, {file.path.stem!r}", top["intent"])
    for text, spans, language, line in _sentences(file, top["utterances"], manifest):
        yield Utterance(text, language, intent=intent, spans=spans), line


def _sentences(
    file: _File, node: yaml.Node, manifest: AssistantManifest
) -> Iterator[tuple[str, tuple[Span, ...], Language, int]]:
    for language, sentences in file.mapping(node, "utterances by language").items():
        if language not in manifest.languages:
            known = ", ".join(manifest.languages)
            raise file.fail(f"the assistant has no language {language!r}; it has {known}", sentences)
        for sentence in file.items(sentences, f"the sentences in {language}"):
            try:
                text, spans = parse_annotated(file.sentence(sentence), manifest.entities)
            except ValueError as error:
                raise file.fail(str(error), sentence) from None
            yield text, spans, language, sentence.start_mark.line + 1


def _heldout(file: _File, language: Language, intents: set[str]) -> Iterator[HeldOut]:
    for item in file.items(file.root, "the file"):
        fields = file.mapping(item, "a held-out sentence")
        if not {"text", "intent"} <= set(fields) <= {"text", "intent", "entities", "sentiment"}:
            raise file.fail("a held-out sentence has `text` and `intent`, and may have `entities`, `sentiment`", item)
        text, intent = file.sentence(fields["text"]), file.scalar(fields["intent"], "intent")
        if intent not in intents:
            raise file.fail(f"no training utterances for intent {intent!r}", fields["intent"])
        sentiment = file.scalar(fields["sentiment"], "sentiment") if "sentiment" in fields else None
        if sentiment is not None and sentiment not in SENTIMENTS:
            raise file.fail(f"unknown sentiment {sentiment!r}", fields["sentiment"])
        entities = _entities(file, fields["entities"], text) if "entities" in fields else ()
        yield HeldOut(text, language, intent, entities, sentiment)


def _entities(file: _File, node: yaml.Node, text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for label, value in file.mapping(node, "entities").items():
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for one in nodes:
            entity = file.scalar(one, label)
            if entity not in text:
                raise file.fail(f"{label} {entity!r} does not occur in the sentence", one)
            found.append((label, entity))
    return tuple(found)


def _check_coverage(manifest: AssistantManifest, utterances: Iterable[Utterance], folder: Path) -> None:
    counts: Mapping[tuple[str, str], int] = Counter(
        (label, u.language) for u in utterances for label in (u.intents or (u.sentiment,)) if label is not None
    )
    labels = {label for label, _ in counts}
    if OUT_OF_SCOPE not in labels:
        raise AssistantError(f"{OUT_OF_SCOPE}.yml is missing: what the assistant cannot help with", folder)
    if not labels >= set(SENTIMENTS):
        raise AssistantError("sentiment.yml is missing or has no examples of one of the sentiments", folder)
    if len(labels - {OUT_OF_SCOPE, *SENTIMENTS}) < 2:
        raise AssistantError("at least two intents are needed beside out_of_scope", folder)
    for label in sorted(labels):
        for language in manifest.languages:
            if (count := counts[label, language]) < FEWEST_UTTERANCES:
                raise AssistantError(
                    f"{label} has {count} sentences in {language}; write at least {FEWEST_UTTERANCES}", folder
                )
