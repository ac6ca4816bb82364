"""The table of answers, and the buttons and the order that its sentences are about."""

from collections.abc import Mapping
from pathlib import Path

import yaml

__all__ = ["ANSWERS", "NO", "ORDER", "SHOWN", "YES"]

ORDER = "20261103002"
SHOWN = (ORDER,)
YES = ("确认退款", "Yes, refund it")
NO = ("先不退", "Not now")

ANSWERS: Mapping[str, list[str]] = {
    name: [str(text) for text in texts]
    for name, texts in yaml.safe_load((Path(__file__).parent / "answers.yml").read_text(encoding="utf-8")).items()
}
