"""A pruned vocabulary: smaller, and the same for every text that matters."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from services.learning.training.vocabulary import part_characters, prune

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def with_pieces(pieces: Iterable[str]) -> Tokenizer:
    """A tokenizer of these pieces, of which it takes the longest, and of single letters."""
    scored = [(piece, -1.0) for piece in pieces] + [(each, -20.0) for each in ("▁", "(", *LETTERS)]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *scored], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def kept(tokenizer: Tokenizer, texts: Iterable[str] = ()) -> set[str]:
    return set(prune(tokenizer, texts).tokenizer.get_vocab()) - {"<unk>", "▁", "(", *LETTERS}


def test_keeps_chinese_english_and_what_is_of_no_language(encoder_folder: Path) -> None:
    full = load(encoder_folder)
    pruned = prune(full, [])
    assert len(pruned.rows) == full.get_vocab_size() - 4  # three Cyrillic letters, a full-width mark
    for text in ("我要退款3", "where is parcel 7？", "好的"):
        assert pruned.tokenizer.encode(text).tokens == full.encode(text).tokens
        assert [pruned.rows[i] for i in pruned.tokenizer.encode(text).ids] == full.encode(text).ids


def test_drops_other_scripts_unless_they_are_used(encoder_folder: Path) -> None:
    full = load(encoder_folder)
    unknown = full.token_to_id("<unk>")
    assert unknown in prune(full, []).tokenizer.encode("яж").ids
    pruned = prune(full, ["яж"])
    assert unknown not in pruned.tokenizer.encode("яж").ids
    assert pruned.tokenizer.token_to_id("щ") is None


def test_of_latin_letters_only_pieces_of_english_words_stay() -> None:
    english = {"▁refund", "refund", "▁Refund", "▁REFUND", "Parcel", "▁deliver", "ies"}
    foreign = {"▁olarak", "▁profesional", "OLARAK", "▁refunD"}
    assert kept(with_pieces(english | foreign)) == english


def test_a_foreign_word_of_the_utterances_stays() -> None:
    assert kept(with_pieces(["▁olarak", "▁dunia"]), ["dunia"]) == {"▁dunia"}


def test_two_letters_stay_because_anything_may_be_mistyped_or_a_code() -> None:
    assert kept(with_pieces(["xq", "▁xq", "xqz", "7.5", "▁2026", "@@", "。", "👍", "é"])) == {
        *("xq", "▁xq", "7.5", "▁2026", "@@", "。", "👍", "é")
    }


def test_what_the_normaliser_replaces_is_not_kept() -> None:
    assert kept(with_pieces(["退款", "ＡＢ", "，", "①", "▁㎏"])) == {"退款"}


def test_special_tokens_still_frame_a_text(encoder_folder: Path) -> None:
    pruned = prune(load(encoder_folder), [])
    encoding = pruned.tokenizer.encode("退款")
    assert (encoding.tokens[0], encoding.tokens[-1]) == ("<s>", "</s>")
    assert encoding.special_tokens_mask[0] == encoding.special_tokens_mask[-1] == 1
    assert pruned.tokenizer.encode("ж").ids[2] == pruned.tokenizer.token_to_id("<unk>")


def test_leaves_other_kinds_of_vocabulary_alone() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "я": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert prune(tokenizer, []).rows == (0, 1)


def test_every_han_character_may_be_a_piece_of_its_own_at_its_place() -> None:
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("型的", -1.0), ("▁the", -1.0), *((each, -3.0) for each in "高型的,")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert "型的" in tokenizer.encode("高型的").tokens
    parted = part_characters(tokenizer).encode("高型的, the")
    assert parted.tokens == ["▁", "高", "型", "的", ",", "▁the"]
    assert parted.offsets[1:5] == [(0, 1), (1, 2), (2, 3), (3, 4)]
