"""What a model folder carries for its server: the golden set, and a summary of the answers after training."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

from services.learning.evaluation.prediction import FolderPredictor
from shared.nlu.golden_set import GOLDEN, REFERENCE, GoldenSet, GoldenText, Reference
from shared.nlu.manifest import ModelManifest
from shared.nlu.training_data import HeldOut, TrainingData, Utterance, comparable

__all__ = ["CHECK_FILES", "unseen_sentences", "write_checks"]

CHECK_FILES = (GOLDEN, REFERENCE)
GOLDEN_TEXTS = 200


def unseen_sentences(assistant: TrainingData) -> list[HeldOut]:
    """The held-out sentences that nobody wrote into the training utterances as well."""
    known = {(utterance.language, comparable(utterance.text)) for utterance in assistant.utterances}
    return [each for each in assistant.heldout if (each.language, comparable(each.text)) not in known]


def write_checks(assistant: TrainingData, folder: Path, manifest: ModelManifest) -> None:
    """Writes both files, from the held-out sentences, or from the utterances where there are none."""
    sentences: Sequence[HeldOut | Utterance] = unseen_sentences(assistant) or assistant.utterances
    wanted = [(each.text, each.intent) for each in sentences if each.intent in manifest.intents]
    predictions = FolderPredictor(folder).predict([text for text, _ in wanted])
    answers = [
        (manifest.intents[best], float(each.intents[best])) for each in predictions for best in (each.intents.argmax(),)
    ]
    Reference.of(manifest.intents, answers).write(folder / REFERENCE)
    chosen = _spread([intent for _, intent in wanted])
    right = sum(answers[place][0] == wanted[place][1] for place in chosen)
    GoldenSet(
        texts=tuple(GoldenText(text=wanted[place][0], intent=wanted[place][1]) for place in chosen),
        accuracy=right / len(chosen),
    ).write(folder / GOLDEN)


def _spread(intents: Sequence[str]) -> list[int]:
    """Places of some sentences, in turn one of each intent."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, intent in enumerate(intents):
        places[intent].append(place)
    turns = chain.from_iterable(zip_longest(*places.values()))
    return sorted([place for place in turns if place is not None][:GOLDEN_TEXTS])
