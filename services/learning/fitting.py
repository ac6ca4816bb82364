"""Makes a model of an assistant's utterances: encoder, vocabulary, training, export, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from services.learning.calibration import Calibration, calibrate
from services.learning.encoders import EncoderFiles
from services.learning.examples import Encoder, Labels, split
from services.learning.export import export_model
from services.learning.model import load_encoder
from services.learning.prediction import OnnxModel
from services.learning.progress import Epoch, Progress, Report
from services.learning.training import fit
from services.learning.vocabulary import prune
from shared.assistants import Assistant, Utterance
from shared.understander import Understander

__all__ = ["MadeModel", "fit_model"]

DROPOUT = 0.1


@dataclass(frozen=True)
class MadeModel:
    """What there is to say about a model whose files were written."""

    labels: Labels
    layers: int
    vocabulary: int
    calibration: Calibration
    history: tuple[Epoch, ...]
    training_utterances: int
    validation_utterances: int


def fit_model(assistant: Assistant, files: EncoderFiles, checkpoint: Path, folder: Path, progress: Report) -> MadeModel:
    """Trains from `checkpoint` or from the beginning and writes the model's files into `folder`."""
    settings = assistant.manifest.training
    # Another number of threads adds up in another order, and a training ends in another model.
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    labels = Labels.of(assistant.manifest, assistant.intents)
    full = Tokenizer.from_file(str(files.folder / "tokenizer.json"))
    vocabulary = prune(full, [settings.prefix + utterance.text for utterance in assistant.utterances])
    model = Understander(
        load_encoder(files.folder, vocabulary, layers=settings.layers, frozen_layers=settings.frozen_layers),
        intents=len(labels.intents),
        tags=len(labels.tags),
        sentiments=len(labels.sentiments),
        dropout=DROPOUT,
    )
    training, validation = split(assistant.utterances, settings.validation, settings.seed)
    encoder = Encoder(vocabulary.tokenizer, labels, settings.prefix, settings.max_tokens)
    fitted = fit(model, encoder, training, validation, settings, checkpoint=checkpoint, progress=progress)
    progress(Progress(stage="export", done=0, total=1))
    export_model(fitted.model, vocabulary.tokenizer, folder, prefix=settings.prefix, max_tokens=settings.max_tokens)
    exported = OnnxModel(folder, prefix=settings.prefix, max_tokens=settings.max_tokens)
    calibration = _calibrate(exported, labels, validation)
    progress(Progress(stage="export", done=1, total=1))
    return MadeModel(
        labels=labels,
        layers=model.layers,
        vocabulary=len(vocabulary.rows),
        calibration=calibration,
        history=fitted.history,
        training_utterances=len(training),
        validation_utterances=len(validation),
    )


def _calibrate(exported: OnnxModel, labels: Labels, validation: Sequence[Utterance]) -> Calibration:
    known = [(u.text, labels.intents.index(u.intent)) for u in validation if u.intent is not None]
    logits = exported.logits([text for text, _intent in known]).intents
    return calibrate(logits, np.array([intent for _text, intent in known]), labels.out_of_scope)
