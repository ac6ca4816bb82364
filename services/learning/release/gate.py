"""Whether a candidate may take the place of what is in production."""

from collections.abc import Mapping

from services.learning.artifacts.metrics import Figures

__all__ = ["MARGIN", "shortcomings"]

MARGIN = 0.01
"""How much worse a candidate may be in any figure: on some hundred examples less than this is chance."""


def shortcomings(candidate: Figures, production: Figures, compared: Mapping[str, str]) -> list[str]:
    """Where a candidate is worse than production by more than the margin, in words; measured on the same data.

    Args:
        candidate: figures by part, as they were measured; so for `production`.
        compared: the figures that count, each with its name in words; high is good.
    """
    return [
        f"{name} ({part}) is {candidate[part][key]:.4f}, in production it is {production[part][key]:.4f}"
        for part in candidate
        if part in production
        for key, name in compared.items()
        if key in candidate[part] and key in production[part] and candidate[part][key] < production[part][key] - MARGIN
    ]
