"""Whether a candidate may take the place of what is in production."""

from collections.abc import Mapping

__all__ = ["MARGIN", "shortcomings"]

MARGIN = 0.01
"""How much worse a candidate may be in any figure: on some hundred sentences less than this is chance."""
FIGURES = {
    "intent_accuracy": "intent accuracy",
    "intent_macro_f1": "macro-F1",
    "out_of_scope_auroc": "out-of-scope AUROC",
    "entity_f1": "entity F1",
    "sentiment_accuracy": "sentiment accuracy",
}


def shortcomings(
    candidate: Mapping[str, Mapping[str, float]], production: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Where a candidate is worse than production by more than the margin, in words; measured on the same sentences.

    Args:
        candidate: figures by language, as an evaluation sums them up; so for `production`.
    """
    return [
        f"{name} ({language}) is {candidate[language][key]:.4f}, in production it is {production[language][key]:.4f}"
        for language in candidate
        if language in production
        for key, name in FIGURES.items()
        if key in candidate[language]
        and key in production[language]
        and candidate[language][key] < production[language][key] - MARGIN
    ]
