"""Utterances as the numbers that a model learns from: split, varied, tokenized, batched."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from tokenizers import Tokenizer
from torch import Tensor

from shared.nlu.bio_tags import bio_tags
from shared.nlu.training_data import OUT_OF_SCOPE, SENTIMENTS, Span, TrainingData, Utterance

__all__ = ["IGNORED", "Batch", "Encoder", "Labels", "batches", "neighbours_of", "split"]

IGNORED = -100  # the label of what a loss leaves out
BLOCK = 5  # neighbours in a file resemble each other; whole blocks of them go to validation


@dataclass(frozen=True)
class Labels:
    """What the model's outputs stand for, in order.

    `neighbours` are the kinds of entity of which two may stand side by side; None: all may.
    """

    intents: tuple[str, ...]
    tags: tuple[str, ...]
    sentiments: tuple[str, ...] = SENTIMENTS
    neighbours: tuple[str, ...] | None = None

    @staticmethod
    def of(assistant: TrainingData) -> "Labels":
        """The labels of an assistant; tags are BIO over its entities."""
        return Labels(
            assistant.intents,
            bio_tags(assistant.manifest.entities),
            neighbours=neighbours_of(assistant.utterances),
        )

    @property
    def out_of_scope(self) -> int:
        """Where out_of_scope stands among the intents."""
        return self.intents.index(OUT_OF_SCOPE)


@dataclass(frozen=True)
class Example:
    """One utterance as numbers; `others` are its intents beside the first, `number` its place among the utterances."""

    ids: list[int]
    tags: list[int]
    intent: int
    sentiment: int
    others: tuple[int, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Batch:
    """Utterances of similar length, padded to the longest.

    `intents` [texts, intents per text]: the first of each text and then its others; IGNORED fills up. `numbers` [texts]
    are the places that they had among the utterances.
    """

    input_ids: Tensor
    attention_mask: Tensor
    tags: Tensor
    intents: Tensor
    sentiments: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Encoder:
    """Turns utterances into examples: `prefix` + text, cut at `max_tokens`."""

    tokenizer: Tokenizer
    labels: Labels
    prefix: str
    max_tokens: int

    def encode(self, utterances: Sequence[Utterance]) -> list[Example]:
        """One example an utterance, in order."""
        encodings = self.tokenizer.encode_batch([self.prefix + u.text for u in utterances])
        return [
            self._example(number, utterance, encoding.ids, encoding.offsets, encoding.special_tokens_mask)
            for number, (utterance, encoding) in enumerate(zip(utterances, encodings, strict=True))
        ]

    def _example(
        self, number: int, utterance: Utterance, ids: list[int], offsets: list[tuple[int, int]], special: list[int]
    ) -> Example:
        tags: list[int] = []
        inside: Span | None = None
        shift = len(self.prefix)
        for (start, end), is_special in zip(offsets, special, strict=True):
            start, end = start - shift, end - shift
            if utterance.intent is None or is_special or end <= 0:
                tags.append(IGNORED)
                continue
            span = next((s for s in utterance.spans if start < s.end and end > s.start), None)
            if span is None:
                tags.append(0)
            else:
                tags.append(self.labels.tags.index(f"{'I' if span is inside else 'B'}-{span.label}"))
            inside = span
        if len(ids) > self.max_tokens:  # keep the closing special token
            ids = [*ids[: self.max_tokens - 1], ids[-1]]
            tags = [*tags[: self.max_tokens - 1], IGNORED]
        return Example(
            ids,
            tags,
            intent=IGNORED if utterance.intent is None else self.labels.intents.index(utterance.intent),
            sentiment=IGNORED if utterance.sentiment is None else self.labels.sentiments.index(utterance.sentiment),
            others=tuple(self.labels.intents.index(name) for name in utterance.others),
            number=number,
        )


def neighbours_of(utterances: Iterable[Utterance]) -> tuple[str, ...]:
    """The kinds of entity of which somewhere two stand side by side, with nothing but blanks between."""
    found = {
        after.label
        for utterance in utterances
        for before, after in pairwise(sorted(utterance.spans, key=lambda span: span.start))
        if before.label == after.label and not utterance.text[before.end : after.start].strip()
    }
    return tuple(sorted(found))


def split(utterances: Sequence[Utterance], share: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Cuts a validation part out of the training utterances: the same share of each label in each language.

    It is cut in blocks of neighbours, so that it is less alike to what is learned than single sentences would be.
    """
    groups: dict[tuple[str, str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[utterance.language, utterance.intent or "", utterance.sentiment or ""].append(utterance)
    draw = random.Random(seed)
    training: list[Utterance] = []
    validation: list[Utterance] = []
    for key in sorted(groups):
        members = groups[key]
        wanted = max(1, round(len(members) * share))
        blocks = [members[i : i + BLOCK] for i in range(0, len(members), BLOCK)]
        draw.shuffle(blocks)
        ordered = [u for block in blocks for u in block]
        validation += ordered[:wanted]
        training += ordered[wanted:]
    return training, validation


def batches(examples: Sequence[Example], size: int, shuffle: random.Random | None = None) -> Iterator[Batch]:
    """Batches of similar length, in random order when `shuffle` is given."""
    order = list(range(len(examples)))
    if shuffle is not None:
        shuffle.shuffle(order)
    # Sorted within large pools: little padding, and yet different company every epoch.
    pool = size * 16
    chunks: list[list[int]] = []
    for at in range(0, len(order), pool):
        near = sorted(order[at : at + pool], key=lambda i: len(examples[i].ids))
        chunks += [near[i : i + size] for i in range(0, len(near), size)]
    if shuffle is not None:
        shuffle.shuffle(chunks)
    for chunk in chunks:
        yield _batch([examples[i] for i in chunk])


def _batch(examples: Sequence[Example]) -> Batch:
    def padded(rows: list[list[int]], filler: int) -> Tensor:
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])

    return Batch(
        input_ids=padded([e.ids for e in examples], 0),
        attention_mask=padded([[1] * len(e.ids) for e in examples], 0),
        tags=padded([e.tags for e in examples], IGNORED),
        intents=padded([[e.intent, *e.others] for e in examples], IGNORED),
        sentiments=torch.tensor([e.sentiment for e in examples]),
        numbers=torch.tensor([e.number for e in examples]),
    )
