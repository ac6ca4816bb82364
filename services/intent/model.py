"""One assistant's model: texts in, what they mean out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.intent.backends import Backend, open_engine
from services.intent.entities import merge_entities
from services.intent.language import language_of
from services.intent.manifest import OUT_OF_SCOPE, TOKENIZER, Manifest, ModelSource, read_source
from services.intent.patterns import find_patterns
from services.intent.runtime import Precision, Runtime, softmax
from services.intent.tags import TagDecoder
from services.intent.tokenizer import Encoded, TextTokenizer
from shared.contracts.understanding import IntentScore, ModelRef, OutOfScope, Sentiment, Understanding

__all__ = ["BATCH_TOKENS", "Model"]

RANKED = 5
BATCH_TOKENS = 512
"""Tokens of a batch with its padding: beyond this a larger batch does no more a second, and everyone in it waits."""
PROBES = (
    "我的快递到哪了？", "我要退款，东西坏了", "帮我把地址改成北京市朝阳区建国路1号", "你们几点上班",
    "不对，是另一个订单", "开发票，抬头是上海知音科技有限公司", "算了", "明天会下雨吗", "我要投诉！", "谢谢",
    "where is my parcel", "I want my money back please", "change the address to 12 Main Street, Springfield",
    "can I talk to a person", "yes", "no, I meant the other one", "what is your return policy",
    "who won the football game last night", "this is terrible service", "hello there",
)  # fmt: skip
"""Texts of the kinds that customers write, to compare precisions with."""

Floats = NDArray[np.float32]


class Model:
    """A loaded and warmed model; its methods may be called from several threads."""

    def __init__(
        self,
        source: ModelSource,
        *,
        streams: int | None = None,
        precision: Precision = "auto",
        backend: Backend = "auto",
    ) -> None:
        manifest = source.manifest
        self.manifest: Manifest = manifest
        self.digest = source.digest
        self.loaded_at = datetime.now(UTC)
        self._tokenizer = TextTokenizer(source.file(TOKENIZER), prefix=manifest.prefix, max_tokens=manifest.max_tokens)
        self._runtime = Runtime(
            open_engine(source, backend, streams=streams),
            manifest,
            precision=precision,
            padding_id=self._tokenizer.padding_id,
            probes=[each.ids for each in self._tokenizer.encode(PROBES)],
        )
        self._tags = TagDecoder(manifest.tags)
        self._in_scope = [number for number, name in enumerate(manifest.intents) if name != OUT_OF_SCOPE]
        self._ref = ModelRef(name=manifest.name, version=manifest.version)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        streams: int | None = None,
        precision: Precision = "auto",
        backend: Backend = "auto",
    ) -> Self:
        """Loads a model folder; `streams` defaults to what suits the device.

        Raises:
            ModelRejected: the folder is not whole, not what its manifest says, or no model of this kind.
        """
        return cls(read_source(folder), streams=streams, precision=precision, backend=backend)

    @property
    def streams(self) -> int:
        """How many batches are computed at the same time."""
        return self._runtime.streams

    @property
    def precision(self) -> str:
        """What the model computes in: `bf16`, `f16` or `f32`."""
        return self._runtime.precision

    @property
    def backend(self) -> str:
        """The library that computes: `openvino` or `torch`."""
        return self._runtime.backend

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        return self._runtime.device

    def understand(self, texts: Sequence[str], *, today: date | None = None) -> list[Understanding]:
        """What each text means, in the order given; `today` is what relative dates are seen from."""
        day = today or datetime.now(UTC).date()
        encoded = self.encode(texts)
        results: list[Understanding | None] = [None] * len(texts)
        with ThreadPoolExecutor(self.streams) as pool:
            batches = list(_batches(encoded))
            answers = pool.map(
                lambda batch: self.understand_batch([encoded[each] for each in batch], today=day), batches
            )
            for batch, answer in zip(batches, answers, strict=True):
                for place, understanding in zip(batch, answer, strict=True):
                    results[place] = understanding
        return [each for each in results if each is not None]

    def width(self, longest: int) -> int:
        """The tokens that each text of a batch costs when its longest has `longest`."""
        return self._runtime.width(longest)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The texts as tokens, cut to what the model reads."""
        return self._tokenizer.encode(texts)

    def understand_batch(self, batch: Sequence[Encoded], *, today: date) -> list[Understanding]:
        """What each text means, in one pass of the model over one padded batch."""
        outputs = self._runtime.infer([each.ids for each in batch])
        intents = softmax(outputs.intents / np.float32(self.manifest.temperature))
        sentiments = softmax(outputs.sentiments)
        return [
            self._understanding(encoded, intents[row], outputs.tags[row], sentiments[row], today)
            for row, encoded in enumerate(batch)
        ]

    def _understanding(
        self, encoded: Encoded, intents: Floats, tags: Floats, sentiments: Floats, today: date
    ) -> Understanding:
        names = self.manifest.intents
        best = np.argsort(-intents, kind="stable")[:RANKED].tolist()
        ranking = tuple(IntentScore(name=names[number], confidence=float(intents[number])) for number in best)
        mood = int(sentiments.argmax())
        score = 1.0 - float(intents[self._in_scope].max())
        tagged = self._tags.decode(tags[: len(encoded)], encoded.spans)
        return Understanding(
            text=encoded.text,
            language=language_of(encoded.text),
            intent=ranking[0],
            ranking=ranking,
            entities=merge_entities(encoded.text, find_patterns(encoded.text, today), tagged),
            sentiment=Sentiment(label=self.manifest.sentiments[mood], confidence=float(sentiments[mood])),
            out_of_scope=OutOfScope(detected=score >= self.manifest.out_of_scope.threshold, score=score),
            model=self._ref,
        )


def _batches(encoded: Sequence[Encoded]) -> Iterator[list[int]]:
    """Places of texts of like length, so that little is padding."""
    batch: list[int] = []
    for place in sorted(range(len(encoded)), key=lambda place: len(encoded[place])):
        if batch and (len(batch) + 1) * len(encoded[place]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
