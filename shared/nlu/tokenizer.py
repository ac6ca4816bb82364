"""Texts to tokens, with the place in the text that each token came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from tokenizers import Tokenizer

from shared.nlu.manifest import TOKENIZER, ModelRejected, NetworkSource
from shared.nlu.normalisation import Normalised, normalise

__all__ = ["SHORT_CHARACTERS", "Encoded", "TextTokenizer", "load_tokenizer"]

SHORT_CHARACTERS = 256
"""Up to here, to hand the interpreter to another thread and to get it back costs more than the tokens."""
PADDING = ("<pad>", "[PAD]")
MASK = ("<mask>", "[MASK]")
UNKNOWN = ("<unk>", "[UNK]")
SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
"""Half characters, which no tokenizer and no JSON can carry, become the sign for an unreadable one."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as the model reads it: tokens and their places in it, (0, 0) for those of the frame and the prefix.

    `known` are the characters of the text's one form that are within tokens the model knows.
    """

    normalised: Normalised
    ids: Sequence[int]
    spans: Sequence[tuple[int, int]]
    known: frozenset[str]

    @property
    def text(self) -> str:
        """The text as it was written."""
        return self.normalised.written

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """A fast tokenizer that puts the model's prefix before each text and cuts what is too long."""

    def __init__(self, path: Path, *, prefix: str, max_tokens: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            # The library raises plain Exception for whatever it cannot read.
            raise ModelRejected(f"{path} is no tokenizer that can be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._prefix = prefix
        self.padding_id = self._first_known(PADDING, otherwise=0)
        self.neutral_id = self._first_known(MASK, otherwise=self.padding_id)
        """The token that stands where a word could be and says nothing."""
        self._unknown_id = self._first_known(UNKNOWN, otherwise=-1)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Each text's tokens; spans are in characters of the text itself, without the prefix."""
        return [self._encode(normalise(text.translate(SURROGATES))) for text in texts]

    def _first_known(self, tokens: Sequence[str], *, otherwise: int) -> int:
        known = (self._tokenizer.token_to_id(token) for token in tokens)
        return next((number for number in known if number is not None), otherwise)

    def _encode(self, normalised: Normalised) -> Encoded:
        text = normalised.text
        if len(text) <= SHORT_CHARACTERS:
            encoding = self._tokenizer.encode(self._prefix + text)
        else:
            # A batch of one: unlike `encode` it lets other threads run meanwhile, unlike larger ones it starts none.
            [encoding] = self._tokenizer.encode_batch([self._prefix + text])
        spans = self._spans(encoding.offsets, encoding.special_tokens_mask)
        known = frozenset[str]().union(
            *(
                text[start:end]
                for token, (start, end) in zip(encoding.ids, spans, strict=True)
                if token != self._unknown_id
            )
        )
        places = [normalised.place(start, end) if start < end else (0, 0) for start, end in spans]
        return Encoded(normalised, encoding.ids, places, known)

    def _spans(self, offsets: Sequence[tuple[int, int]], special: Sequence[int]) -> list[tuple[int, int]]:
        cut = len(self._prefix)
        return [
            (0, 0) if is_special or end <= cut else (max(start - cut, 0), end - cut)
            for (start, end), is_special in zip(offsets, special, strict=True)
        ]


_in_use: WeakValueDictionary[tuple[str, str, int], TextTokenizer] = WeakValueDictionary()


def load_tokenizer(source: NetworkSource) -> TextTokenizer:
    """The tokenizer of a model folder; the same object as long as another model has one of the same content.

    Versions of a model mostly share theirs, which takes a good part of a model's memory; and of each that is given
    back the library keeps half a megabyte.

    Raises:
        ModelRejected: the file is missing or no tokenizer.
    """
    manifest = source.manifest
    # Also where it is in memory: a folder that lacks a file is refused the same way whatever else is loaded.
    path = source.file(TOKENIZER)
    key = manifest.files[TOKENIZER], manifest.prefix, manifest.max_tokens
    found = _in_use.get(key)
    if found is None:
        found = TextTokenizer(path, prefix=manifest.prefix, max_tokens=manifest.max_tokens)
        _in_use[key] = found
    return found
