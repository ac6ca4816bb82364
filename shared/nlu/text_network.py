"""An understanding network behind its tokenizer: texts in, logits and embeddings out; no calibration is needed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.nlu.engines.backends import Backend, libraries
from shared.nlu.engines.choice import open_runtime
from shared.nlu.engines.runtime import BATCH_TOKENS, Outputs, Precision
from shared.nlu.engines.thread_priority import give_way
from shared.nlu.manifest import NetworkManifest, NetworkSource, read_source
from shared.nlu.tokenizer import Encoded, load_tokenizer

__all__ = ["PROBES", "TextNetwork", "TextOutputs"]

PROBES = (
    "我的快递到哪了？", "我要退款，东西坏了", "帮我把地址改成北京市朝阳区建国路1号", "你们几点上班",
    "不对，是另一个订单", "开发票，抬头是上海知音科技有限公司", "算了", "明天会下雨吗", "我要投诉！", "谢谢",
    "where is my parcel", "I want my money back please", "change the address to 12 Main Street, Springfield",
    "can I talk to a person", "yes", "no, I meant the other one", "what is your return policy",
    "who won the football game last night", "this is terrible service", "hello there",
)  # fmt: skip
"""Texts of the kinds that customers write, to compare precisions with."""

Floats = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class TextOutputs:
    """What a network computed of texts, in their order.

    Logits of `intents` [texts, intents], `sentiments` [texts, 3] and `tags`, one [tokens, tags] for each text;
    `embeddings` [texts, width]; `encoded` are the tokens and their places.
    """

    encoded: tuple[Encoded, ...]
    intents: Floats
    tags: tuple[Floats, ...]
    sentiments: Floats
    embeddings: Floats


class TextNetwork:
    """A loaded and warmed network; its methods may be called from several threads."""

    def __init__(
        self, source: NetworkSource, *, streams: int | None = None, precision: Precision, backend: Backend
    ) -> None:
        """Loads the network of a verified folder; `streams` defaults to what suits the device.

        Raises:
            ModelRejected: the folder lacks a file or holds no such network.
        """
        self.manifest = source.manifest
        self.tokenizer = load_tokenizer(source)
        probes = [each.ids for each in self.tokenizer.encode(PROBES)]
        # The threads that an engine starts have the priority of the one that compiles.
        with ThreadPoolExecutor(1, initializer=give_way) as loader:
            self.runtime = loader.submit(
                open_runtime,
                source,
                backend,
                precision=precision,
                streams=streams,
                padding_id=self.tokenizer.padding_id,
                probes=probes,
            ).result()

    @classmethod
    def in_full_precision(cls, source: NetworkSource) -> Self:
        """The network as training wants it: computed in f32 by the first library that is installed."""
        return cls(source, precision="f32", backend=libraries(source)[0])

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Loads a model folder in full precision, whether it is calibrated or not.

        Raises:
            ModelRejected: the folder is not whole, not what its manifest says, or no model of this kind.
        """
        return cls.in_full_precision(read_source(folder, NetworkManifest))

    def infer(self, batch: Sequence[Encoded]) -> Outputs:
        """The outputs of one padded batch."""
        return self.runtime.infer([each.ids for each in batch])

    def compute(self, texts: Sequence[str]) -> TextOutputs:
        """The outputs of any number of texts, in batches of like length."""
        encoded = self.tokenizer.encode(texts)

        def rows(batch: list[Encoded]) -> list[tuple[Floats, Floats, Floats, Floats]]:
            found = self.infer(batch)
            tags = [found.tags[row, : len(each)] for row, each in enumerate(batch)]
            return list(zip(found.intents, tags, found.sentiments, found.embeddings, strict=True))

        every = self.in_batches(encoded, rows)
        intents, tags, sentiments, embeddings = zip(*every, strict=True) if every else ((), (), (), ())
        width = self.runtime.dimension
        return TextOutputs(
            tuple(encoded),
            np.array(intents, np.float32).reshape(-1, len(self.manifest.intents)),
            tuple(tags),
            np.array(sentiments, np.float32).reshape(-1, len(self.manifest.sentiments)),
            np.array(embeddings, np.float32).reshape(-1, width),
        )

    def in_batches(self, encoded: Sequence[Encoded], answer: Callable[[list[Encoded]], Sequence[T]]) -> list[T]:
        """What `answer` says of each text, in their order; it is asked for batches, by as many threads as streams."""
        results: dict[int, T] = {}
        batches = list(_batches(encoded))
        with ThreadPoolExecutor(self.runtime.streams) as pool:
            answers = pool.map(lambda batch: answer([encoded[each] for each in batch]), batches)
            for batch, found in zip(batches, answers, strict=True):
                results.update(zip(batch, found, strict=True))
        return [results[place] for place in range(len(encoded))]


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
