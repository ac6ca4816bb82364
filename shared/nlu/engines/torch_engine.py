"""PyTorch on a CUDA device, or on the CPU where there is none (which the others do better).

Only safetensors are read and nothing is unpickled. On a GPU the lower precision is autocast's: products of matrices are
computed in it, sums and norms are not.
"""

import torch

from shared.nlu.engines.runtime import Integers, Library, Outputs, Precision, available_cores
from shared.nlu.manifest import WEIGHTS, ModelRejected, NetworkSource
from shared.nlu.network import WeightsError, read_weights

__all__ = ["TorchEngine"]

GPU_STREAMS = 2
"""While the GPU computes a batch, another thread makes tokens for the next and entities of the last."""
LOWER = {"bf16": torch.bfloat16, "f16": torch.float16}


class TorchEngine:
    """`weights.safetensors` of a folder."""

    backend: Library = "torch"

    def __init__(self, source: NetworkSource, *, streams: int | None) -> None:
        manifest = source.manifest
        try:
            model = read_weights(source.file(WEIGHTS))
        except WeightsError as error:
            raise ModelRejected(f"{error}; train the model again, or serve it with OpenVINO or ONNX Runtime") from error
        for head, labels in (
            (model.intent_head, manifest.intents),
            (model.tag_head, manifest.tags),
            (model.sentiment_head, manifest.sentiments),
        ):
            if head.out_features != len(labels):
                raise ModelRejected(
                    f"model {manifest.name} {manifest.version}: "
                    f"the weights have {head.out_features} labels where the manifest has {len(labels)}"
                )
        self.lower: tuple[Precision, ...] = ()
        self._lower: torch.dtype | None = None
        if torch.cuda.is_available():
            self.device = "cuda"
            self.streams = streams or GPU_STREAMS
            self.lower = ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f16",)
        else:
            self.device = "cpu"
            self.streams = streams or available_cores()
            # As with OpenVINO: a stream is a thread, and those of a batch would fight for cores with the next one's.
            torch.set_num_threads(1)
        self._model = model.to(self.device)

    def compile(self, precision: Precision) -> None:
        if precision == "int8":
            raise ModelRejected("PyTorch does not compute in int8 here; OpenVINO and ONNX Runtime do")
        self._lower = LOWER.get(precision)

    def settle(self) -> None:
        """Nothing is kept for another precision."""

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        lower = torch.autocast(self.device, self._lower, enabled=self._lower is not None)
        try:
            with torch.inference_mode(), lower:
                found = self._model(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
        except torch.cuda.OutOfMemoryError:
            # What the allocator keeps for later may be what a smaller batch, or another process, lacks now.
            torch.cuda.empty_cache()
            raise
        every = (found.intents, found.tags, found.sentiments, found.embeddings)
        return Outputs(*(each.float().cpu().numpy() for each in every))
