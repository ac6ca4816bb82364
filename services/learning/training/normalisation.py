"""Lets a model read Chinese however it is written: steps of its tokenizer, of which serving knows nothing."""

import struct
from collections.abc import Mapping
from functools import cache

from tokenizers import Regex, Tokenizer, normalizers

__all__ = ["character_map", "read_any_chinese", "simplified_characters"]

HAN = (0x3400, 0x9FFF)
SPACE_INSIDE_CHINESE = Regex(r"(?<=\p{Han}) +(?=\p{Han})")
LEAF = 1 << 8
VALUE = 1 << 31


@cache
def simplified_characters() -> Mapping[str, str]:
    """The simplified form of each traditional character, by OpenCC."""
    from opencc import OpenCC

    convert = OpenCC("t2s").convert
    forms = {character: convert(character) for character in map(chr, range(HAN[0], HAN[1] + 1))}
    # A rare form that is in no vocabulary is no help.
    return {old: new for old, new in forms.items() if new != old and len(new) == 1 and HAN[0] <= ord(new) <= HAN[1]}


def read_any_chinese(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer that takes traditional characters for simplified ones and sees no spaces between Chinese characters.

    The places of its tokens stay those of the text.
    """
    changed = Tokenizer.from_str(tokenizer.to_str())
    own = [] if changed.normalizer is None else [changed.normalizer]
    changed.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(character_map(simplified_characters())),
            *own,
            normalizers.Replace(SPACE_INSIDE_CHINESE, ""),
        ]
    )
    return changed


def character_map(forms: Mapping[str, str]) -> bytes:
    """The map in SentencePiece's binary form: the size of a double-array trie, the trie, and what its leaves point at.

    A look-up costs a few steps a character, however many there are; thousands of rules to replace a string would each
    walk through the whole text. A trie in Darts' form holds one unit of 32 bits a node: the last byte of a node is its
    label; `position ^ offset` is where its children begin, each at its own label; a node that ends a key has its value
    at label 0.
    """
    texts = bytearray()
    keys: list[tuple[bytes, int]] = []
    for old, new in sorted(forms.items()):
        keys.append((old.encode(), len(texts)))
        texts += new.encode() + b"\0"
    units = _trie(sorted(keys))
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(texts)


def _trie(keys: list[tuple[bytes, int]]) -> list[int]:
    units: dict[int, int] = {0: 0}
    begun: set[int] = set()
    free = 1

    def place(node: int, members: list[tuple[bytes, int]], depth: int) -> None:
        """Gives the children of `node`, the next bytes of its members, the first block of places that is free."""
        nonlocal free
        children: dict[int, list[tuple[bytes, int]]] = {}
        for key, value in members:
            children.setdefault(key[depth] if depth < len(key) else 0, []).append((key, value))
        base = free
        # A beginning is nobody else's: only so does a label tell whose child a place is.
        while base in begun or any(base ^ label in units for label in children):
            base += 1
        begun.add(base)
        while free in units or free in begun:
            free += 1
        for label in children:
            units[base ^ label] = label
        units[node] |= (node ^ base) << 10 | (LEAF if 0 in children else 0)
        for label, inside in children.items():
            if label:
                place(base ^ label, inside, depth + 1)
            else:
                units[base] = VALUE | inside[0][1]

    place(0, keys, 0)
    size = -(-(max(units) + 1) // 256) * 256
    return [units.get(number, 0) for number in range(size)]
