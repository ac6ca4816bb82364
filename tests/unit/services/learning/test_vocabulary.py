"""A pruned vocabulary: smaller, and the same for every text that matters."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from services.learning.vocabulary import prune


def load(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_keeps_chinese_english_and_what_is_of_no_language(encoder_folder: Path) -> None:
    full = load(encoder_folder)
    pruned = prune(full, [])
    assert len(pruned.rows) == full.get_vocab_size() - 3
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
