"""The form in which words are compared: normalised, and in simplified characters however they were written."""

from dataclasses import replace

from shared.nlu.normalisation import Normalised, normalise
from shared.nlu.traditional import simplified

__all__ = ["plain", "read"]


def read(written: str) -> Normalised:
    """What somebody wrote, as it is read; what is found in it can be shown in their own words."""
    normalised = normalise(written)
    text = simplified(normalised.text)
    return normalised if text == normalised.text else replace(normalised, text=text)


def plain(text: str) -> str:
    """A text to compare with what was read."""
    return read(text).text
