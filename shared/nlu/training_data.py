"""An assistant as files: what `assistant.yml`, `nlu/` and `heldout/` say, checked; errors name file and line."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import yaml

from shared.nlu.assistant_files import (
    MAX_UTTERANCE,
    AssistantError,
    AssistantManifest,
    Language,
    Thresholds,
    YamlFile,
    load_manifest,
)

__all__ = [
    "MAX_UTTERANCE",
    "OUT_OF_SCOPE",
    "SENTIMENTS",
    "AssistantError",
    "AssistantManifest",
    "HeldOut",
    "Language",
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
FEWEST_UTTERANCES = 5


ANNOTATION = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
INTENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


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
    warnings: tuple[str, ...] = ()
    """What is not wrong and yet hardly meant, each with its place."""

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


def load_training_data(folder: Path) -> TrainingData:
    """Reads an assistant; with `multi_intent` a sentence that stands in the files of several intents expresses all.

    Otherwise it counts for the first of them only, and so does one with several sentiments; `warnings` say so.
    """
    if not folder.is_dir():
        raise AssistantError("no such assistant folder", folder)
    manifest = load_manifest(folder)
    files = sorted((folder / "nlu").glob("*.yml"))
    if not files:
        raise AssistantError("there are no training utterances here (one <intent>.yml an intent)", folder / "nlu")
    utterances: list[Utterance] = []
    warnings: list[str] = []
    taught: dict[tuple[bool, str, str], tuple[int, str]] = {}
    for path in files:
        for utterance, line in _utterances(YamlFile(path), manifest):
            key = (utterance.intent is None, utterance.language, comparable(utterance.text))
            if key not in taught:
                taught[key] = len(utterances), f"{path.name}:{line}"
                utterances.append(utterance)
                continue
            place, where = taught[key]
            first = utterances[place]
            said = f"{path}:{line}: {utterance.text!r} is already an example of"
            if utterance.sentiment == first.sentiment and utterance.intent in (None, *first.intents):
                warnings.append(f"{said} the same ({where}); it counts once")
            elif utterance.intent is None or not _may_be_both(manifest, first, utterance):
                warnings.append(f"{said} {first.intent or first.sentiment} ({where}), and counts for that alone")
            else:
                utterances[place] = replace(first, others=(*first.others, utterance.intent))
    _check_coverage(manifest, utterances, folder / "nlu", warnings)
    known = {intent for u in utterances for intent in u.intents}
    heldout = [
        sentence
        for language in manifest.languages
        if (path := folder / "heldout" / f"{language}.yml").exists()
        for sentence in _heldout(YamlFile(path), language, known)
    ]
    return TrainingData(folder, manifest, tuple(utterances), tuple(heldout), tuple(warnings))


def _may_be_both(manifest: AssistantManifest, first: Utterance, second: Utterance) -> bool:
    return manifest.training.multi_intent and OUT_OF_SCOPE not in (first.intent, second.intent)


def _utterances(file: YamlFile, manifest: AssistantManifest) -> Iterator[tuple[Utterance, int]]:
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
    file: YamlFile, node: yaml.Node, manifest: AssistantManifest
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


def _heldout(file: YamlFile, language: Language, intents: set[str]) -> Iterator[HeldOut]:
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


def _entities(file: YamlFile, node: yaml.Node, text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for label, value in file.mapping(node, "entities").items():
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for one in nodes:
            entity = file.scalar(one, label)
            if entity not in text:
                raise file.fail(f"{label} {entity!r} does not occur in the sentence", one)
            found.append((label, entity))
    return tuple(found)


def _check_coverage(
    manifest: AssistantManifest, utterances: Iterable[Utterance], folder: Path, warnings: Sequence[str]
) -> None:
    # Sentences may be missing because they stand somewhere else too.
    also = f" ({warnings[0]})" if warnings else ""
    counts: Mapping[tuple[str, str], int] = Counter(
        (label, u.language) for u in utterances for label in (u.intents or (u.sentiment,)) if label is not None
    )
    labels = {label for label, _ in counts}
    if OUT_OF_SCOPE not in labels:
        raise AssistantError(f"{OUT_OF_SCOPE}.yml is missing: what the assistant cannot help with", folder)
    if not labels >= set(SENTIMENTS):
        raise AssistantError("sentiment.yml is missing or has no examples of one of the sentiments" + also, folder)
    if len(labels - {OUT_OF_SCOPE, *SENTIMENTS}) < 2:
        raise AssistantError("at least two intents are needed beside out_of_scope", folder)
    for label in sorted(labels):
        for language in manifest.languages:
            if (count := counts[label, language]) < FEWEST_UTTERANCES:
                raise AssistantError(
                    f"{label} has {count} sentences in {language}; write at least {FEWEST_UTTERANCES}{also}", folder
                )
