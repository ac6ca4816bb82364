"""Heads that start from a logistic regression know the training texts before anything of the encoder has changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.learning.encoders import find_encoder
from services.learning.examples import Labels
from services.learning.fitting import fit_network
from services.learning.prediction import Logits
from services.learning.progress import Progress
from shared.assistants import Utterance
from shared.training_settings import TrainingSettings

LABELS = Labels(("refund", "track", "out_of_scope"), ("O",), ("negative", "positive"))
TEXTS = {"a": "refund", "b": "track", "ab": "refund", "ba": "track", "c": "out_of_scope"}
ASKED = [Utterance(text, "en", intent) for text, intent in TEXTS.items()]
FELT = [Utterance("d", "en", sentiment="negative"), Utterance("e", "en", sentiment="positive")]


class Stopped(Exception):
    """Stands for a process that is killed."""


def logits(encoder: Path, folder: Path, *, stop_in: int = 0, **changes: Any) -> Logits:
    """What a network answers about the texts that it was trained on, at a rate at which nothing moves."""
    settings = TrainingSettings(
        encoder=str(encoder), variation=False, frozen_layers=0, epochs=2, batch_size=8, learning_rate=1e-12,
        label_smoothing=0.0, max_tokens=8, threads=1,
    ).model_copy(update=changes)  # fmt: skip

    def report(progress: Progress) -> None:
        if progress.detail.startswith(f"epoch {stop_in} "):
            raise Stopped

    folder.mkdir(exist_ok=True)
    network = fit_network(
        find_encoder(str(encoder), folder),
        LABELS,
        [*ASKED, *FELT] * 4,
        [*ASKED, *FELT],
        settings,
        checkpoint=folder / "checkpoint.pt",
        folder=folder,
        progress=report,
    )
    return network.exported.logits([utterance.text for utterance in (*ASKED, *FELT)])


@pytest.mark.parametrize("several", [False, True])
def test_what_was_probed_is_known_from_the_start(encoder_folder: Path, tmp_path: Path, several: bool) -> None:
    wanted = [LABELS.intents.index(intent) for intent in TEXTS.values()]
    plain = logits(encoder_folder, tmp_path / "plain", multi_intent=several)
    assert plain.intents[: len(wanted)].argmax(1).tolist() != wanted
    probed = logits(encoder_folder, tmp_path / "probed", multi_intent=several, probe=True)
    assert probed.intents[: len(wanted)].argmax(1).tolist() == wanted
    assert probed.sentiments[len(wanted) :].argmax(1).tolist() == [0, 1]
    np.testing.assert_allclose(probed.embeddings, plain.embeddings, atol=1e-4)


def test_a_stopped_training_goes_on_with_the_heads_that_it_had(encoder_folder: Path, tmp_path: Path) -> None:
    whole = logits(encoder_folder, tmp_path / "whole", probe=True, learning_rate=1e-3)
    with pytest.raises(Stopped):
        logits(encoder_folder, tmp_path / "stopped", probe=True, learning_rate=1e-3, stop_in=2)
    resumed = logits(encoder_folder, tmp_path / "stopped", probe=True, learning_rate=1e-3)
    np.testing.assert_allclose(resumed.intents, whole.intents, atol=1e-4)
