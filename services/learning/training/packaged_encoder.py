"""Reads the packaged 4-bit encoder (an "E5S1" container) into a Hugging Face folder that can be trained.

The container holds, little-endian and in this order: a header of sizes, the pieces of a SentencePiece unigram
vocabulary with their scores, a map that normalises code points, a directory of tensors, and the tensors. Matrices are
in blocks of 32 weights: one half-precision scale, then 16 bytes of which the low halves are weights 0-15 and the high
halves 16-31, each weight stored plus 8.
"""

import json
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigurationError

__all__ = ["Container", "ContainerError", "read_container", "write_encoder"]

MAGIC = b"E5S1"
BLOCK = 32
FLOAT32, FOUR_BIT = 0, 1
SPECIALS = ("bos", "pad", "eos", "unk")

Floats = NDArray[np.float32]


class ContainerError(ConfigurationError):
    """The file is not a container that can be read."""


@dataclass(frozen=True)
class Container:
    """The contents of a container; `tensors` maps a name to its weights, flat."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    specials: Mapping[str, int]
    pieces: tuple[str, ...]
    scores: Floats
    normalisation: Mapping[int, str]
    tensors: Mapping[str, Floats]


class _Cursor:
    """A position in the file that moves as values are taken."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values

    def bytes(self, count: int) -> bytes:
        taken = bytes(self.data[self.at : self.at + count])
        if len(taken) != count:
            raise struct.error("the file ends too early")
        self.at += count
        return taken


def read_container(path: Path) -> Container:
    """Reads and checks a container; raises ContainerError when it is none or is cut short."""
    data = memoryview(path.read_bytes())
    if bytes(data[:4]) != MAGIC:
        raise ContainerError(f"{path}: not an E5S1 container")
    try:
        return _read(_Cursor(data))
    except (struct.error, ValueError, IndexError) as error:
        raise ContainerError(f"{path}: damaged container: {error}") from None


def _read(cursor: _Cursor) -> Container:
    cursor.bytes(4)
    version, hidden, layers, heads, intermediate, vocabulary, positions, types = cursor.take("8i")
    epsilon, block = cursor.take("fi")
    if version != 1 or block != BLOCK:
        raise ValueError(f"version {version} with blocks of {block} is not known")
    count, *special_ids = cursor.take("5i")
    bos, eos, pad, unk = special_ids
    (blob_length,) = cursor.take("Q")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count).astype(np.float32)
    blob = cursor.bytes(blob_length)
    pieces = tuple(blob[offsets[i] : offsets[i + 1]].decode() for i in range(count))
    entries, _length = cursor.take("iI")
    normalisation: dict[int, str] = {}
    for _ in range(entries):
        code_point, outputs = cursor.take("IB")
        normalisation[code_point] = "".join(map(chr, cursor.take(f"{outputs}I")))
    (directory,) = cursor.take("i")
    tensors: dict[str, Floats] = {}
    for _ in range(directory):
        (name_length,) = cursor.take("H")
        name = cursor.bytes(name_length).decode()
        kind, weights, offset, size = cursor.take("BIQQ")
        tensors[name] = _weights(cursor.data[offset : offset + size], kind, weights, size)
    return Container(
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
        epsilon=float(epsilon),
        specials={"bos": bos, "pad": pad, "eos": eos, "unk": unk},
        pieces=pieces,
        scores=scores,
        normalisation=normalisation,
        tensors=tensors,
    )


def _weights(raw: memoryview, kind: int, count: int, size: int) -> Floats:
    if len(raw) != size:
        raise ValueError("a tensor lies outside the file")
    if kind == FLOAT32:
        return np.frombuffer(raw, "<f4").astype(np.float32)
    if kind != FOUR_BIT:
        raise ValueError(f"a tensor of unknown type {kind}")
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, 2 + BLOCK // 2)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    halves = blocks[:, 2:]
    weights = np.empty((len(blocks), BLOCK), np.float32)
    weights[:, : BLOCK // 2] = halves & 0x0F
    weights[:, BLOCK // 2 :] = halves >> 4
    weights -= 8.0
    weights *= scales
    return weights.reshape(-1)


def write_encoder(container: Container, folder: Path) -> None:
    """Writes `config.json`, `model.safetensors` and `tokenizer.json` of a BertModel into an existing folder."""
    from safetensors.numpy import save_file

    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": container.hidden,
        "num_hidden_layers": container.layers,
        "num_attention_heads": container.heads,
        "intermediate_size": container.intermediate,
        "vocab_size": container.vocabulary,
        "max_position_embeddings": container.positions,
        "type_vocab_size": container.types,
        "hidden_act": "gelu",
        "layer_norm_eps": container.epsilon,
        "pad_token_id": container.specials["pad"],
        "dtype": "float32",
    }
    save_file(_state(container), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    _tokenizer(container).save(str(folder / "tokenizer.json"))


def _state(container: Container) -> dict[str, Floats]:
    """The tensors under the names and in the shapes that BertModel expects."""
    wide, inner = container.hidden, container.intermediate
    tensors = container.tensors
    types = np.zeros((container.types, wide), np.float32)
    known = tensors["emb.type"].reshape(-1, wide)
    types[: len(known)] = known
    state = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].reshape(container.vocabulary, wide),
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(container.positions, wide),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
    }
    matrices = {
        "q": ("attention.self.query", (wide, wide)),
        "k": ("attention.self.key", (wide, wide)),
        "v": ("attention.self.value", (wide, wide)),
        "ao": ("attention.output.dense", (wide, wide)),
        "fi": ("intermediate.dense", (inner, wide)),
        "fo": ("output.dense", (wide, inner)),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(container.layers):
        for short, (name, shape) in matrices.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = tensors[f"l{layer}.{short}.w"].reshape(shape)
            state[f"encoder.layer.{layer}.{name}.bias"] = tensors[f"l{layer}.{short}.b"]
        for short, name in norms.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = tensors[f"l{layer}.{short}.w"]
            state[f"encoder.layer.{layer}.{name}.bias"] = tensors[f"l{layer}.{short}.b"]
    return state


def _tokenizer(container: Container) -> Any:
    """A fast tokenizer that splits as the encoder's own SentencePiece model does."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    scored = [(piece, float(score)) for piece, score in zip(container.pieces, container.scores, strict=True)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=container.specials["unk"]))
    tokenizer.normalizer = normalizers.Sequence(
        [
            *(
                normalizers.Replace(Regex(_one_of(codes)), replacement)
                for replacement, codes in _beyond_nfkc(container.normalisation).items()
            ),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    named = {name: container.pieces[container.specials[name]] for name in SPECIALS}
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in named.values()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{named['bos']} $A {named['eos']}",
        special_tokens=[(named[name], container.specials[name]) for name in ("bos", "eos")],
    )
    return tokenizer


def _one_of(codes: list[int]) -> str:
    return "[" + "".join(f"\\x{{{code:X}}}" for code in codes) + "]"


def _beyond_nfkc(normalisation: Mapping[int, str]) -> dict[str, list[int]]:
    """What the map does that Unicode's NFKC does not: code points by their replacement (control characters, spaces)."""
    found: dict[str, list[int]] = {}
    for code_point, replacement in normalisation.items():
        if unicodedata.normalize("NFKC", chr(code_point)) != replacement:
            found.setdefault(replacement, []).append(code_point)
    return found
