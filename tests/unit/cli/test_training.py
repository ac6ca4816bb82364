"""Figures and progress of a training, as they are written."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from cli import training
from cli.errors import EnvironmentUnfit
from cli.home import Home
from cli.settings import PROJECT
from services.learning.evaluation.robustness import Drop, Robustness
from services.learning.release.comparison import Comparison
from services.learning.release.gate import Difference
from services.learning.runs.runs import TrainedModel
from tests.models import write_model
from tests.versions import copied


def test_figures_of_each_language_in_a_column() -> None:
    console = Console(width=80)
    metrics = {"all": {"sentences": 10.0, "intent_accuracy": 0.95, "out_of_scope_auroc": 1.0}, "zh": {"sentences": 4.0}}
    with console.capture() as written:
        console.print(training.figures_table(metrics))
    lines = [line.split() for line in written.get().splitlines()]
    assert lines == [
        ["all", "zh"],
        ["sentences", "10", "4"],
        ["intent", "accuracy", "0.9500", "–"],
        ["out-of-scope", "AUROC", "1.0000", "–"],
    ]


def test_drops_of_each_language_in_a_column() -> None:
    drop = Drop(count=40, accuracy=0.95, perturbed_accuracy=0.9, false_alarms=0.1, example=("a", "b"))
    console = Console(width=80)
    with console.capture() as written:
        console.print(
            training.drops_table(
                Robustness(seed=1, drops={"full_width": {"all": drop, "zh": drop}, "typos": {"all": drop}})
            )
        )
    lines = [line.split() for line in written.get().splitlines()]
    assert lines[1:] == [
        ["sentences", "all", "zh"],
        ["full", "width", "40", "5.0", "5.0"],
        ["typos", "40", "5.0", "–"],
    ]


def test_the_model_in_production(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    shop = PROJECT / "assistants" / "shop"
    with pytest.raises(EnvironmentUnfit, match=r"^There is no model in production for shop: .*zhiyin train"):
        training.production_model(shop, home)
    model = write_model(tmp_path)
    assert training.production_model(shop, home) == model


@pytest.mark.parametrize("as_json", [True, False])
def test_a_finished_training_shows_its_figures(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = TrainedModel(tmp_path / "v1", "v1", {"all": {"intent_accuracy": 0.9375}}, True)
    (tmp_path / "v1" / "report").mkdir(parents=True)
    (tmp_path / "v1" / "report" / "index.html").touch()
    monkeypatch.setattr(training, "train_model", lambda *_, **__: made)
    training.train(PROJECT / "assistants" / "shop", Home(tmp_path), as_json=as_json)
    written = capsys.readouterr()
    assert "is up to date: v1" in written.err
    if as_json:
        assert json.loads(written.out)["metrics"] == {"all": {"intent_accuracy": 0.9375}}
        assert json.loads(written.out)["cached"] is True
    else:
        assert "0.9375" in written.out
        assert "report/index.html" in written.out.replace("\n", "")


def test_a_first_model_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"all": {"intent_accuracy": 0.9, "entity_f1": 0.85}}
    made = TrainedModel(tmp_path / "v0", "v0", figures, False, preliminary=True)
    monkeypatch.setattr(training, "train_model", lambda *_, **__: made)
    training.train(PROJECT / "assistants" / "shop", Home(tmp_path), soon=True, as_json=True)
    written = capsys.readouterr()
    assert json.loads(written.out)["preliminary"] is True
    assert "A first model of shop is there: v0 (intent accuracy 0.90, entity F1 0.85)" in written.err


def test_a_model_that_is_held_back_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = TrainedModel(tmp_path / "v2", "v2", {}, False, "macro-F1 (all) is 0.9000, in production it is 0.9500")
    monkeypatch.setattr(training, "train_model", lambda *_, **__: made)
    training.train(PROJECT / "assistants" / "shop", Home(tmp_path))
    printed = capsys.readouterr().err
    assert "not in production: macro-F1 (all) is 0.9000" in printed
    assert "zhiyin promote shop v2 --force" in printed


BETTER = Comparison(
    against="v1",
    differences=(
        Difference(part="all", figure="intent_accuracy", candidate=0.95, production=0.94, low=-0.04, high=0.06),
        Difference(part="zh", figure="entity_f1", candidate=0.9, production=0.9, low=-0.01, high=0.01),
    ),
)


def test_how_a_training_compares_with_production_is_told_with_what_chance_leaves_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = TrainedModel(tmp_path / "v2", "v2", {}, False, comparison=BETTER)
    monkeypatch.setattr(training, "train_model", lambda *_, **__: made)
    shop, home = PROJECT / "assistants" / "shop", Home(tmp_path)
    training.train(shop, home)
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[:4] == [
        "Points above v1",
        "all zh",
        "intent accuracy +1.0 (-4.0 to +6.0) –",
        "entity F1 – +0.0 (-1.0 to +1.0)",
    ]
    assert "rule out a loss of 2 points in intent accuracy (all)\n" in printed
    training.train(shop, home, as_json=True)
    assert json.loads(capsys.readouterr().out)["comparison"]["against"] == "v1"


def test_versions_with_their_aliases_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, home = PROJECT / "assistants" / "shop", Home(tmp_path)
    versions = copied(home.root)
    versions.add("v1", accuracy=0.9375)
    versions.add("v2")
    versions.tracker.note("shop", "v2", BETTER)
    training.promote(shop, home, "v1", alias="canary", force=False, mlflow_uri="")
    training.list_models(shop, home, mlflow_uri="", as_json=True)
    newest, oldest = json.loads(capsys.readouterr().out)
    assert (newest["version"], newest["aliases"]) == ("v2", ["candidate"])
    assert (oldest["version"], oldest["aliases"]) == ("v1", ["canary"])
    assert oldest["figures"]["intent_accuracy"] == 0.9375
    assert (newest["comparison"]["against"], oldest["comparison"]) == ("v1", None)
    with monkeypatch.context() as wide:
        screen = io.StringIO()
        wide.setattr(training, "out", Console(width=200, file=screen))
        training.list_models(shop, home, mlflow_uri="")
    lines = [line.split() for line in screen.getvalue().splitlines()]
    assert lines[0][:2] == ["version", "aliases"]
    assert lines[1][-4:] == ["+1.0", "(-4.0", "to", "+6.0)"]
    assert (lines[2][:3], lines[2][-1]) == (["v1", "canary", "0.9375"], "–")
    training.withdraw(shop, home, "canary", mlflow_uri="")
    training.list_models(shop, home, mlflow_uri="", as_json=True)
    assert [each["aliases"] for each in json.loads(capsys.readouterr().out)] == [["candidate"], []]


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_version_is_shown_whole_however_narrow_the_terminal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    version = "20261122T151200-ab12cd34"
    versions = copied(Home(tmp_path).root)
    versions.add(version)
    screen = Console(width=width, file=io.StringIO())
    monkeypatch.setattr(training, "out", screen)
    training.list_models(PROJECT / "assistants" / "shop", Home(tmp_path), mlflow_uri="")
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert version in shown
