"""An assistant that the tiny model understands word for word, and that model as training leaves one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from services.learning.artifacts.folders import digest_of
from services.learning.artifacts.record import TrainingRecord
from shared.nlu.training_data import load_training_data
from tests.models import INTENTS, SENTIMENTS, write_model

__all__ = ["change", "write_assistant", "write_trained"]

WORDS = {
    "track_order": ("快 递", "parcel where"),
    "refund": ("退 款", "refund money"),
    "greet": ("你 好", "hello"),
    "out_of_scope": ("雨 股", "weather football"),
}


def write_assistant(folder: Path) -> Path:
    """The assistant; as many utterances of each intent as training asks for."""
    (folder / "nlu").mkdir(parents=True)
    (folder / "assistant.yml").write_text(
        "name: shop\ntitle: {zh: 小店, en: Shop}\nlanguages: [zh, en]\ndefault_language: zh\n", encoding="utf-8"
    )
    moods = []
    for first, mood in enumerate(SENTIMENTS):
        numbers = range(5 * first, 5 * first + 5)
        zh, en = (", ".join(f"{word} {number}" for number in numbers) for word in ("坏", "the"))
        moods.append(f"  {mood}: {{zh: [{zh}], en: [{en}]}}")
    (folder / "nlu" / "sentiment.yml").write_text("\n".join(["sentiment:", *moods]), encoding="utf-8")
    for intent, (zh, en) in WORDS.items():
        lines = [f"intent: {intent}", "utterances:"]
        for language, words in (("zh", zh), ("en", en)):
            lines += [f"  {language}:", *(f"    - {' '.join([words] * times)}" for times in range(1, 9))]
        (folder / "nlu" / f"{intent}.yml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_trained(assistant: Path, home: Path, outlier: float) -> Path:
    """The tiny model with a linear layer below its head, one of whose inputs is always `outlier` and never used."""
    loaded = load_training_data(assistant)
    facts = {"name": "tiny", "layers": 1, "vocabulary": 9, "digest": "0" * 64, "source": "test"}
    folder = write_model(home, encoder=facts, data_hash=loaded.data_hash, metrics={"all": {"intent_accuracy": 1.0}})
    network = onnx.load(folder / "model.onnx")
    wide = np.eye(len(INTENTS) + 1, dtype=np.float32)
    for name, values in {
        "widen": wide[:-1],
        "outlier": wide[-1] * np.float32(outlier),
        "layer": wide,
        "narrow": wide[:, :-1],
    }.items():
        network.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    [head] = [node for node in network.graph.node if node.output[0] == "intent_logits"]
    network.graph.node.remove(head)
    network.graph.node.extend(
        [
            helper.make_node("MatMul", ["intents_mean", "widen"], ["wide"], name="widen"),
            helper.make_node("Add", ["wide", "outlier"], ["shifted"], name="shift"),
            helper.make_node("MatMul", ["shifted", "layer"], ["hidden"], name="layer"),
            helper.make_node("MatMul", ["hidden", "narrow"], ["intent_logits"], name="head"),
        ]
    )
    onnx.checker.check_model(network)
    onnx.save(network, folder / "model.onnx")
    change(folder, lambda manifest: manifest["files"].update({"model.onnx": digest_of(folder / "model.onnx")}))
    TrainingRecord(
        recipe="ab12cd34",
        settings=loaded.manifest.training.model_dump(mode="json"),
        history=(),
        seconds=1.0,
        libraries={},
    ).write(folder)
    return folder


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest of a folder."""
    manifest = json.loads((folder / "manifest.json").read_text())
    how(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
