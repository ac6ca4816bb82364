"""One assistant's model: texts in, what they mean out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.contracts.understanding import Understanding
from shared.nlu.answers import Answer, Task
from shared.nlu.engines.backends import Backend
from shared.nlu.engines.choice import open_runtime
from shared.nlu.engines.runtime import Precision
from shared.nlu.engines.thread_priority import give_way
from shared.nlu.interpretation import Interpreter
from shared.nlu.manifest import ModelManifest, ModelRejected, ModelSource, read_source
from shared.nlu.out_of_scope import CENTROIDS, NEED_CENTROIDS, Centroids
from shared.nlu.tokenizer import Encoded, load_tokenizer

__all__ = ["BATCH_TOKENS", "Model"]

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
        source: ModelSource[ModelManifest],
        *,
        streams: int | None = None,
        precision: Precision = "auto",
        backend: Backend = "openvino",
    ) -> None:
        manifest = source.manifest
        self.manifest: ModelManifest = manifest
        self.source = source
        self.digest = source.digest
        self.loaded_at = datetime.now(UTC)
        self._tokenizer = load_tokenizer(source)
        probes = [each.ids for each in self._tokenizer.encode(PROBES)]
        # The threads that an engine starts have the priority of the one that compiles.
        with ThreadPoolExecutor(1, initializer=give_way) as loader:
            self._runtime = loader.submit(
                open_runtime,
                source,
                backend,
                precision=precision,
                streams=streams,
                padding_id=self._tokenizer.padding_id,
                probes=probes,
            ).result()
        distance = manifest.out_of_scope.score in NEED_CENTROIDS
        self._interpreter = Interpreter(manifest, _centroids(source) if distance else None)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        streams: int | None = None,
        precision: Precision = "auto",
        backend: Backend = "openvino",
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
    def dimension(self) -> int:
        """The width of an embedding."""
        return self._runtime.dimension

    @property
    def neutral_id(self) -> int:
        """The token that stands where a word could be and says nothing."""
        return self._tokenizer.neutral_id

    @property
    def precision(self) -> str:
        """What the model computes in: `bf16`, `f16`, `f32` or `int8`."""
        return self._runtime.precision

    @property
    def backend(self) -> str:
        """The library that computes: `openvino`, `onnxruntime` or `torch`."""
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
                lambda batch: self.answer_batch(
                    [encoded[each] for each in batch], ["understand"] * len(batch), today=day
                ),
                batches,
            )
            for batch, found in zip(batches, answers, strict=True):
                for place, answer in zip(batch, found, strict=True):
                    results[place] = answer.understanding
        return [each for each in results if each is not None]

    def width(self, longest: int) -> int:
        """The tokens that each text of a batch costs when its longest has `longest`."""
        return self._runtime.width(longest)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The texts as tokens, cut to what the model reads."""
        return self._tokenizer.encode(texts)

    def answer_batch(self, batch: Sequence[Encoded], tasks: Sequence[Task], *, today: date) -> list[Answer]:
        """What is asked of each text, in one pass of the model over one padded batch."""
        outputs = self._runtime.infer([each.ids for each in batch])
        return self._interpreter.answers(batch, tasks, outputs, today=today)


def _centroids(source: ModelSource[ModelManifest]) -> Centroids:
    path = source.file(CENTROIDS)
    try:
        return Centroids.read(path)
    except (OSError, ValueError) as error:
        raise ModelRejected(f"{path} cannot be used: {error}") from error


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
