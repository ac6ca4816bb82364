"""Evaluation sees what customers get: the pipeline that serves."""

from pathlib import Path

import pytest

from services.learning.evaluation.prediction import FolderPredictor
from shared.nlu.model import Model
from tests.models import write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("home"))


def test_a_prediction_is_what_a_turn_gets(folder: Path) -> None:
    texts = ["退款！坏的，订单20261103001", "12 elm street", "football", ""]
    served, model = FolderPredictor(folder), Model.load(folder, backend="auto")
    assert served.engine == f"{model.backend} {model.precision} on {model.device}"
    for found, wanted in zip(served.predict(texts), model.understand(texts), strict=True):
        assert model.manifest.intents[int(found.intents.argmax())] == wanted.intent.name
        assert found.out_of_scope == pytest.approx(wanted.out_of_scope.score)
        assert found.sentiment == wanted.sentiment.label
        assert found.entities == wanted.entities


def test_entities_are_of_patterns_and_of_the_model(folder: Path) -> None:
    [found] = FolderPredictor(folder).predict(["order 20261103001 to elm street"])
    assert [(each.name, each.text, each.source) for each in found.entities] == [
        ("order_number", "20261103001", "pattern"),
        ("address", "elm street", "model"),
    ]


def test_every_measure_that_the_folder_allows_is_there(folder: Path) -> None:
    inside, outside = FolderPredictor(folder).predict(["refund", "football"])
    assert set(inside.scope) == {"probability", "energy"}
    assert all(inside.scope[score] < outside.scope[score] for score in inside.scope)


def test_no_texts_have_no_predictions(folder: Path) -> None:
    assert FolderPredictor(folder).predict([]) == []
