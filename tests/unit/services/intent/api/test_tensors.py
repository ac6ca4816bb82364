import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intent.api.tensors import Tensor, TensorError, bytes_elements, row_major


@given(texts=st.lists(st.text(), max_size=8))
def test_texts_come_back_from_their_binary_form(texts: list[str]) -> None:
    assert bytes_elements(Tensor("t", "BYTES", texts).binary(), most=8) == texts


@given(raw=st.binary(max_size=64), most=st.integers(0, 4))
def test_any_bytes_are_texts_or_refused(raw: bytes, most: int) -> None:
    try:
        texts = bytes_elements(raw, most=most)
    except TensorError:
        return
    assert Tensor("t", "BYTES", texts).binary() == raw
    assert len(texts) <= most


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x01\x00\x00", "the length of element 0 is cut off"),
        (b"\x02\x00\x00\x00a", "element 0 should have 2 bytes and 1 are left"),
        (b"\xff\xff\xff\xffa", "element 0 should have 4294967295 bytes"),
        (b"\x01\x00\x00\x00a" * 3, "more than the 2 elements"),
        (b"\x01\x00\x00\x00\xff", "element 0 is not UTF-8"),
        (b"\x03\x00\x00\x00\xed\xa0\x80", "element 0 is not UTF-8"),
    ],
)
def test_binary_texts_that_cannot_be_are_refused(raw: bytes, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        bytes_elements(raw, most=2)


def test_numbers_are_little_endian_and_row_major() -> None:
    tensor = Tensor("t", "FP32", np.array([[1, 2], [3, 4]], np.float32))
    assert tensor.shape == [2, 2]
    assert tensor.data() == [1, 2, 3, 4]
    assert tensor.binary() == struct.pack("<4f", 1, 2, 3, 4)


def test_truths_are_a_byte_each() -> None:
    tensor = Tensor("t", "BOOL", np.array([True, False]))
    assert (tensor.data(), tensor.binary()) == ([True, False], b"\x01\x00")


def test_data_may_be_flat_or_nested() -> None:
    assert list(row_major(["a", "b"], depth=2)) == list(row_major([["a"], ["b"]], depth=2)) == ["a", "b"]
    assert list(row_major([["a"]], depth=1)) == [["a"]]
