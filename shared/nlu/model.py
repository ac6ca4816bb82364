"""One assistant's model: texts in, what they mean out."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from shared.contracts.understanding import Understanding
from shared.nlu.answers import Answer, Task
from shared.nlu.engines.backends import Backend
from shared.nlu.engines.runtime import Precision
from shared.nlu.interpretation import Interpreter
from shared.nlu.manifest import ModelManifest, ModelRejected, ModelSource, read_source
from shared.nlu.out_of_scope import CENTROIDS, NEED_CENTROIDS, Centroids
from shared.nlu.text_network import TextNetwork
from shared.nlu.tokenizer import Encoded

__all__ = ["Model"]


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
        self._network = TextNetwork(source, streams=streams, precision=precision, backend=backend)
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
        return self._network.runtime.streams

    @property
    def dimension(self) -> int:
        """The width of an embedding."""
        return self._network.runtime.dimension

    @property
    def neutral_id(self) -> int:
        """The token that stands where a word could be and says nothing."""
        return self._network.tokenizer.neutral_id

    @property
    def precision(self) -> str:
        """What the model computes in: `bf16`, `f16`, `f32` or `int8`."""
        return self._network.runtime.precision

    @property
    def backend(self) -> str:
        """The library that computes: `openvino`, `onnxruntime` or `torch`."""
        return self._network.runtime.backend

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        return self._network.runtime.device

    def understand(self, texts: Sequence[str], *, today: date | None = None) -> list[Understanding]:
        """What each text means, in the order given; `today` is what relative dates are seen from."""
        answers = self.answers(texts, today=today)
        return [each.understanding for each in answers if each.understanding is not None]

    def answers(self, texts: Sequence[str], *, task: Task = "understand", today: date | None = None) -> list[Answer]:
        """What the model says of any number of texts, in the order given; arguments as of `understand`."""
        day = today or datetime.now(UTC).date()
        return self._network.in_batches(
            self.encode(texts), lambda batch: self.answer_batch(batch, [task] * len(batch), today=day)
        )

    def width(self, longest: int) -> int:
        """The tokens that each text of a batch costs when its longest has `longest`."""
        return self._network.runtime.width(longest)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The texts as tokens, cut to what the model reads."""
        return self._network.tokenizer.encode(texts)

    def answer_batch(self, batch: Sequence[Encoded], tasks: Sequence[Task], *, today: date) -> list[Answer]:
        """What is asked of each text, in one pass of the model over one padded batch."""
        outputs = self._network.infer(batch)
        return self._interpreter.answers(batch, tasks, outputs, today=today)


def _centroids(source: ModelSource[ModelManifest]) -> Centroids:
    path = source.file(CENTROIDS)
    try:
        return Centroids.read(path)
    except (OSError, ValueError) as error:
        raise ModelRejected(f"{path} cannot be used: {error}") from error
