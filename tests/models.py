"""Tiny models for tests: a real ONNX network and tokenizer in a real model folder, whose answers can be foretold.

Every character or word of the vocabulary votes for an intent, a tag and a sentiment; the network takes the mean.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from services.intent.kinds.understanding.served import UnderstandingKind, UnderstandingModel
from shared.nlu.answers import Answer, Task
from shared.nlu.manifest import read_source
from shared.nlu.model import Model
from shared.nlu.tokenizer import Encoded
from tests.kept import ROOT, digest_of, kept

if TYPE_CHECKING:
    from shared.nlu.network import Understander

__all__ = [
    "INTENTS",
    "SENTIMENTS",
    "TAGS",
    "GatedModel",
    "describe",
    "random_network",
    "replace_file",
    "served",
    "write_exported_model",
    "write_model",
]

INTENTS = ("track_order", "refund", "greet", "out_of_scope")
TAGS = ("O", "B-address", "I-address", "B-company", "I-company")
SENTIMENTS = ("negative", "neutral", "positive")

VOTES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "intents": {
        "track_order": ("快", "递", "parcel", "where"),
        "refund": ("退", "款", "refund", "money"),
        "greet": ("你", "好", "hello"),
        "out_of_scope": ("雨", "股", "weather", "football"),
    },
    "tags": {
        "B-address": ("北", "elm"),
        "I-address": ("京", "市", "路", "号", "1", "street"),
        "B-company": ("acme", "知"),
        "I-company": ("inc", "音", "司"),
    },
    "sentiments": {
        "negative": ("坏", "terrible"),
        "neutral": ("的", "the"),
        "positive": ("谢", "great"),
    },
}
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "query", ":")
STRENGTH = 40.0
PREFIX = "query: "
MAX_TOKENS = 32


class GatedModel(Model):
    """A model of one stream whose batches wait until the gate is open, and which remembers them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(read_source(folder), streams=1, precision="f32")
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.batches: list[list[str]] = []
        self.failure: Exception | None = None

    def answer_batch(self, batch: Sequence[Encoded], tasks: Sequence[Task], *, today: date) -> list[Answer]:
        self.batches.append([each.text for each in batch])
        self.begun.set()
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().answer_batch(batch, tasks, today=today)


def served(model: Model, today: Callable[[str], date] = lambda _timezone: date(2026, 11, 22)) -> UnderstandingModel:
    """A model as the server knows models of every kind."""
    return UnderstandingModel(UnderstandingKind(), model, today)


def write_model(
    home: Path,
    *,
    name: str = "shop",
    version: str = "20261122T151200-ab12cd34",
    production: bool = True,
    **changes: Any,
) -> Path:
    """Writes `models/<name>/<version>` below `home`; `changes` replace entries of the manifest."""
    folder = home / "models" / name / version
    folder.mkdir(parents=True)
    vocabulary = _vocabulary()
    (folder / "model.onnx").write_bytes(_network(vocabulary))
    (folder / "tokenizer.json").write_text(_tokenizer(vocabulary).to_str(), encoding="utf-8")
    describe(folder, {"weights.safetensors": "0" * 64}, changes)
    if production:
        (folder.parent / "production").write_text(f"{version}\n", encoding="utf-8")
    return folder


def write_exported_model(folder: Path) -> Path:
    """Writes the random network as training exports a model; what it says means nothing."""
    sources = [
        Path(__file__),
        ROOT / "shared/nlu/network.py",
        ROOT / "services/learning/training/export.py",
    ]
    key = digest_of(files=sources, packages=("torch", "transformers", "onnx", "onnxscript"))
    shutil.copytree(kept("exported-model", key, _export), folder)
    describe(folder, {}, {})
    return folder


def _export(folder: Path) -> None:
    from services.learning.training.export import export_model

    export_model(random_network(), _tokenizer(_vocabulary()), folder, prefix=PREFIX, max_tokens=MAX_TOKENS)


def random_network(*, mixed_tags: bool = False) -> "Understander":
    """A little BERT with heads for the labels here; the same one each time."""
    import torch
    from transformers import BertConfig, BertModel

    from shared.nlu.network import Understander

    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return Understander(
        BertModel(config),
        intents=len(INTENTS),
        tags=len(TAGS),
        sentiments=len(SENTIMENTS),
        dropout=0.1,
        mixed_tags=mixed_tags,
    )


def describe(folder: Path, digests: Mapping[str, str], changes: Mapping[str, Any]) -> None:
    """Writes the manifest of a folder; `digests` are of files that it lacks, `changes` replace entries."""
    files = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}
    manifest = {
        "format": 2,
        "name": folder.parent.name,
        "version": folder.name,
        "created_at": "2026-11-22T15:12:00Z",
        "languages": ["zh", "en"],
        "encoder": {"name": "tiny", "layers": 1, "vocabulary": len(_vocabulary())},
        "max_tokens": MAX_TOKENS,
        "prefix": PREFIX,
        "intents": INTENTS,
        "tags": TAGS,
        "sentiments": SENTIMENTS,
        "temperature": 1.0,
        "out_of_scope": {"threshold": 0.5},
        "files": {**digests, **files},
        "data_hash": "none",
        "metrics": {"accuracy": 1.0},
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}), encoding="utf-8")


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Puts other bytes in the place of a file of a model folder, with their digest."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _vocabulary() -> dict[str, int]:
    words = [word for votes in VOTES.values() for group in votes.values() for word in group]
    return {word: number for number, word in enumerate(dict.fromkeys((*SPECIAL, *words)))}


def _tokenizer(vocabulary: Mapping[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split(Regex(r"\p{Han}|[0-9]"), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    return tokenizer


def _network(vocabulary: Mapping[str, int]) -> bytes:
    labels = {"intents": INTENTS, "tags": TAGS, "sentiments": SENTIMENTS}
    tables = {head: np.zeros((len(vocabulary), len(names)), np.float32) for head, names in labels.items()}
    for head, votes in VOTES.items():
        for label, words in votes.items():
            for word in words:
                tables[head][vocabulary[word], labels[head].index(label)] = STRENGTH
    tables["tags"][:, 0] += STRENGTH / 2
    constants = [numpy_helper.from_array(table, f"{head}_table") for head, table in tables.items()]
    constants += [
        numpy_helper.from_array(np.eye(len(labels[head]), dtype=np.float32), f"{head}_head")
        for head in ("intents", "sentiments")
    ]
    constants += [
        numpy_helper.from_array(np.array([1], np.int64), "token_axis"),
        numpy_helper.from_array(np.array([2], np.int64), "last_axis"),
    ]
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last_axis"], ["weights"]),
        helper.make_node("ReduceSum", ["weights", "token_axis"], ["tokens"], keepdims=0),
        helper.make_node("Gather", ["tags_table", "input_ids"], ["tag_logits"]),
    ]
    for head, output in (("intents", "intent_logits"), ("sentiments", "sentiment_logits")):
        nodes += [
            helper.make_node("Gather", [f"{head}_table", "input_ids"], [f"{head}_votes"]),
            helper.make_node("Mul", [f"{head}_votes", "weights"], [f"{head}_counted"]),
            helper.make_node("ReduceSum", [f"{head}_counted", "token_axis"], [f"{head}_sum"], keepdims=0),
            helper.make_node("Div", [f"{head}_sum", "tokens"], [f"{head}_mean"]),
            # A head that changes nothing: products of matrices are what a lower precision is computed in.
            helper.make_node("MatMul", [f"{head}_mean", f"{head}_head"], [output]),
        ]
    nodes.append(helper.make_node("Identity", ["intents_mean"], ["text_embedding"]))
    graph = helper.make_graph(
        nodes,
        "votes",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "n"]) for n in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info("intent_logits", TensorProto.FLOAT, ["batch", len(INTENTS)]),
            helper.make_tensor_value_info("tag_logits", TensorProto.FLOAT, ["batch", "n", len(TAGS)]),
            helper.make_tensor_value_info("sentiment_logits", TensorProto.FLOAT, ["batch", len(SENTIMENTS)]),
            helper.make_tensor_value_info("text_embedding", TensorProto.FLOAT, ["batch", len(INTENTS)]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
