"""Reads public data sets as they are published; each becomes a training, a validation and a test part.

Test parts are as published and only measured on; where no validation part is published, one is cut out of training.
"""

import csv
import json
import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shared.nlu.training_data import OUT_OF_SCOPE, Language, Span, Utterance

__all__ = [
    "Act",
    "Parts",
    "read_banking77",
    "read_cais",
    "read_clinc150",
    "read_finfe",
    "read_snips",
    "read_waimai",
    "spans_of_tags",
    "stratified",
]

SPLIT_SEED = 42
FINFE_SENTIMENTS = ("negative", "neutral", "positive")

T = TypeVar("T")
Act = tuple[str, str, str, str]  # intent, domain, slot, value


@dataclass(frozen=True)
class Parts:
    """The three parts of a data set; `test_acts` has the dialogue acts of each test utterance, where there are any."""

    training: Sequence[Utterance]
    validation: Sequence[Utterance]
    test: Sequence[Utterance]
    test_acts: Sequence[Sequence[Act]] = ()


def read_banking77(folder: Path) -> Parts:
    """`train.csv` and `test.csv` with the columns text and category (Casanueva et al. 2020)."""

    def read(name: str) -> list[Utterance]:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return [Utterance(row["text"].strip(), "en", row["category"]) for row in csv.DictReader(file)]

    training, validation = stratified(read("train.csv"), 0.05, lambda u: u.intent)
    return Parts(training, validation, read("test.csv"))


def read_clinc150(folder: Path) -> Parts:
    """`data_full.json`: lists of [text, intent] a part, those outside of any intent apart (Larson et al. 2019)."""
    content: dict[str, list[list[str]]] = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))

    def read(part: str) -> list[Utterance]:
        inside = [Utterance(text, "en", intent) for text, intent in content[part]]
        return inside + [Utterance(text, "en", OUT_OF_SCOPE) for text, _intent in content[f"oos_{part}"]]

    return Parts(read("train"), read("val"), read("test"))


def read_snips(folder: Path) -> Parts:
    """A folder a part with `seq.in` (words), `seq.out` (BIO tags) and `label` (Coucke et al. 2018)."""

    def read(part: str) -> list[Utterance]:
        lines = ((folder / part / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "seq.out"))
        intents = (folder / part / "label").read_text(encoding="utf-8").split()
        return [
            _tagged(words.split(), tags.split(), intent, "en")
            for words, tags, intent in zip(*lines, intents, strict=True)
        ]

    return Parts(read("train"), read("dev"), read("test"))


def read_cais(folder: Path) -> Parts:
    """`ch.<part>` with a character and its BIOES tag a line, `ch.<part>.intent` (Liu et al. 2019)."""

    def read(part: str) -> list[Utterance]:
        blocks = (folder / f"ch.{part}").read_text(encoding="utf-8").strip().split("\n\n")
        intents = (folder / f"ch.{part}.intent").read_text(encoding="utf-8").split()
        sentences = [[line.split() for line in block.splitlines()] for block in blocks]
        return [
            _tagged([row[0] for row in rows], [row[-1] for row in rows], intent, "zh")
            for rows, intent in zip(sentences, intents, strict=True)
        ]

    return Parts(read("train"), read("valid"), read("test"))


def read_waimai(folder: Path) -> Parts:
    """`waimai_10k.csv` with label and review; it has no split: a fifth is for testing, the same share of each label."""
    with (folder / "waimai_10k.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (row["review"].strip(), "positive" if row["label"] == "1" else "negative") for row in csv.DictReader(file)
        ]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    known, test = train_test_split(rows, test_size=0.2, random_state=SPLIT_SEED, stratify=[label for _, label in rows])
    training, validation = stratified(_felt(known), 0.05, lambda u: u.sentiment)
    return Parts(training, validation, _felt(test))


def read_finfe(folder: Path) -> Parts:
    """`train_list.json` and `eval_list.json`: lists of [text, 0 to 2], from negative to positive (Lu et al. 2023)."""

    def read(name: str) -> list[Utterance]:
        rows: list[tuple[str, int]] = json.loads((folder / name).read_text(encoding="utf-8"))
        return _felt((text, FINFE_SENTIMENTS[label]) for text, label in rows)

    training, validation = stratified(read("train_list.json"), 0.05, lambda u: u.sentiment)
    return Parts(training, validation, read("eval_list.json"))


def stratified(rows: Sequence[T], share: float, key: Callable[[T], Hashable]) -> tuple[list[T], list[T]]:
    """Cuts a share of each group off, at random but always the same."""
    groups: dict[Any, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    draw = random.Random(SPLIT_SEED)
    kept: list[T] = []
    cut: list[T] = []
    for group in groups.values():
        shuffled = draw.sample(group, len(group))
        count = round(len(group) * share)
        cut += shuffled[:count]
        kept += shuffled[count:]
    return kept, cut


def spans_of_tags(words: Sequence[str], tags: Sequence[str], gap: str) -> tuple[str, tuple[Span, ...]]:
    """The text of words joined by `gap`, and the spans that their BIO or BIOES tags mark in it."""
    spans: list[Span] = []
    text, inside = "", ""
    for word, tag in zip(words, tags, strict=True):
        text += gap if text else ""
        mark, _, label = tag.partition("-")
        if not label:
            inside = ""
        elif mark in "IE" and label == inside:
            spans[-1] = Span(label, spans[-1].start, len(text) + len(word))
        else:
            spans.append(Span(label, len(text), len(text) + len(word)))
            inside = label
        text += word
    return text, tuple(spans)


def _tagged(words: Sequence[str], tags: Sequence[str], intent: str, language: Language) -> Utterance:
    text, spans = spans_of_tags(words, tags, " " if language == "en" else "")
    return Utterance(text, language, intent, spans=spans)


def _felt(rows: Iterable[tuple[str, str]]) -> list[Utterance]:
    return [Utterance(text, "zh", sentiment=label) for text, label in rows]
