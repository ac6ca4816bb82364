"""Understanding as a kind of model: an assistant's utterances in, one network that says what a text means out."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.card import write_card
from services.learning.evaluation.evaluator import ALL, Evaluation, evaluate_predictor
from services.learning.evaluation.golden_set import CHECK_FILES, unseen_sentences, write_checks
from services.learning.kinds.kind import Extension, Fitted, Kind, Preliminary, Prepared, Workplace
from services.learning.progress import Progress, Report
from services.learning.training.encoders import EncoderFiles, encoder_identity, find_encoder
from shared.nlu.bio_tags import bio_tags
from shared.nlu.manifest import UNDERSTANDING, ModelError, ModelManifest, read_manifest
from shared.nlu.normalisation import normalise
from shared.nlu.training_data import TrainingData, load_training_data
from shared.nlu.training_settings import TrainingSettings

if TYPE_CHECKING:
    from services.learning.training.pipeline import ExportedModel

__all__ = ["Understanding"]

TRAINER = 5  # raise it when the same data and settings give another model
HEADS = 1  # the same for heads that are fitted alone


@dataclass(frozen=True)
class PreparedAssistant(Prepared):
    """An assistant with its utterances."""

    assistant: TrainingData


@dataclass(frozen=True, kw_only=True)
class FittedUnderstanding(Fitted):
    """A network that was trained, or extended; `write` writes its files into a folder."""

    write: "Callable[[Path], ExportedModel]"


class _HeadsAlone(Preliminary[PreparedAssistant, FittedUnderstanding]):
    """The heads fitted on the encoder as it came."""

    revision = HEADS

    def suffices(self, prepared: PreparedAssistant, folder: Path) -> bool:
        assistant, manifest = prepared.assistant, read_manifest(folder)
        tags = set(bio_tags(assistant.manifest.entities))
        return set(assistant.intents) <= set(manifest.intents) and tags <= set(manifest.tags)

    def fit(self, prepared: PreparedAssistant, place: Workplace, progress: Report) -> FittedUnderstanding:
        return _fit(prepared.assistant, place, progress, heads_only=True)


class _NewIntents(Extension[PreparedAssistant, FittedUnderstanding]):
    """New intents for a model that is there, whose encoder stays as it is."""

    def lacking(self, prepared: PreparedAssistant, base: Path) -> frozenset[str]:
        return frozenset(prepared.assistant.intents) - frozenset(read_manifest(base).intents)

    def fit(self, prepared: PreparedAssistant, base: Path, place: Workplace, progress: Report) -> FittedUnderstanding:
        _wait_without_spinning()
        from services.learning.training.few_shot import extend_model

        extended = extend_model(prepared.assistant, base, progress)
        return FittedUnderstanding(
            settings=_as_json(prepared.assistant.manifest.training),
            sizes=_sizes(extended.training_utterances, extended.validation_utterances),
            write=extended.export,
        )

    def learned(self, folder: Path, taught: frozenset[str]) -> dict[str, float]:
        evaluation = Evaluation.read(folder)
        if evaluation is None:
            return {}
        found = evaluation.parts[ALL].intents.per_intent
        return {name: found[name].f1 for name in sorted(taught) if name in found}


class Understanding(Kind[PreparedAssistant, FittedUnderstanding]):
    """Intents, entities, sentiment and out-of-scope of a text, by one encoder with several heads."""

    name = UNDERSTANDING
    data_file = "assistant.yml"
    manifest = ModelManifest
    measured = Evaluation
    compared: ClassVar[Mapping[str, str]] = {
        "intent_accuracy": "intent accuracy",
        "intent_macro_f1": "macro-F1",
        "out_of_scope_auroc": "out-of-scope AUROC",
        "entity_f1": "entity F1",
        "sentiment_accuracy": "sentiment accuracy",
    }
    libraries = ("torch", "transformers", "tokenizers", "onnxruntime")
    preliminary = _HeadsAlone()
    extension = _NewIntents()

    def prepare(self, folder: Path) -> PreparedAssistant:
        """Reads the assistant's files.

        Raises:
            AssistantError: one of them cannot be used.
        """
        assistant = load_training_data(folder)
        return PreparedAssistant(
            name=assistant.manifest.name,
            data_hash=assistant.data_hash,
            heldout_hash=assistant.heldout_hash if assistant.heldout else "",
            recipe=(assistant.data_hash, _as_json(assistant.manifest.training), TRAINER),
            assistant=assistant,
        )

    def ingredients(self, prepared: PreparedAssistant) -> Sequence[Any]:
        """The encoder.

        Raises:
            EncoderError: it is not what it should be.
        """
        return (encoder_identity(prepared.assistant.manifest.training.encoder),)

    def fit(self, prepared: PreparedAssistant, place: Workplace, progress: Report) -> FittedUnderstanding:
        """Fine-tunes the encoder with new heads.

        Raises:
            EncoderError: the encoder cannot be had.
        """
        return _fit(prepared.assistant, place, progress, heads_only=False)

    def export(self, prepared: PreparedAssistant, fitted: FittedUnderstanding, folder: Path) -> Mapping[str, Any]:
        """Writes network, weights, tokenizer and centroids, and calibrates on what the written network computes.

        Raises:
            ExportError: that differs from what was trained.
        """
        settings = prepared.assistant.manifest
        exported = fitted.write(folder)
        return {
            "languages": settings.languages,
            "encoder": exported.encoder,
            "max_tokens": settings.training.max_tokens,
            "prefix": settings.training.prefix,
            "intents": exported.labels.intents,
            "tags": exported.labels.tags,
            "neighbours": exported.labels.neighbours,
            "sentiments": exported.labels.sentiments,
            "temperature": exported.calibration.temperature,
            "out_of_scope": exported.calibration.rule,
            "multi_intent_threshold": exported.multi_intent_threshold,
            "symbols": _symbols(prepared.assistant),
        }

    def judge(self, prepared: PreparedAssistant, folder: Path) -> Evaluation:
        """Measures on the held-out sentences of known intents that are not among the training utterances.

        Raises:
            ConfigurationError: there are no such sentences, or of a language only in-scope ones.
        """
        from services.learning.evaluation.prediction import FolderPredictor

        assistant, manifest = prepared.assistant, read_manifest(folder)
        unseen = unseen_sentences(assistant)
        return evaluate_predictor(
            FolderPredictor(folder),
            [sentence for sentence in unseen if sentence.intent in manifest.intents],
            intents=manifest.intents,
            entities=assistant.manifest.entities,
            threshold=manifest.out_of_scope.threshold,
            heldout_hash=assistant.heldout_hash,
            seen_in_training=len(assistant.heldout) - len(unseen),
        )

    def evaluate(self, prepared: PreparedAssistant, folder: Path) -> Evaluation:
        """Measures on the held-out sentences that are not among the training utterances; writes card and report.

        Raises:
            ModelError: the model lacks an intent of a held-out sentence.
            ConfigurationError: there are no held-out sentences, or of a language only in-scope ones.
        """
        from services.learning.evaluation.report import write_report

        manifest = read_manifest(folder)
        if missing := {sentence.intent for sentence in prepared.assistant.heldout} - set(manifest.intents):
            raise ModelError(f"{folder} was trained without the intents {', '.join(sorted(missing))}; train it again")
        evaluation = self.judge(prepared, folder)
        record = TrainingRecord.read(folder)
        write_card(folder, manifest, record, evaluation)
        write_report(folder, manifest, record, evaluation)
        return evaluation

    def write_checks(self, prepared: PreparedAssistant, folder: Path) -> Sequence[str]:
        """Writes golden set and reference from the held-out sentences, or from utterances where there are none."""
        write_checks(prepared.assistant, folder, read_manifest(folder))
        return CHECK_FILES


def _fit(assistant: TrainingData, place: Workplace, progress: Report, *, heads_only: bool) -> FittedUnderstanding:
    _wait_without_spinning()
    from services.learning.training.pipeline import fit_model

    files = _encoder(assistant, place, progress)
    fitted = fit_model(assistant, files, place.folder / "checkpoint.pt", progress, heads_only=heads_only)
    return FittedUnderstanding(
        settings=_as_json(fitted.network.settings),
        sizes=_sizes(len(fitted.training), len(fitted.validation)),
        history=[epoch.model_dump() for epoch in fitted.network.history],
        write=fitted.export,
    )


def _symbols(assistant: TrainingData) -> tuple[str, ...]:
    texts = (normalise(each.text).text for each in assistant.utterances)
    alone = (text for text in texts if not any(map(str.isalnum, text)))
    return tuple(sorted({character for text in alone for character in text if not character.isspace()}))


def _wait_without_spinning() -> None:
    """Has to be called before torch is imported.

    Threads that wait by spinning take the cores that other programs, and their own partners, need: on a busy machine
    training was ten times slower. It counts when torch is loaded, which nothing else here needs.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _encoder(assistant: TrainingData, place: Workplace, progress: Report) -> EncoderFiles:
    wanted = assistant.manifest.training.encoder
    progress(Progress(stage="encoder", done=0, total=1, detail=wanted))
    files = find_encoder(wanted, place.home, place.encoders)
    progress(Progress(stage="encoder", done=1, total=1, detail=f"{files.name} from {files.source}"))
    return files


def _as_json(settings: TrainingSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _sizes(training: int, validation: int) -> dict[str, int]:
    return {"training_utterances": training, "validation_utterances": validation}
