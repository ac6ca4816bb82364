"""Writes the model card: what a model is for, what it is made of, how good it is and where it fails."""

from pathlib import Path

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.evaluator import ALL, Evaluation
from services.learning.evaluation.robustness import Robustness, read_robustness
from shared.nlu.manifest import ModelManifest
from shared.nlu.out_of_scope import ScopeRule
from shared.nlu.training_settings import TrainingSettings

__all__ = ["write_card"]

HEADINGS = {
    "sentences": "Sentences",
    "intent_accuracy": "Intent accuracy",
    "intent_macro_f1": "Intent macro-F1",
    "out_of_scope_auroc": "Out-of-scope AUROC",
    "out_of_scope_auroc_probability": "… by probability",
    "out_of_scope_auroc_energy": "… by energy",
    "out_of_scope_auroc_distance": "… by distance",
    "out_of_scope_auroc_combined": "… by energy and distance",
    "out_of_scope_recall": "Out of scope found",
    "out_of_scope_false_alarms": "False out-of-scope alarms",
    "calibration_error": "Calibration error (ECE)",
    "entity_f1": "Entity F1",
    "sentiment_accuracy": "Sentiment accuracy",
}


def write_card(folder: Path, manifest: ModelManifest, record: TrainingRecord, evaluation: Evaluation) -> None:
    """Writes `card.md`."""
    (folder / "card.md").write_text(_card(folder, manifest, record, evaluation), encoding="utf-8")


def _card(folder: Path, manifest: ModelManifest, record: TrainingRecord, evaluation: Evaluation) -> str:
    encoder, settings, sizes = manifest.encoder, record.settings_as(TrainingSettings), record.sizes
    weakest = sorted(evaluation.parts[ALL].intents.per_intent.items(), key=lambda item: item[1].f1)[:5]
    return f"""# {manifest.name} {manifest.version}

Says what a customer means, in one pass: intent, entities ({", ".join(_entities(manifest)) or "none"}), sentiment,
and whether it is out of scope. Languages: {", ".join(manifest.languages)}.
Made {manifest.created_at:%Y-%m-%d %H:%M} UTC.

## Made of

- Encoder: {encoder.name} ({encoder.source}, SHA-256 `{encoder.digest}`),
  {encoder.layers} layers and {encoder.vocabulary:,} vocabulary pieces; the lowest {settings.frozen_layers}
  layers and the pieces' vectors were not trained.
- Data: {sizes["training_utterances"]} utterances for training and {sizes["validation_utterances"]} for validation,
  data hash `{manifest.data_hash}`.
- Training: {len(record.history)} of at most {settings.epochs} epochs, learning rate {settings.learning_rate:g},
  batches of {settings.batch_size}, label smoothing {settings.label_smoothing:g}, seed {settings.seed}.
- Calibration on validation: temperature {manifest.temperature:g}; {_rejection(manifest.out_of_scope)}.

## Measured

On held-out sentences that had no part in training, tuning or calibration; {evaluation.seen_in_training} that also occur
among the training utterances are left out. An in-scope sentence that is taken for out of scope counts as a mistake.
Computed as it is served, by {evaluation.engine}; entities are those of patterns and model together.

{_table(evaluation)}
{_robustness(read_robustness(folder))}
Weakest intents by F1: {", ".join(f"{name} ({scores.f1:.2f})" for name, scores in weakest)}.

## Use and limits

For routing messages in customer service of this assistant, together with its flows, which confirm before anything is
done. Not for decisions about people. Sentences in other languages, long texts (more than {manifest.max_tokens} tokens
are cut off) and topics far from the training utterances are where it errs; when unsure, the assistant asks back.
"""


def _entities(manifest: ModelManifest) -> list[str]:
    return [tag[2:] for tag in manifest.tags if tag.startswith("B-")]


def _robustness(robustness: Robustness | None) -> str:
    if robustness is None:
        return ""
    drops = ", ".join(f"{name.replace('_', ' ')} {100 * d['all'].drop:.1f}" for name, d in robustness.drops.items())
    return f"\nPoints of intent accuracy lost when sentences are written in another way: {drops}.\n"


def _rejection(rule: ScopeRule) -> str:
    stated = f", set to let {100 * rule.false_accept:g} % of such texts through" if rule.false_accept else ""
    return f"out of scope from a score of {rule.threshold:g} by {rule.score}{stated}"


def _table(evaluation: Evaluation) -> str:
    summary = evaluation.summary()
    lines = [f"| | {' | '.join(summary)} |", f"|---|{'---:|' * len(summary)}"]
    for key, heading in HEADINGS.items():
        cells = [_cell(key, part[key]) if key in part else "" for part in summary.values()]
        if any(cells):
            lines.append(f"| {heading} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(key: str, value: float) -> str:
    return f"{value:.0f}" if key == "sentences" else f"{value:.3f}"
