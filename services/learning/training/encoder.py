"""The pretrained encoder as training takes it: shortened, with fewer words, and partly frozen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from services.learning.training.encoders import EncoderError
from services.learning.training.vocabulary import Vocabulary
from shared.nlu.training_settings import TrainingSettings

__all__ = ["add_adapters", "load_encoder", "merge_adapters"]


def load_encoder(folder: Path, vocabulary: Vocabulary, settings: TrainingSettings) -> nn.Module:
    """The pretrained encoder with the rows of `vocabulary` only and at most its first `layers` layers.

    The word vectors learn only if `frozen_words` is off and no layer is frozen; with `frozen_layers` nothing below the
    rest learns.
    """
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder)
    # Dropout inside the encoder costs a third of a training step on a CPU, so it is off unless asked for.
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, settings.encoder_dropout)
    # Eager attention: twice as fast as the fused one on texts this short, and every exporter knows it.
    with _quiet_loading():
        encoder: Any = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, attn_implementation="eager", use_safetensors=True
        )
    words = encoder.get_input_embeddings()
    if len(vocabulary.rows) != words.num_embeddings:
        kept = words.weight.detach()[list(vocabulary.rows)].clone()
        encoder.set_input_embeddings(_embedding(kept))
        encoder.config.vocab_size = len(vocabulary.rows)
    stack = _shortened(encoder, settings.layers)
    if settings.frozen_layers:
        encoder.requires_grad_(False)
        for layer in stack[settings.frozen_layers :]:
            layer.requires_grad_(True)
    # Words that the utterances lack stay where they are while the others move: unless there are many utterances,
    # better that none moves.
    if settings.frozen_words:
        encoder.get_input_embeddings().weight.requires_grad_(False)
    return encoder  # type: ignore[no-any-return]


def add_adapters(encoder: nn.Module, settings: TrainingSettings) -> nn.Module:
    """The encoder with low-rank adapters at every matrix of the layers that are not frozen; only they learn."""
    from peft import LoraConfig, get_peft_model

    matrices = [
        name for name, part in encoder.named_modules() if isinstance(part, nn.Linear) and part.weight.requires_grad
    ]
    config = LoraConfig(r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules=matrices)
    with warnings.catch_warnings():
        # The library asks the model for a property by its old name.
        warnings.filterwarnings("ignore", category=FutureWarning, message="`is_gradient_checkpointing`")
        return get_peft_model(encoder, config)


def merge_adapters(encoder: nn.Module) -> nn.Module:
    """The encoder with what its adapters learned added to its own matrices: no adapter is left."""
    return encoder.merge_and_unload()  # type: ignore[operator,no-any-return]


def _embedding(rows: Tensor) -> nn.Embedding:
    return nn.Embedding(rows.shape[0], rows.shape[1], _weight=rows)


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Without a bar of its own and without remarks on the pooler, which is not used."""
    from transformers import utils

    logging: Any = utils.logging
    level = logging.get_verbosity()
    shown = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _shortened(encoder: Any, layers: int) -> nn.ModuleList:
    """The encoder's list of layers, after those above `layers` were cut off."""
    total = encoder.config.num_hidden_layers
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == total:
                kept = child[:layers]
                setattr(module, name, kept)
                encoder.config.num_hidden_layers = len(kept)
                return kept
    raise EncoderError(f"{type(encoder).__name__} has no list of {total} layers that could be shortened")
