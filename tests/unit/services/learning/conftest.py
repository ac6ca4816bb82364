"""A tiny random encoder and a tiny assistant: everything that training needs, in seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

SENTENCES = {
    "refund": {"zh": "我要退款{}", "en": "refund me {}"},
    "track_order": {"zh": "快递到哪了{}", "en": "where is parcel {}"},
    "change_address": {"zh": "寄到[北京路{}号](address)", "en": "ship to [{} Elm Street](address)"},
    "out_of_scope": {"zh": "明天下雨吗{}", "en": "weather tomorrow {}"},
}
FEELINGS = {
    "negative": {"zh": "太差了{}", "en": "awful {}"},
    "neutral": {"zh": "查一下{}", "en": "please check {}"},
    "positive": {"zh": "真棒{}", "en": "great {}"},
}
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
FOREIGN = "яжщ"
UTTERANCES = 8

WriteAssistant = Callable[..., Path]


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT whose vocabulary is single characters, a few of them of no use here."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    texts = "".join(text for by_language in (*SENTENCES.values(), *FEELINGS.values()) for text in by_language.values())
    characters = sorted({*texts, *"abcdefghijklmnopqrstuvwxyz0123456789好的递?？:,", *FOREIGN})
    pieces = [(piece, 0.0) for piece in SPECIALS] + [(c, -3.0) for c in ("▁", *characters) if c != " "]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=1,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def write_assistant(encoder_folder: Path) -> WriteAssistant:
    """Writes an assistant with three intents; named arguments go into its training settings."""

    def write(folder: Path, **training: object) -> Path:
        settings = {
            "encoder": encoder_folder,
            "layers": 1,
            "frozen_layers": 0,
            "epochs": 2,
            "batch_size": 8,
            "max_tokens": 48,
        } | training
        lines = [
            "name: mini",
            "title: {zh: 小店, en: Mini}",
            "languages: [zh, en]",
            "default_language: zh",
            "entities: [address]",
            "training:",
            *(f"  {name}: {value}" for name, value in settings.items()),
        ]
        (folder / "nlu").mkdir(parents=True)
        (folder / "heldout").mkdir()
        (folder / "assistant.yml").write_text("\n".join(lines), encoding="utf-8")
        for intent, by_language in SENTENCES.items():
            text = f"intent: {intent}\nutterances:\n" + _listed(by_language, indent=2)
            (folder / "nlu" / f"{intent}.yml").write_text(text, encoding="utf-8")
        text = "sentiment:\n" + "".join(f"  {label}:\n{_listed(texts, indent=4)}" for label, texts in FEELINGS.items())
        (folder / "nlu" / "sentiment.yml").write_text(text, encoding="utf-8")
        (folder / "heldout" / "zh.yml").write_text(
            "- {text: 想退款, intent: refund, sentiment: negative}\n"
            "- {text: 快递呢, intent: track_order}\n"
            "- {text: 请寄到北京路5号, intent: change_address, entities: {address: 北京路5号}}\n"
            "- {text: 我要退款3！, intent: refund}\n"
            "- {text: 会下雨么, intent: out_of_scope}\n",
            encoding="utf-8",
        )
        (folder / "heldout" / "en.yml").write_text(
            "- {text: a refund please, intent: refund, sentiment: neutral}\n"
            "- {text: parcel status, intent: track_order}\n"
            "- {text: what weather, intent: out_of_scope}\n",
            encoding="utf-8",
        )
        return folder

    return write


def _listed(by_language: dict[str, str], indent: int) -> str:
    space = " " * indent
    return "".join(
        f"{space}{language}:\n" + "".join(f"{space}  - '{text.format(n)}'\n" for n in range(UTTERANCES))
        for language, text in by_language.items()
    )
