import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.actions import ActionReference
from shared.queue.references import read_reference

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "tenant", "name"]) | st.text(), inner),
)


def test_a_reference_is_read_as_it_was_written() -> None:
    reference = ActionReference(id="c1.0", tenant="default")
    assert read_reference(reference.model_dump_json().encode()) == reference


@pytest.mark.parametrize(
    "entry",
    [
        b"", b"not json", b"null", b"[]", b"{}", b"7", b"\xff", b"[" * 100_000, b"\x00",
        b'{"id": "a"}', b'{"tenant": "default"}', b'{"id": 1, "tenant": "default"}', b'{"id": "", "tenant": "default"}',
        b'{"id": "a b", "tenant": "default"}', b'{"id": "a", "tenant": "*"}',
        b'{"id": "a\\u0000", "tenant": "default"}',
        b'{"id": "' + b"a" * 65 + b'", "tenant": "default"}', b'{"id": "a", "tenant": "default"}' + b" " * 1000,
    ],
)  # fmt: skip
def test_what_is_no_reference_is_nothing(entry: bytes) -> None:
    assert read_reference(entry) is None


@given(entry=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_can_be_written_raises(entry: bytes) -> None:
    reference = read_reference(entry)
    assert reference is None or reference.tenant != "*"
