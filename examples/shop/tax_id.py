"""Chinese tax numbers and invoice titles: what a valid one looks like."""

import re
import unicodedata
from typing import Literal

__all__ = ["InvoiceProblem", "invoice_problem", "is_tax_id", "is_title", "normal_tax_id"]

InvoiceProblem = Literal["title_invalid", "tax_id_invalid"]

UNIFIED = re.compile(r"[0-9ABCDEFGHJKLMNPQRTUWXY]{18}")
REGISTRATION = re.compile(r"[0-9]{6}[0-9A-Z]{9}")
"""The number of before the unified code: six digits of the district, nine characters of the organisation."""

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
MODULUS = 31
BASE = 3

MIN_TITLE = 2
MAX_TITLE = 100


def normal_tax_id(text: str) -> str:
    """As it is printed: plain upper-case characters without the gaps that people type."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text)).upper()


def is_tax_id(text: str) -> bool:
    """Whether a normalised text is a unified social credit code (GB 32100, check character too) or an old number."""
    if REGISTRATION.fullmatch(text):
        return True
    return UNIFIED.fullmatch(text) is not None and text[-1] == _check_character(text[:-1])


def _check_character(body: str) -> str:
    total = sum(ALPHABET.index(character) * pow(BASE, place, MODULUS) for place, character in enumerate(body))
    return ALPHABET[-total % MODULUS]


def is_title(text: str) -> bool:
    """Whether a text can stand on an invoice as the buyer: of a fair length, printable, and with letters in it."""
    return (
        MIN_TITLE <= len(text) <= MAX_TITLE
        and all(character.isprintable() for character in text)
        and any(character.isalpha() for character in text)
    )


def invoice_problem(title: str | None, tax_id: str | None) -> InvoiceProblem | None:
    """What is wrong with an invoice's details; what was not given is not wrong."""
    if title is not None and not is_title(title):
        return "title_invalid"
    if tax_id is not None and not is_tax_id(normal_tax_id(tax_id)):
        return "tax_id_invalid"
    return None
