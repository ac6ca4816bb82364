"""Cuts a multilingual vocabulary down to what Chinese and English need, which is most of an encoder's size."""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

__all__ = ["Vocabulary", "part_characters", "prune"]

PARTED = r"\p{Han}|\p{P}"

HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
SHARED_CATEGORIES = "NPSZ"  # numbers, punctuation, symbols (with emoji), spaces: of no language


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and, for each of its pieces, the row that the piece had in the encoder's embedding."""

    tokenizer: Tokenizer
    rows: tuple[int, ...]


def prune(tokenizer: Tokenizer, texts: Iterable[str]) -> Vocabulary:
    """Keeps the pieces that can occur in Chinese or English, whether seen or not, and all that occur in `texts`.

    Only unigram vocabularies (SentencePiece) are cut: they alone still split every text well without the other pieces.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    model = content["model"]
    if model["type"] != "Unigram":
        return Vocabulary(tokenizer, tuple(range(tokenizer.get_vocab_size())))
    seen = {i for encoding in tokenizer.encode_batch(list(texts)) for i in encoding.ids}
    fixed = {token["id"] for token in content["added_tokens"]} | {model["unk_id"]}
    pieces: list[list[Any]] = model["vocab"]
    rows = tuple(
        row
        for row, (piece, _score) in enumerate(pieces)
        if row in fixed or row in seen or _of_chinese_or_english(piece)
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


def _of_chinese_or_english(piece: str) -> bool:
    """Whether all characters are ASCII, Han or of no language; a single Latin letter with an accent counts too."""
    plain = piece.replace("▁", "")
    if len(plain) == 1 and unicodedata.name(plain, "").startswith("LATIN"):
        return True
    return all(
        character.isascii()
        or any(low <= ord(character) <= high for low, high in HAN)
        or unicodedata.category(character)[0] in SHARED_CATEGORIES
        for character in plain
    )
