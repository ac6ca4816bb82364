"""Makes a model of an assistant's utterances: encoder, vocabulary, training, export, calibration."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from services.learning.artifacts.folders import digest_of
from services.learning.datasets.examples import Encoder, Labels, split
from services.learning.evaluation.calibration import Answers, Calibration, calibrate, find_centroids
from services.learning.progress import Report
from services.learning.training.distillation import Teacher, teacher_settings
from services.learning.training.encoder import add_adapters, load_encoder, merge_adapters
from services.learning.training.encoders import EncoderFiles
from services.learning.training.export import NETWORK_FILES, export_model
from services.learning.training.frozen_heads import fit_heads, heads_only_settings
from services.learning.training.hint_regression import Hints, pretrained_embeddings
from services.learning.training.linear_probe import probe
from services.learning.training.normalisation import read_any_chinese
from services.learning.training.objective import Objective
from services.learning.training.trainer import Epoch, Fitted, fit
from services.learning.training.vocabulary import Vocabulary, part_characters, prune
from shared.nlu.intents import best_threshold, intent_probabilities
from shared.nlu.manifest import EncoderFacts, ModelSource, NetworkManifest
from shared.nlu.network import Understander
from shared.nlu.out_of_scope import CENTROIDS
from shared.nlu.text_network import TextNetwork
from shared.nlu.training_data import TrainingData, Utterance
from shared.nlu.training_settings import TrainingSettings

__all__ = [
    "ExportedModel",
    "FittedModel",
    "LearnedNetwork",
    "Network",
    "answers_of",
    "fit_model",
    "fit_network",
]

DROPOUT = 0.1
WHOLE = 48  # layers at most, so all of an encoder's


@dataclass(frozen=True)
class Network:
    """A network that was trained and exported, and how that went."""

    exported: TextNetwork
    layers: int
    vocabulary: int
    history: tuple[Epoch, ...]


@dataclass(frozen=True)
class LearnedNetwork:
    """A network that was trained and is not written yet.

    `embeddings` are those of the training utterances, [texts, width], where fitting needed them anyway.
    """

    files: EncoderFiles
    labels: Labels
    settings: TrainingSettings
    model: Understander
    vocabulary: Vocabulary
    history: tuple[Epoch, ...]
    embeddings: Tensor | None = None

    @property
    def encoder(self) -> EncoderFacts:
        """The encoder that it was made from, and what was kept of it."""
        return EncoderFacts(
            name=self.files.name,
            layers=self.model.layers,
            vocabulary=len(self.vocabulary.rows),
            digest=self.files.digest,
            source=self.files.source,
        )

    def export(self, folder: Path) -> TextNetwork:
        """Writes the network and its tokenizer into `folder` and loads them as they are served.

        Raises:
            ExportError: what was written computes something else.
        """
        labels, settings = self.labels, self.settings
        export_model(
            self.model, self.vocabulary.tokenizer, folder, prefix=settings.prefix, max_tokens=settings.max_tokens
        )
        manifest = NetworkManifest(
            name="draft",
            version="draft",
            created_at=datetime.now(UTC),
            files={name: digest_of(folder / name) for name in NETWORK_FILES},
            languages=(),
            encoder=self.encoder,
            max_tokens=settings.max_tokens,
            prefix=settings.prefix,
            intents=labels.intents,
            tags=labels.tags,
            neighbours=labels.neighbours,
            sentiments=labels.sentiments,
        )
        return TextNetwork.in_full_precision(ModelSource(folder, manifest, digest=""))


@dataclass(frozen=True)
class ExportedModel:
    """What a manifest says about a model whose files were written.

    From `multi_intent_threshold` on a text expresses an intent; None where it expresses only the best.
    """

    labels: Labels
    encoder: EncoderFacts
    calibration: Calibration
    multi_intent_threshold: float | None


@dataclass(frozen=True)
class FittedModel:
    """A network that was trained on an assistant's utterances, and those utterances."""

    network: LearnedNetwork
    training: Sequence[Utterance]
    validation: Sequence[Utterance]

    def export(self, folder: Path) -> ExportedModel:
        """Writes the model's files into `folder`; calibrated on what the written network computes.

        Raises:
            ExportError: what was written computes something else.
        """
        labels, settings = self.network.labels, self.network.settings
        exported = self.network.export(folder)
        if self.network.embeddings is None:
            learned = answers_of(exported, labels, self.training)
        else:
            # Computing them once more would take as long as the heads took.
            learned = _embedded(self.network.embeddings, labels, self.training)
        centroids = find_centroids(learned, labels.out_of_scope)
        centroids.write(folder / CENTROIDS)
        validated = answers_of(exported, labels, self.validation)
        calibration = calibrate(
            validated, labels.out_of_scope, settings.out_of_scope, centroids, several=settings.multi_intent
        )
        threshold = None
        if settings.multi_intent and validated.expressed is not None:
            probabilities = intent_probabilities(validated.logits, calibration.temperature, several=True)
            threshold = best_threshold(probabilities, validated.expressed)
        return ExportedModel(labels, self.network.encoder, calibration, threshold)


def fit_network(
    files: EncoderFiles,
    labels: Labels,
    training: Sequence[Utterance],
    validation: Sequence[Utterance],
    settings: TrainingSettings,
    *,
    checkpoint: Path,
    folder: Path,
    progress: Report,
) -> Network:
    """Trains from `checkpoint` or from the beginning and writes the network and its tokenizer into `folder`."""
    learned = _learn(files, labels, training, validation, settings, checkpoint, progress, heads_only=False)
    exported = learned.export(folder)
    return Network(exported, learned.encoder.layers, learned.encoder.vocabulary, learned.history)


def fit_model(
    assistant: TrainingData, files: EncoderFiles, checkpoint: Path, progress: Report, *, heads_only: bool = False
) -> FittedModel:
    """Trains from `checkpoint` or from the beginning.

    Args:
        heads_only: fit the heads on the encoder as it came.
    """
    settings = assistant.manifest.training
    if heads_only:
        settings = heads_only_settings(settings)
    training, validation = split(assistant.utterances, settings.validation, settings.seed)
    network = _learn(
        files, Labels.of(assistant), training, validation, settings, checkpoint, progress, heads_only=heads_only
    )
    return FittedModel(network, training, validation)


def _learn(
    files: EncoderFiles,
    labels: Labels,
    training: Sequence[Utterance],
    validation: Sequence[Utterance],
    settings: TrainingSettings,
    checkpoint: Path,
    progress: Report,
    *,
    heads_only: bool,
) -> LearnedNetwork:
    # Another number of threads adds up in another order, and a training ends in another model.
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    full = read_any_chinese(Tokenizer.from_file(str(files.folder / "tokenizer.json")))
    full.no_padding()
    full.no_truncation()
    if settings.characters:
        full = part_characters(full)
    vocabulary = prune(full, [settings.prefix + utterance.text for utterance in (*training, *validation)])
    encoder = Encoder(vocabulary.tokenizer, labels, settings.prefix, settings.max_tokens)

    def learned(by: TrainingSettings, checkpoint: Path, teacher: Teacher | None = None) -> Fitted:
        model = _network(files, vocabulary, labels, by)
        if by.multi_intent:
            _begin_as_rare(model, labels, training)
        if by.probe:
            examples = encoder.encode(training)
            probe(model, Objective(by, labels, examples), examples)
        hints = None
        if by.hint_weight:
            whole = load_encoder(files.folder, vocabulary, by.model_copy(update={"layers": WHOLE}))
            hints = Hints(pretrained_embeddings(whole, encoder.encode(training)), by.hint_weight)
        fitted = fit(
            model, encoder, training, validation, by,
            checkpoint=checkpoint, progress=progress, teacher=teacher, hints=hints,
        )  # fmt: skip
        if by.method == "lora":
            fitted.model.encoder = merge_adapters(fitted.model.encoder)
        return fitted

    teacher, embeddings = None, None
    if heads_only:
        model = _network(files, vocabulary, labels, settings)
        examples = encoder.encode(training)
        embeddings = fit_heads(model, Objective(settings, labels, examples), examples, progress)
        fitted = Fitted(model, ())
    else:
        if (distillation := settings.distillation) is not None:
            older = teacher_settings(settings, distillation)
            elder = learned(older, checkpoint.with_name(f"teacher-{checkpoint.name}"))
            teacher = Teacher(elder.model, distillation, several=settings.multi_intent)
        fitted = learned(settings, checkpoint, teacher)
    return LearnedNetwork(files, labels, settings, fitted.model, vocabulary, fitted.history, embeddings)


def _network(files: EncoderFiles, vocabulary: Vocabulary, labels: Labels, settings: TrainingSettings) -> Understander:
    """The pretrained encoder with new heads, ready to learn."""
    model = Understander(
        load_encoder(files.folder, vocabulary, settings),
        intents=len(labels.intents),
        tags=len(labels.tags),
        sentiments=len(labels.sentiments),
        dropout=DROPOUT,
        mixed_tags=settings.tag_layers == "mixed",
    )
    if settings.method == "lora":
        model.encoder = add_adapters(model.encoder, settings)
    return model


def _begin_as_rare(model: Understander, labels: Labels, training: Sequence[Utterance]) -> None:
    """Each of several intents begins as likely as it is in training (Lin et al. 2017), where one half is the rule.

    To get from there to one in a thousand takes the bias of an intent some thousand steps.
    """
    taught = [utterance for utterance in training if utterance.intent is not None]
    counts = Counter(intent for utterance in taught for intent in utterance.intents)
    shares = torch.tensor([(counts[name] + 1) / (len(taught) + 2) for name in labels.intents])
    with torch.no_grad():
        model.intent_head.bias.copy_(shares.logit())


def answers_of(exported: TextNetwork, labels: Labels, utterances: Sequence[Utterance]) -> Answers:
    """What the network computes of the utterances that have an intent, and which they have."""
    known = [(u, labels.intents.index(u.intent)) for u in utterances if u.intent is not None]
    outputs = exported.compute([utterance.text for utterance, _intent in known])
    expressed = np.array([[name in utterance.intents for name in labels.intents] for utterance, _intent in known])
    return Answers(outputs.intents, outputs.embeddings, np.array([intent for _u, intent in known]), expressed)


def _embedded(embeddings: Tensor, labels: Labels, utterances: Sequence[Utterance]) -> Answers:
    """The embeddings of the utterances that have an intent, and which they have; nothing has logits."""
    known = [(row, labels.intents.index(u.intent)) for row, u in enumerate(utterances) if u.intent is not None]
    rows = embeddings[[row for row, _intent in known]].numpy()
    return Answers(np.empty((len(known), 0), np.float32), rows, np.array([intent for _row, intent in known]))
