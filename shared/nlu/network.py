"""The trained network: what training makes and the PyTorch back end of serving computes.

It needs torch, so only those two import it. Weights are kept as safetensors together with the encoder's configuration;
nothing is unpickled, and no code but the installed library's is run.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import ConfigurationError

__all__ = ["HeadOutputs", "Understander", "WeightsError", "read_weights", "write_weights"]

ENCODER = "encoder"
"""The entry of the file's metadata that holds the encoder's configuration as JSON."""
HEADS = ("intent_head", "tag_head", "sentiment_head")
MIXED = 3  # the layers that a token's tag may be seen from


class WeightsError(ConfigurationError):
    """A file of weights that no network can be made of."""


@dataclass(frozen=True)
class HeadOutputs:
    """Logits: intents [texts, intents], tags [texts, tokens, tags], sentiments [texts, 3]; embeddings [texts, width].

    An embedding is the mean over the text's tokens, of any length.
    """

    intents: Tensor
    tags: Tensor
    sentiments: Tensor
    embeddings: Tensor


class Understander(nn.Module):
    """Intents and sentiment from the mean over the tokens, tags from each token.

    With `mixed_tags` a token's tag is seen from its word vector, the middle and the last layer, else from the last.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        intents: int,
        tags: int,
        sentiments: int,
        dropout: float,
        mixed_tags: bool = False,
    ) -> None:
        super().__init__()
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # type: ignore[assignment]  # the mean takes its place
        self.encoder = encoder
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr,arg-type]
        self.dropout = nn.Dropout(dropout)
        self.intent_head = nn.Linear(width, intents)
        self.mixed_tags = mixed_tags
        self.tag_head = nn.Linear(width * (MIXED if mixed_tags else 1), tags)
        self.sentiment_head = nn.Linear(width, sentiments)
        # Only while the network learns: what maps the embedding to hints. It is no part of what is written.
        self.regressor: nn.Linear | None = None

    @property
    def layers(self) -> int:
        """How many layers the encoder has."""
        return int(self.encoder.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> HeadOutputs:
        found = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=self.mixed_tags or None
        )
        states: Tensor = found.last_hidden_state
        layers: tuple[Tensor, ...] = found.hidden_states if self.mixed_tags else ()
        seen = torch.cat((layers[0], layers[len(layers) // 2], states), -1) if self.mixed_tags else states
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        dropped = self.dropout(pooled)
        return HeadOutputs(
            intents=self.intent_head(dropped),
            tags=self.tag_head(self.dropout(seen)),
            sentiments=self.sentiment_head(dropped),
            embeddings=pooled,
        )


def write_weights(model: Understander, path: Path) -> None:
    """Writes everything that `read_weights` needs to make the network again."""
    from safetensors.torch import save_file

    config: Any = model.encoder.config
    save_file(
        {name: weights.contiguous() for name, weights in model.state_dict().items()},
        path,
        metadata={ENCODER: config.to_json_string(use_diff=True)},
    )
    path.chmod(0o644)  # the library lets only the owner read it


def read_weights(path: Path) -> Understander:
    """The network on the CPU in single precision, ready to answer but not to learn; its attention is the fused one.

    Raises:
        WeightsError: the file is no such file, or was written before the encoder's configuration was kept in it.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel
    from transformers.initialization import no_init_weights

    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(ENCODER)
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error
    if described is None:
        raise WeightsError(f"{path} does not say which encoder it is for: it is older than that entry")
    try:
        config = AutoConfig.for_model(**json.loads(described))
        # Random weights would take seconds to draw, only to be written over.
        with no_init_weights():
            encoder = AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32)  # type: ignore[no-untyped-call]
        intents, tags, sentiments = (weights[f"{head}.bias"].shape[0] for head in HEADS)
        model = Understander(
            encoder,
            intents=intents,
            tags=tags,
            sentiments=sentiments,
            dropout=0.0,
            mixed_tags=weights["tag_head.weight"].shape[1] != weights["intent_head.weight"].shape[1],
        )
        # Word vectors are kept in half precision.
        model.load_state_dict({name: values.float() for name, values in weights.items()}, assign=True)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not hold the weights that its encoder needs: {error}") from error
    return model.eval().requires_grad_(False)
