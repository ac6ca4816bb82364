"""Tensors as the Open Inference Protocol v2 carries them: in JSON, or as binary data behind it.

The protocol: https://github.com/kserve/open-inference-protocol; its binary data extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Datatype", "Tensor", "TensorError", "bytes_elements", "row_major"]

Datatype = Literal["BOOL", "BYTES", "FP32"]

BINARY = {"BOOL": np.dtype("?"), "FP32": np.dtype("<f4")}
LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """A tensor whose data is not what it is said to be."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor: numbers as an array, texts (BYTES) as a flat sequence of strings."""

    name: str
    datatype: Datatype
    values: NDArray[Any] | Sequence[str]

    @property
    def shape(self) -> list[int]:
        """The size of each dimension."""
        return list(self.values.shape) if isinstance(self.values, np.ndarray) else [len(self.values)]

    def data(self) -> list[Any]:
        """The elements in row-major order, for JSON."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def binary(self) -> bytes:
        """The elements in row-major order, little-endian; each of BYTES after its length in four bytes."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype(BINARY[self.datatype]).tobytes()
        return b"".join(LENGTH.pack(len(each)) + each for each in (text.encode() for text in self.values))


def bytes_elements(raw: bytes, *, most: int) -> list[str]:
    """The texts of the binary form of a BYTES tensor.

    Raises:
        TensorError: it ends within an element, has more than `most` or holds no UTF-8.
    """
    texts: list[str] = []
    place = 0
    while place < len(raw):
        if len(texts) == most:
            raise TensorError(f"there are more than the {most} elements of its shape")
        if place + LENGTH.size > len(raw):
            raise TensorError(f"the length of element {len(texts)} is cut off")
        (length,) = LENGTH.unpack_from(raw, place)
        place += LENGTH.size
        if length > len(raw) - place:
            raise TensorError(f"element {len(texts)} should have {length} bytes and {len(raw) - place} are left")
        try:
            texts.append(raw[place : place + length].decode())
        except UnicodeDecodeError as error:
            raise TensorError(f"element {len(texts)} is not UTF-8") from error
        place += length
    return texts


def row_major(data: Sequence[Any], *, depth: int) -> Iterator[Any]:
    """The elements of a tensor in JSON, which may be flat or nested as deep as it has dimensions."""
    for each in data:
        if isinstance(each, list) and depth > 1:
            yield from row_major(each, depth=depth - 1)
        else:
            yield each
