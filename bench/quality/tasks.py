"""The tasks: data, settings, what is measured, what it should reach, and what was published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.quality import data, measures
from bench.quality.crosswoz import read_crosswoz
from bench.quality.data import Parts
from bench.quality.measures import Measured
from services.learning.datasets.examples import Labels, neighbours_of
from shared.nlu.bio_tags import bio_tags
from shared.nlu.training_data import OUT_OF_SCOPE
from shared.nlu.training_settings import OutOfScopeSettings, TrainingSettings

__all__ = ["TASKS", "Reference", "Task", "labels_of"]

ENGLISH = TrainingSettings(
    encoder="all-MiniLM-L6-v2",
    layers=12,
    frozen_layers=0,
    variation=False,
    averaging=0.99,
    epochs=8,
    patience=8,
    batch_size=64,
    learning_rate=3e-4,
    max_tokens=64,
)
CHINESE = TrainingSettings(
    encoder="multilingual-e5-small",
    layers=12,
    frozen_layers=6,
    variation=False,
    averaging=0.99,
    epochs=4,
    patience=4,
    batch_size=64,
    learning_rate=2e-4,
    max_tokens=128,
)


@dataclass(frozen=True)
class Reference:
    """A figure that others reached, and who."""

    value: float
    by: str


@dataclass(frozen=True)
class Task:
    """`goals` and `references` are by the name of a figure; `home` says where the data can be had.

    With `refit` the validation part is learned too: the settings were chosen with it before.
    """

    name: str
    title: str
    folder: str
    home: str
    read: Callable[[Path], Parts]
    settings: TrainingSettings
    measure: Callable[[Measured], dict[str, float]]
    goals: Mapping[str, float] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    remark: str = ""
    refit: bool = False

    def parts(self, folder: Path) -> Parts:
        """What is learned, validated and tested, from a folder with the files as they are published."""
        parts = self.read(folder)
        return replace(parts, training=[*parts.training, *parts.validation]) if self.refit else parts


TASKS = (
    Task(
        name="banking77",
        title="BANKING77",
        folder="banking77",
        home="github.com/PolyAI-LDN/task-specific-datasets, banking_data",
        read=data.read_banking77,
        settings=ENGLISH.model_copy(update={"probe": True, "interpolation": 0.6, "encoder_dropout": 0.1, "epochs": 4}),
        refit=True,
        measure=measures.intents_only,
        goals={"accuracy": 93.7},
        references={"accuracy": Reference(93.66, "BERT-tuned, Casanueva et al. 2020")},
        remark="learns the validation part too, after the settings were chosen with it",
    ),
    Task(
        name="clinc150",
        title="CLINC150, full",
        folder="clinc150",
        home="github.com/clinc/oos-eval, data",
        read=data.read_clinc150,
        settings=ENGLISH.model_copy(
            update={
                "probe": True,
                "interpolation": 0.6,
                "learning_rate": 1e-4,
                "label_smoothing": 0.0,
                "epochs": 3,
                "out_of_scope": OutOfScopeSettings(score="combined"),
            }
        ),
        measure=measures.rejection,
        goals={"in-scope accuracy": 96.5, "out-of-scope AUROC": 0.982},
        references={
            "in-scope accuracy": Reference(96.9, "BERT trained with out-of-scope texts, Larson et al. 2019"),
        },
    ),
    Task(
        name="snips",
        title="SNIPS",
        folder="snips",
        home="github.com/monologg/JointBERT, data/snips",
        read=data.read_snips,
        settings=ENGLISH.model_copy(
            update={"tag_layers": "mixed", "encoder_dropout": 0.1, "epochs": 5, "learning_rate": 2e-4}
        ),
        measure=measures.intents_and_slots,
        goals={"intent accuracy": 98.6, "slot F1": 96.5},
        references={
            "intent accuracy": Reference(98.6, "JointBERT, Chen et al. 2019"),
            "slot F1": Reference(97.0, "JointBERT, Chen et al. 2019"),
            "whole frame": Reference(92.8, "JointBERT, Chen et al. 2019"),
        },
    ),
    Task(
        name="waimai",
        title="waimai_10k",
        folder="waimai_10k",
        home="github.com/SophonPlus/ChineseNlpCorpus, datasets/waimai_10k",
        read=data.read_waimai,
        settings=CHINESE.model_copy(
            update={"probe": True, "interpolation": 0.5, "frozen_layers": 0, "epochs": 3, "learning_rate": 1e-4}
        ),
        refit=True,
        measure=measures.sentiment,
        goals={"accuracy": 90.5},
        references={"accuracy": Reference(89.45, "TF-IDF of characters and logistic regression")},
        remark="no published split: 80/20, the same share of each label, seed 42; "
        "learns the validation part too, after the settings were chosen with it",
    ),
    Task(
        name="crosswoz",
        title="CrossWOZ acts",
        folder="crosswoz",
        home="github.com/thu-coai/CrossWOZ, data/crosswoz",
        read=read_crosswoz,
        settings=CHINESE.model_copy(
            update={
                "multi_intent": True,
                "label_smoothing": 0.0,
                "tag_layers": "mixed",
                "characters": True,
                "batch_size": 32,
                "epochs": 3,
                "learning_rate": 4e-4,
            }
        ),
        measure=measures.multi_intent_acts,
        references={
            "act F1": Reference(91.85, "BERTNLU without context, trained on 11 times as much, Zhu et al. 2020")
        },
        remark="trained on 450 dialogues of the validation part, the training part being too large to be at hand",
    ),
    Task(
        name="cais",
        title="CAIS",
        folder="cais",
        home="github.com/Adaxry/CM-Net, CAIS",
        read=data.read_cais,
        settings=CHINESE.model_copy(update={"tag_layers": "mixed", "characters": True}),
        measure=measures.intents_and_slots,
        references={
            "intent accuracy": Reference(94.56, "CM-Net, Liu et al. 2019"),
            "slot F1": Reference(86.16, "CM-Net, Liu et al. 2019"),
        },
    ),
    Task(
        name="finfe",
        title="FinFE",
        folder="finfe",
        home="github.com/ssymmetry/BBT-FinCUGE-Applications, FinCUGE_Publish/finfe",
        read=data.read_finfe,
        settings=CHINESE.model_copy(update={"epochs": 2}),
        measure=measures.sentiment,
        references={"accuracy": Reference(72.28, "TF-IDF of characters and logistic regression, 6,000 texts")},
        remark="measured on the published evaluation part; the test part has no labels",
    ),
)


def labels_of(parts: Parts) -> Labels:
    """What training and validation teach; what only the test part has cannot be learned, and counts as wrong."""
    known = (*parts.training, *parts.validation)
    intents = {intent for utterance in known for intent in utterance.intents}
    last = [OUT_OF_SCOPE] if OUT_OF_SCOPE in intents else []
    names = [*sorted(intents - {OUT_OF_SCOPE}), *last]
    tags = bio_tags(sorted({span.label for utterance in known for span in utterance.spans}))
    sentiments = tuple(sorted({utterance.sentiment for utterance in known if utterance.sentiment is not None}))
    # A head that a task does not need has one label, and nothing to learn.
    return Labels(tuple(names) or ("none",), tags, sentiments or ("none",), neighbours_of(known))
