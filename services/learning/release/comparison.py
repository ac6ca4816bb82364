"""How a version compares with the one that was in production before it: `comparison.json`, and a part of the card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from services.learning.release.gate import LEVEL, TOLERATED, Difference

__all__ = ["Comparison"]

FILE, CARD = "comparison.json", "card.md"
HEADING = "\n## Against production · 与在用版本相比\n"


class Comparison(BaseModel):
    """The differences in the figures that count; `against` is the version that was in production."""

    model_config = ConfigDict(frozen=True)

    against: str
    differences: tuple[Difference, ...]

    def shortcomings(self, compared: Mapping[str, str]) -> str:
        """Where the candidate is worse beyond chance, in words; empty where it may take the place of production.

        Args:
            compared: the figures by their names in words.
        """
        return "; ".join(
            f"{compared[each.figure]} ({each.part}) is {each.candidate:.4f}, in production it is "
            f"{each.production:.4f}: {each.points} points"
            for each in self.differences
            if each.worse
        )

    def unclear(self, compared: Mapping[str, str]) -> str:
        """The figures in which a loss that would matter cannot be ruled out, in words; empty where there are none."""
        return ", ".join(f"{compared[each.figure]} ({each.part})" for each in self.differences if each.unclear)

    def write(self, folder: Path, compared: Mapping[str, str]) -> None:
        """Writes it into a model folder, and a part of its card anew."""
        (folder / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
        card = folder / CARD
        before = card.read_text(encoding="utf-8").partition(HEADING)[0] if card.exists() else ""
        card.write_text(before + HEADING + self._section(compared), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Reads that of a model folder; None where there is none, or it is damaged."""
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _section(self, compared: Mapping[str, str]) -> str:
        parts = dict.fromkeys(each.part for each in self.differences)
        cells = {(each.part, each.figure): each.points for each in self.differences}
        rows = (
            f"| {name} | {' | '.join(cells.get((part, key), '') for part in parts)} |" for key, name in compared.items()
        )
        unclear = self.unclear(compared)
        lines = [
            f"Points above {self.against} on the same held-out rows. In brackets: what is left of it without chance,",
            f"by a paired bootstrap; each bound holds for all figures together with {LEVEL:.0%}. A version that is",
            "worse beyond chance is not put in production.",
            "",
            f"在相同的留出样本上比 {self.against} 高出的百分点；括号内是去除偶然因素后的范围（配对自助法，",
            f"每个界限对所有指标同时以 {LEVEL:.0%} 的把握成立）。确实变差、并非偶然的版本不会投入使用。",
            "",
        ]
        if unclear:
            lost = f"{100 * TOLERATED:g}"
            lines += [f"There are too few rows to rule out a loss of {lost} points in: {unclear}.", ""]
            lines += [f"样本太少，不能排除下降 {lost} 个百分点的指标：{unclear}。", ""]
        lines += [f"| | {' | '.join(parts)} |", f"|---|{'---:|' * len(parts)}", *rows, ""]
        return "\n".join(lines)
