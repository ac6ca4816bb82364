from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.tokenizer import TextTokenizer, load_tokenizer
from tests.models import write_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    path = write_model(tmp_path_factory.mktemp("home")) / "tokenizer.json"
    return TextTokenizer(path, prefix="query: ", max_tokens=12)


def test_spans_are_places_in_the_text_without_the_prefix(tokenizer: TextTokenizer) -> None:
    [encoded] = tokenizer.encode(["退款 hello"])
    # <s> and the two tokens of the prefix before, </s> after.
    assert list(encoded.spans) == [(0, 0), (0, 0), (0, 0), (0, 1), (1, 2), (3, 8), (0, 0)]
    assert len(encoded) == 7


def test_long_texts_are_cut(tokenizer: TextTokenizer) -> None:
    [encoded] = tokenizer.encode(["退款" * 100])
    assert len(encoded) == 12


def test_padding_is_the_tokenizers_own(tokenizer: TextTokenizer) -> None:
    assert tokenizer.padding_id == 1


def test_half_characters_become_unreadable_ones(tokenizer: TextTokenizer) -> None:
    [encoded] = tokenizer.encode(["退\ud800款"])
    assert encoded.text == "退\ufffd款"


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_texts_have_spans_within_them(tokenizer: TextTokenizer, texts: list[str]) -> None:
    encoded = tokenizer.encode(texts)
    assert [each.text for each in encoded] == texts
    for each in encoded:
        assert len(each.ids) == len(each.spans) <= 12
        assert all(0 <= start <= end <= len(each.text) for start, end in each.spans)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"not json"])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ModelRejected, match="is no tokenizer"):
        TextTokenizer(path, prefix="", max_tokens=8)


def test_versions_share_a_tokenizer_as_long_as_one_uses_it(tmp_path: Path) -> None:
    one, same = (load_tokenizer(read_source(write_model(tmp_path / name))) for name in ("one", "same"))
    assert one is same
    other = load_tokenizer(read_source(write_model(tmp_path / "other", prefix="passage: ")))
    assert other is not one
