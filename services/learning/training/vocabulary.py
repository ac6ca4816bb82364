"""Cuts a multilingual vocabulary down to what Chinese and English use, which is most of an encoder's size."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import nlargest
from typing import Any

from tokenizers import Tokenizer

__all__ = ["Vocabulary", "part_characters", "prune"]

PARTED = r"\p{Han}|\p{P}"

HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
SHARED_CATEGORIES = "NPSZ"  # numbers, punctuation, symbols (with emoji), spaces: of no language
ENGLISH_WORDS = 30_000
"""The most frequent ones. The next 20,000 are rare forms, whose 3,000 pieces would cost a service 4.5 MB."""
SHORT = 2
"""Letters of the pieces that stay even if no English word has them: of what is mistyped, abbreviated or a code."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and, for each of its pieces, the row that the piece had in the encoder's embedding."""

    tokenizer: Tokenizer
    rows: tuple[int, ...]


def prune(tokenizer: Tokenizer, texts: Iterable[str]) -> Vocabulary:
    """Keeps the pieces that Chinese or frequent English words use, whether seen or not, and all that occur in `texts`.

    Of Latin letters a multilingual vocabulary has mostly pieces of other languages; what the tokenizer's normaliser
    replaces in every text, as full-width forms, is never used. Only unigram vocabularies (SentencePiece) are cut: they
    alone still split every text well without the other pieces.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    model = content["model"]
    if model["type"] != "Unigram":
        return Vocabulary(tokenizer, tuple(range(tokenizer.get_vocab_size())))
    pieces: list[list[Any]] = model["vocab"]
    bare = [piece.replace("▁", "") for piece, _score in pieces]
    used = _used(tokenizer, list(texts)) | {token["id"] for token in content["added_tokens"]} | {model["unk_id"]}
    if any(_of_latin_letters(piece) for row, piece in enumerate(bare) if row not in used):
        used |= _used_by_english(tokenizer)
    rows = tuple(
        row
        for row, piece in enumerate(bare)
        if row in used
        or (_of_chinese_or_english(piece) and not _of_latin_letters(piece) and _normal(tokenizer, piece) == piece)
    )
    moved = {row: new for new, row in enumerate(rows)}
    model["vocab"] = [pieces[row] for row in rows]
    model["unk_id"] = moved[model["unk_id"]]
    content["added_tokens"] = [
        {**token, "id": moved[token["id"]]} for token in content["added_tokens"] if token["id"] in moved
    ]
    for processor in _processors(content.get("post_processor")):
        for special in processor.get("special_tokens", {}).values():
            special["ids"] = [moved[i] for i in special["ids"]]
    content["truncation"] = content["padding"] = None
    return Vocabulary(Tokenizer.from_str(json.dumps(content, ensure_ascii=False)), rows)


def part_characters(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer to which every Han character and every punctuation mark is a piece of its own.

    Pieces of several characters reach over the ends of entities: 型的 in 高档型的酒店, where 高档型 is the value.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    split = {"type": "Split", "pattern": {"Regex": PARTED}, "behavior": "Isolated", "invert": False}
    before = content["pre_tokenizer"]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*([before] if before else []), split]}
    return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))


def _processors(processor: dict[str, Any] | None) -> list[dict[str, Any]]:
    if processor is None:
        return []
    return processor.get("processors", []) if processor["type"] == "Sequence" else [processor]


def _used(tokenizer: Tokenizer, texts: Sequence[str]) -> set[int]:
    return {i for encoding in tokenizer.encode_batch_fast(texts) for i in encoding.ids}


def _used_by_english(tokenizer: Tokenizer) -> set[int]:
    """The pieces of frequent words as they are written at the beginning, inside and in front of a sentence, or shouted.

    After a bracket a word has no space before it, for which most vocabularies have pieces of their own.
    """
    forms = ((word, word.capitalize(), word.upper()) for word in _frequent_words())
    return _used(tokenizer, [" ".join([*each, *(f"({form}" for form in each)]) for each in forms])


@cache
def _frequent_words() -> tuple[str, ...]:
    from spellchecker import SpellChecker

    counts = SpellChecker(language="en").word_frequency.dictionary
    return tuple(nlargest(ENGLISH_WORDS, sorted(counts), key=lambda word: counts[word]))


def _of_latin_letters(piece: str) -> bool:
    """Whether it could be of any language that is written in Latin letters."""
    return len(piece) > SHORT and piece.isascii() and piece.isalpha()


def _normal(tokenizer: Tokenizer, text: str) -> str:
    return text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)


def _of_chinese_or_english(piece: str) -> bool:
    """Whether all characters are ASCII, Han or of no language; a single Latin letter with an accent counts too."""
    if len(piece) == 1 and unicodedata.name(piece, "").startswith("LATIN"):
        return True
    return all(
        character.isascii()
        or any(low <= ord(character) <= high for low, high in HAN)
        or unicodedata.category(character)[0] in SHARED_CATEGORIES
        for character in piece
    )
