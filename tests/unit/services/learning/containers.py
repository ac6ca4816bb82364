"""A packaged encoder of a few hundred weights, packed as the format wants it."""

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["HIDDEN", "LAYERS", "PIECES", "POSITIONS", "container_bytes"]

HIDDEN, INNER, LAYERS, POSITIONS = 32, 64, 1, 8
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "好", "▁a", "fi", "<mask>"]
NORMALISATION = {0x07: [], 0x200B: [0x20], 0xFB01: [ord("f"), ord("i")]}

Floats = NDArray[np.float32]


def quantised(rows: int, columns: int, seed: int) -> tuple[bytes, Floats]:
    """Random weights as the format packs them, and what they should be read as."""
    draw = np.random.default_rng(seed)
    levels = draw.integers(0, 16, (rows * columns // 32, 32), dtype=np.uint8)
    scales = draw.uniform(0.01, 0.1, len(levels)).astype("<f2")
    packed = b"".join(
        scale.tobytes() + bytes(int(low) | int(high) << 4 for low, high in zip(row[:16], row[16:], strict=True))
        for scale, row in zip(scales, levels, strict=True)
    )
    weights = (levels.astype(np.float32) - 8) * scales.astype(np.float32)[:, None]
    return packed, weights.reshape(rows, columns)


def container_bytes() -> tuple[bytes, dict[str, Floats]]:
    """A container, and the weights that should be read from it."""
    plain: dict[str, Floats] = {}
    packed: dict[str, tuple[int, int, bytes]] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        data, plain[name] = quantised(rows, columns, seed=len(packed))
        packed[name] = (1, rows * columns, data)

    def vector(name: str, *shape: int) -> None:
        plain[name] = np.random.default_rng(len(packed)).normal(size=shape).astype("<f4")
        packed[name] = (0, plain[name].size, plain[name].tobytes())

    matrix("emb.word", len(PIECES), HIDDEN)
    vector("emb.pos", POSITIONS, HIDDEN)
    vector("emb.type", 1, HIDDEN)
    for name in ("emb.ln.w", "emb.ln.b"):
        vector(name, HIDDEN)
    shapes = dict.fromkeys(("q", "k", "v", "ao"), (HIDDEN, HIDDEN)) | {
        "fi": (INNER, HIDDEN),
        "fo": (HIDDEN, INNER),
    }
    for short, (rows, columns) in shapes.items():
        matrix(f"l0.{short}.w", rows, columns)
        vector(f"l0.{short}.b", rows)
    for short in ("aln", "oln"):
        vector(f"l0.{short}.w", HIDDEN)
        vector(f"l0.{short}.b", HIDDEN)

    encoded = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, encoded)]).astype("<u4")
    rules = b"".join(struct.pack(f"<IB{len(out)}I", code, len(out), *out) for code, out in NORMALISATION.items())
    head = b"E5S1" + struct.pack("<8i", 1, HIDDEN, LAYERS, 2, INNER, len(PIECES), POSITIONS, 2)
    head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1]))
    head += offsets.tobytes() + np.linspace(-1, -5, len(PIECES), dtype="<f4").tobytes() + b"".join(encoded)
    head += struct.pack("<iI", len(NORMALISATION), len(rules)) + rules + struct.pack("<i", len(packed))
    size = len(head) + sum(2 + len(name) + 21 for name in packed)
    directory, body = b"", b""
    for name, (kind, count, data) in packed.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, count, size + len(body), len(data))
        body += data
    return head + directory + body, plain
