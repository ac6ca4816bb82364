import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from shared.contracts.understanding import Understanding
from shared.nlu.engines.runtime import available_cores
from shared.nlu.manifest import ModelRejected
from shared.nlu.model import Model
from shared.nlu.out_of_scope import CENTROIDS, Centroids
from shared.nlu.text_network import TextNetwork
from tests.models import INTENTS, write_model

TODAY = date(2026, 11, 22)


def one(model: Model, text: str) -> Understanding:
    [understanding] = model.understand([text], today=TODAY)
    return understanding


def replace_model(folder: Path, content: bytes) -> None:
    """Puts other bytes in the place of the network, with their digest."""
    (folder / "model.onnx").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_says_what_a_text_means(model: Model) -> None:
    understanding = one(model, "退款！坏的坏的，订单20261103001")
    assert understanding.intent.name == "refund"
    assert understanding.sentiment.label == "negative"
    assert understanding.language == "zh"
    assert [(each.name, each.value) for each in understanding.entities] == [("order_number", "20261103001")]
    assert (understanding.model.name, understanding.model.version) == ("shop", model.manifest.version)


def test_finds_entities_that_only_the_model_knows(model: Model) -> None:
    entities = one(model, "invoice for ACME inc, 12 elm street").entities
    assert [(each.name, each.value, each.source) for each in entities] == [
        ("company", "ACME inc", "model"),
        ("address", "elm street", "model"),
    ]


def test_ranks_intents_from_the_likeliest(model: Model) -> None:
    ranking = one(model, "hello").ranking
    assert ranking[0].name == "greet"
    assert {each.name for each in ranking} == set(INTENTS)
    confidences = [each.confidence for each in ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1)


def test_out_of_scope_is_what_no_intent_in_scope_claims(model: Model) -> None:
    inside, outside = one(model, "refund refund refund"), one(model, "weather")
    assert not inside.out_of_scope.detected
    assert inside.out_of_scope.score == pytest.approx(1 - inside.intent.confidence)
    assert outside.out_of_scope.detected
    assert outside.intent.name == "out_of_scope"
    best_in_scope = max(each.confidence for each in outside.ranking if each.name != "out_of_scope")
    assert outside.out_of_scope.score == pytest.approx(1 - best_in_scope)


def test_a_text_expresses_one_intent_or_all_that_reach_the_threshold(tmp_path: Path, model: Model) -> None:
    text = "退款 hello"
    assert [each.name for each in one(model, text).intents] == ["refund"]
    several = Model.load(write_model(tmp_path, multi_intent_threshold=0.9), streams=1)
    understanding = one(several, text)
    assert [each.name for each in understanding.intents] == ["refund", "greet"]
    assert understanding.intent == understanding.intents[0]
    assert all(each.confidence >= 0.9 for each in understanding.intents)
    assert [each.name for each in one(several, "股 weather").intents] == ["out_of_scope"]


def test_out_of_scope_is_told_by_the_score_that_the_manifest_names(tmp_path: Path) -> None:
    rule = {"threshold": 0.5, "score": "energy", "middle": -7.0, "spread": 1.0}
    by_energy = Model.load(write_model(tmp_path, out_of_scope=rule))
    inside, outside = by_energy.understand(["退款", "雨"])
    assert not inside.out_of_scope.detected
    assert outside.out_of_scope.detected
    assert inside.out_of_scope.score < 0.1 < 0.9 < outside.out_of_scope.score


@pytest.mark.parametrize("score", ["distance", "combined"])
def test_the_distance_is_measured_from_the_centroids_of_the_folder(tmp_path: Path, score: str) -> None:
    folder = write_model(tmp_path)
    described = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    network = TextNetwork.load(folder)
    probe = network.compute(["退款", "雨"]).embeddings
    width = probe.shape[1]
    Centroids(np.array([probe[0]], np.float32), np.eye(width, dtype=np.float32)).write(folder / CENTROIDS)
    described["files"][CENTROIDS] = hashlib.sha256((folder / CENTROIDS).read_bytes()).hexdigest()
    gap = float(np.linalg.norm(probe[0] - probe[1]))
    middle, spread = (gap / 2, gap / 20) if score == "distance" else (-7.0, 1.0)
    described["out_of_scope"] = {"threshold": 0.5, "score": score, "middle": middle, "spread": spread}
    (folder / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    inside, outside = Model.load(folder).understand(["退款", "雨"])
    assert (inside.out_of_scope.detected, outside.out_of_scope.detected) == (False, True)
    (folder / CENTROIDS).write_bytes(b"nothing")
    described["files"][CENTROIDS] = hashlib.sha256(b"nothing").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ModelRejected, match="no centroids"):
        Model.load(folder)


def test_a_higher_temperature_is_less_sure(tmp_path: Path, model: Model) -> None:
    mild = Model.load(write_model(tmp_path, temperature=4.0), streams=1)
    assert one(mild, "refund").intent.confidence < one(model, "refund").intent.confidence


def test_answers_keep_the_order_of_the_texts(model: Model) -> None:
    texts = [("hello " * (number % 30) + str(number)).strip() for number in range(100)]
    assert [each.text for each in model.understand(texts)] == texts


def test_it_takes_a_stream_for_each_core(home: Path) -> None:
    model = Model.load(next((home / "models" / "shop").glob("*/")))
    assert model.streams == available_cores() >= 1


def test_nothing_gives_nothing(model: Model) -> None:
    assert model.understand([]) == []


@settings(deadline=None)
@given(st.lists(st.text(max_size=100), max_size=6), st.dates())
def test_any_texts_are_understood(model: Model, texts: list[str], today: date) -> None:
    answers = model.understand(texts, today=today)
    assert [each.text for each in answers] == texts
    for each in answers:
        assert Understanding.model_validate_json(each.model_dump_json()) == each
        assert all(each.text[entity.start : entity.end] == entity.text != "" for entity in each.entities)
        assert all(a.end <= b.start for a, b in zip(each.entities, each.entities[1:], strict=False))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["Cs"]), min_size=1, max_size=5))
def test_half_characters_are_understood_as_unreadable(model: Model, text: str) -> None:
    assert one(model, text).text == "\ufffd" * len(text)


@settings(deadline=None)
@given(st.text(alphabet="北京市路号1 elmACMEinc知音司退，。x", max_size=60))
def test_company_and_address_are_pieces_of_the_text(model: Model, text: str) -> None:
    for entity in one(model, text).entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.source == "pattern" or entity.value == " ".join(entity.text.split())


def test_a_text_says_the_same_alone_and_among_others(model: Model) -> None:
    texts = ["hello", "退款 " * 20, "北京市路1号", "where is my parcel"]
    together = model.understand(texts, today=TODAY)
    for text, among in zip(texts, together, strict=True):
        alone = one(model, text)
        assert alone.intent.name == among.intent.name
        assert alone.intent.confidence == pytest.approx(among.intent.confidence, abs=0.02)
        assert [each.text for each in alone.entities] == [each.text for each in among.entities]


@pytest.mark.parametrize("precision", ["f32", "bf16", "auto"])
def test_each_precision_decides_alike(home: Path, model: Model, precision: str) -> None:
    folder = next((home / "models" / "shop").glob("*/"))
    other = Model.load(folder, streams=1, precision=precision)  # type: ignore[arg-type]
    assert other.precision in {"f32", "bf16"}
    assert one(other, "refund").intent.name == one(model, "refund").intent.name


def test_a_precision_that_changes_decisions_is_not_taken(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    for table in network.graph.initializer:
        if table.name == "intents_table":
            # Two intents that eight bits of fraction cannot tell apart.
            votes = numpy_helper.to_array(table) * 0 + [1000, 1001, 0, 0]
            table.CopyFrom(numpy_helper.from_array(votes.astype(np.float32), table.name))
    replace_model(folder, network.SerializeToString())
    model = Model.load(folder, streams=1)
    assert model.precision == "f32"
    assert one(model, "x").intent.name == INTENTS[1]


def test_bytes_that_are_no_network_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    replace_model(folder, b"\x80\x04 a pickle, not a network")
    with pytest.raises(ModelRejected, match="no ONNX model"):
        Model.load(folder, streams=1)


def test_a_network_with_other_labels_than_the_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, intents=[*INTENTS, "one_more"])
    with pytest.raises(ModelRejected, match="intent_logits does not have the 5 labels"):
        Model.load(folder, streams=1)


def test_a_network_with_other_outputs_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    del network.graph.output[0]
    replace_model(folder, network.SerializeToString())
    with pytest.raises(ModelRejected, match="needs the inputs"):
        Model.load(folder, streams=1)


def test_a_network_that_computes_no_numbers_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    for table in network.graph.initializer:
        if table.name == "intents_table":
            table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) * float("nan"), table.name))
    replace_model(folder, network.SerializeToString())
    with pytest.raises(ModelRejected, match="no numbers"):
        Model.load(folder, streams=1)
