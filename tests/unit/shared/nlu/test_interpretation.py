"""From what a network computed to what a text means: intents, scope, entities, mood."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from shared.contracts.understanding import OutOfScope, Understanding
from shared.nlu.manifest import ModelRejected
from shared.nlu.model import Model
from shared.nlu.out_of_scope import CENTROIDS, Centroids
from shared.nlu.text_network import TextNetwork
from tests.models import INTENTS, write_model


def one(model: Model, text: str) -> Understanding:
    [understanding] = model.understand([text])
    return understanding


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


@pytest.mark.parametrize(
    "text",
    [
        "👎",
        "？？？",
        "…",
        "🦄🦄",
        "\u200b",
        "\ufeff \u00ad",
        "。",
        "-——",
        "Привет",
        "x",
        "hm",
        "👎👎!?",
        "¯\\_(ツ)_/¯",
        "3\ufe0f\u20e3",
        "",
    ],
)
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_a_text_without_a_word_that_the_model_knows_means_nothing(
    tmp_path: Path, text: str, threshold: float | None
) -> None:
    model = Model.load(write_model(tmp_path, multi_intent_threshold=threshold), streams=1)
    understanding = one(model, text)
    assert understanding.out_of_scope == OutOfScope(detected=True, score=1)
    assert [each.name for each in understanding.intents] == ["out_of_scope"]
    assert all(each.confidence == 0 for each in understanding.ranking if each.name != "out_of_scope")


def test_a_sign_that_was_taught_by_itself_is_a_word(tmp_path: Path) -> None:
    folder = write_model(tmp_path, symbols=[":"])
    assert one(Model.load(folder, streams=1), "：").out_of_scope.score < 1
    assert not one(Model.load(folder, streams=1), "👎退款退款退款").out_of_scope.detected


def test_a_text_expresses_one_intent_or_all_that_reach_the_threshold(tmp_path: Path, model: Model) -> None:
    text = "退款 hello"
    assert [each.name for each in one(model, text).intents] == ["refund"]
    several = Model.load(write_model(tmp_path, multi_intent_threshold=0.9), streams=1)
    understanding = one(several, text)
    assert [each.name for each in understanding.intents] == ["refund", "greet"]
    assert understanding.intent == understanding.intents[0]
    assert all(each.confidence >= 0.9 for each in understanding.intents)
    assert [each.name for each in one(several, "股 weather").intents] == ["out_of_scope"]


def test_out_of_scope_is_reported_by_the_score_that_the_manifest_names(tmp_path: Path) -> None:
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
