"""Training from files to a model in production, on a tiny encoder."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.prediction import FolderPredictor
from services.learning.kinds.understanding.kind import Understanding
from services.learning.progress import Progress
from services.learning.runs import runs
from services.learning.runs.cache import UserCache
from services.learning.runs.runs import TrainedModel, evaluate, promote, train
from services.learning.runs.tracking import Tracker, TrackingUnavailable
from services.learning.training.export import ExportError
from shared.errors import ConfigurationError
from shared.nlu.golden_set import GOLDEN, REFERENCE, GoldenSet, Reference
from shared.nlu.manifest import ModelError, read_manifest
from shared.nlu.training_data import AssistantError
from tests.unit.services.learning.conftest import WriteAssistant
from tests.versions import put_empty_store


class Stopped(Exception):
    """Stands for a process that is killed."""


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


@pytest.fixture(scope="session")
def finished(
    write_assistant: WriteAssistant, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainedModel]:
    """An assistant's folder and its model, which is in the cache of `cached` too; nothing may change the folders."""
    root = tmp_path_factory.mktemp("finished")
    put_empty_store(root / "home")
    assistant = write_assistant(root / "mini", encoder=shutil.copytree(encoder_folder, root / "encoder"))
    return assistant, train(assistant, root / "home", quiet, cache=UserCache(root / "cache", pytest.fail))


@pytest.fixture
def cached(finished: tuple[Path, TrainedModel]) -> UserCache:
    """The cache that has the finished model."""
    return UserCache(finished[0].with_name("cache"), pytest.fail)


@pytest.fixture
def copied(finished: tuple[Path, TrainedModel], tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the assistant's folder and of the home with its model."""
    assistant, model = finished
    shutil.copytree(assistant, tmp_path / "mini")
    shutil.copytree(model.path.parents[2], tmp_path / "home")
    return tmp_path / "mini", tmp_path / "home"


def test_writes_a_whole_model_folder(finished: tuple[Path, TrainedModel]) -> None:
    _assistant, model = finished
    assert not model.cached
    assert {path.name for path in model.path.iterdir()} == {
        "model.onnx",
        "model.onnx.data",
        "weights.safetensors",
        "tokenizer.json",
        "manifest.json",
        "training.json",
        "scope.safetensors",
        "golden.json",
        "reference.json",
        "metrics.json",
        "card.md",
        "report",
    }
    manifest = json.loads((model.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == 2
    assert (manifest["name"], manifest["version"]) == ("mini", model.path.name)
    assert manifest["created_at"].endswith("Z")
    assert manifest["encoder"]["layers"] == 1
    assert manifest["intents"] == ["change_address", "refund", "track_order", "out_of_scope"]
    assert manifest["tags"] == ["O", "B-address", "I-address"]
    assert manifest["neighbours"] == []
    assert manifest["sentiments"] == ["negative", "neutral", "positive"]
    assert set(manifest["files"]) == {
        "model.onnx",
        "model.onnx.data",
        "weights.safetensors",
        "tokenizer.json",
        "scope.safetensors",
        "golden.json",
        "reference.json",
    }
    assert manifest["metrics"] == model.metrics
    assert 0 <= manifest["out_of_scope"]["threshold"] <= 1
    assert (model.path.parent / "production").read_text(encoding="utf-8") == f"{model.version}\n"
    # What was measured to choose the engine is kept beside the versions, as when they are served.
    beside = {path.name for path in model.path.parent.iterdir()} - {".inference.json"}
    assert beside == {".lock", model.version, "production"}


def test_padding_changes_nothing(finished: tuple[Path, TrainedModel]) -> None:
    served = FolderPredictor(finished[1].path)
    short, long = "退款", "please send it to the street tomorrow"
    alone, together = served.predict([short])[0], served.predict([long, short, ""])[1]
    np.testing.assert_allclose(alone.intents, together.intents, atol=1e-5)
    assert alone.entities == together.entities
    assert served.predict([]) == []


def test_measures_without_the_sentences_it_was_trained_on(finished: tuple[Path, TrainedModel]) -> None:
    _assistant, model = finished
    metrics = json.loads((model.path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["seen_in_training"] == 1
    assert model.metrics["all"]["sentences"] == 7
    assert set(model.metrics) == {"all", "zh", "en"}
    assert metrics["summary"] == model.metrics


def test_the_same_data_and_settings_give_the_model_that_is_there(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    reported: list[Progress] = []
    again = train(assistant, home, reported.append)
    assert again.cached
    assert [progress.stage for progress in reported] == ["cached"]
    assert len(list((home / "models" / "mini").glob("2*"))) == 1


@pytest.mark.parametrize("damage", ["model.onnx", "training.json", "manifest.json"])
def test_a_damaged_model_is_not_taken_for_whole(
    copied: tuple[Path, Path], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant, home = copied
    (damaged,) = (home / "models" / "mini").glob(f"2*/{damage}")
    damaged.write_bytes(b"{}")

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(runs, "_train", stop)
    with pytest.raises(Stopped):
        train(assistant, home, quiet)


def test_other_held_out_sentences_are_measured_without_training(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    with (assistant / "heldout" / "en.yml").open("a", encoding="utf-8") as file:
        file.write("- {text: my parcel, intent: track_order}\n")
    again = train(assistant, home, quiet)
    assert again.cached
    assert again.metrics["en"]["sentences"] == 4
    assert json.loads((again.path / "metrics.json").read_text(encoding="utf-8"))["summary"] == again.metrics


def test_a_model_whose_metrics_were_lost_is_measured_again(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    (metrics,) = (home / "models" / "mini").glob("2*/metrics.json")
    metrics.unlink()
    assert train(assistant, home, quiet).metrics["all"]["sentences"] == 7
    assert metrics.exists()


def test_evaluates_a_model_folder(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    (folder,) = (home / "models" / "mini").glob("2*")
    card = folder / "card.md"
    card.unlink()
    found = evaluate(assistant, folder)
    assert found.summary() == train(assistant, home, quiet).metrics
    assert card.exists()


def test_refuses_to_evaluate_what_is_no_model_or_knows_less(copied: tuple[Path, Path], tmp_path: Path) -> None:
    assistant, home = copied
    with pytest.raises(ModelError, match=r"there is no model in .*: manifest\.json is missing"):
        evaluate(assistant, tmp_path)
    (folder,) = (home / "models" / "mini").glob("2*")
    text = (assistant / "nlu" / "refund.yml").read_text(encoding="utf-8").replace("refund", "payback")
    (assistant / "nlu" / "payback.yml").write_text(text, encoding="utf-8")
    with (assistant / "heldout" / "en.yml").open("a", encoding="utf-8") as file:
        file.write("- {text: pay me back, intent: payback}\n")
    with pytest.raises(AssistantError, match="already an example"):
        evaluate(assistant, folder)
    (assistant / "nlu" / "payback.yml").write_text(text.replace("款", "钱").replace("me", "us"), encoding="utf-8")
    with pytest.raises(ModelError, match="without the intents payback"):
        evaluate(assistant, folder)


def test_an_assistant_without_held_out_sentences_keeps_its_model(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    shutil.rmtree(assistant / "heldout")
    model = train(assistant, home, quiet)
    assert model.cached
    assert model.metrics == {}
    with pytest.raises(ConfigurationError, match="no held-out sentences"):
        evaluate(assistant, model.path)


def test_a_stopped_training_goes_on_and_needs_no_held_out_sentences(
    write_assistant: WriteAssistant, tmp_path: Path
) -> None:
    assistant = write_assistant(tmp_path / "mini")
    shutil.rmtree(assistant / "heldout")
    put_empty_store(tmp_path / "home")

    def stop(progress: Progress) -> None:
        if progress.detail == "epoch 2 of 2":
            raise Stopped

    with pytest.raises(Stopped):
        train(assistant, tmp_path / "home", stop)
    models = tmp_path / "home" / "models" / "mini"
    assert not (models / "production").exists()
    seen: list[Progress] = []
    model = train(assistant, tmp_path / "home", seen.append)
    assert not any(progress.detail == "epoch 1 of 2" for progress in seen)
    assert len(TrainingRecord.read(model.path).history) == 2
    assert model.metrics == {}
    assert not (model.path / "report").exists()
    assert sorted(path.name for path in models.iterdir()) == [".lock", model.version, "production"]


@pytest.mark.parametrize("threads", [1, 3])
def test_training_has_the_threads_that_its_settings_say_whatever_the_machine_has(
    write_assistant: WriteAssistant, tmp_path: Path, threads: int
) -> None:
    class Begun(Exception):
        pass

    def note(progress: Progress) -> None:
        if progress.stage == "training":
            raise Begun(torch.get_num_threads())

    before = torch.get_num_threads()
    try:
        with pytest.raises(Begun) as begun:
            train(write_assistant(tmp_path / "mini", epochs=1, threads=threads), tmp_path / "home", note)
    finally:
        torch.set_num_threads(before)
    assert begun.value.args == (threads,)


def test_an_export_that_computes_something_else_is_not_published(
    write_assistant: WriteAssistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant = write_assistant(tmp_path / "mini", epochs=1)
    monkeypatch.setattr("services.learning.training.export.TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differs from the trained one"):
        train(assistant, tmp_path / "home", quiet)
    assert not (tmp_path / "home" / "models" / "mini" / "production").exists()


def test_two_trainings_of_an_assistant_take_turns(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    inside, go_on, reported = threading.Event(), threading.Event(), []

    def hold(progress: Progress) -> None:
        inside.set()
        assert go_on.wait(30)

    def note(progress: Progress) -> None:
        reported.append(progress.stage)
        go_on.set()

    first = threading.Thread(target=train, args=(assistant, home, hold))
    first.start()
    assert inside.wait(30)
    second: Callable[[], TrainedModel] = lambda: train(assistant, home, note)  # noqa: E731
    assert second().cached
    first.join(30)
    assert reported == ["waiting", "cached"]


def versions_of(home: Path) -> dict[str, tuple[str, ...]]:
    """The registered versions and their aliases."""
    return {each.version: each.aliases for each in Tracker(home).versions("mini")}


def another_model(assistant: Path, home: Path) -> str:
    """Makes a copy of the model in production that is another version with other data; gives its name."""
    [known] = (home / "models" / "mini").glob("2*")
    fresh = known.parent / "20300101T000000-00000000"
    shutil.copytree(known, fresh)
    manifest = json.loads((fresh / "manifest.json").read_text(encoding="utf-8"))
    (fresh / "manifest.json").write_text(json.dumps({**manifest, "version": fresh.name}), encoding="utf-8")
    Tracker(home).register(fresh, read_manifest(fresh), TrainingRecord.read(fresh))
    return fresh.name


def judge(folder: Path, *, right: int) -> None:
    """Lets a folder's model have been measured with so many of the sentences right, and the others wrong."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    judgements = metrics["judgements"]
    judgements["found"] = [intent if row < right else intent ^ 1 for row, intent in enumerate(judgements["wanted"])]
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def test_a_training_is_a_run_and_a_version_in_mlflow(finished: tuple[Path, TrainedModel]) -> None:
    _assistant, model = finished
    [version] = Tracker(model.path.parents[2]).versions("mini")
    assert version.version == model.version
    assert version.aliases == ("candidate", "production")
    assert version.figures["intent_accuracy"] == pytest.approx(model.metrics["all"]["intent_accuracy"])
    assert version.figures["zh_intent_accuracy"] == pytest.approx(model.metrics["zh"]["intent_accuracy"])
    assert "validation_loss" in version.figures


def test_a_model_carries_what_a_server_checks_it_by(finished: tuple[Path, TrainedModel]) -> None:
    _assistant, model = finished
    manifest = read_manifest(model.path)
    golden, reference = GoldenSet.read(model.path / GOLDEN), Reference.read(model.path / REFERENCE)
    predictions = FolderPredictor(model.path).predict([each.text for each in golden.texts])
    right = [
        manifest.intents[int(found.intents.argmax())] == each.intent
        for found, each in zip(predictions, golden.texts, strict=True)
    ]
    assert golden.accuracy == pytest.approx(sum(right) / len(right))
    assert {each.intent for each in golden.texts} <= set(manifest.intents)
    assert sum(reference.confidence) == sum(reference.intents.values()) == model.metrics["all"]["sentences"]
    assert {GOLDEN, REFERENCE} < set(manifest.files)


def test_a_worse_model_stays_a_candidate_unless_it_is_forced(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    [before] = versions_of(home)
    worse = another_model(assistant, home)
    judge(home / "models" / "mini" / before, right=99)
    judge(home / "models" / "mini" / worse, right=0)
    with pytest.raises(
        ModelError, match=r"intent accuracy \(all\) is 0\.0000, in production it is 1\.0000: -100\.0 .*--f"
    ):
        promote(assistant, home, worse)
    assert versions_of(home) == {worse: ("candidate",), before: ("production",)}
    noted = {each.version: each.comparison for each in Tracker(home).versions("mini")}
    assert noted[before] is None
    found = noted[worse]
    assert found is not None
    assert found.against == before
    assert found.shortcomings(Understanding.compared).startswith("intent accuracy (all) is 0.0000")
    assert f"Points above {before}" in (home / "models" / "mini" / worse / "card.md").read_text(encoding="utf-8")
    assert promote(assistant, home, "candidate", force=True) == worse
    assert versions_of(home) == {worse: ("candidate", "production"), before: ()}
    assert (home / "models" / "mini" / "production").read_text(encoding="utf-8").strip() == worse


def test_training_does_not_bring_back_what_a_person_took_out(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    [before] = versions_of(home)
    other = another_model(assistant, home)
    promote(assistant, home, other)
    again = train(assistant, home, quiet)
    assert (again.version, again.cached) == (before, True)
    assert "taken out" in again.held_back
    assert "production" in versions_of(home)[other]
    promote(assistant, home, before)
    assert train(assistant, home, quiet).held_back == ""


def test_only_what_is_registered_is_promoted(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    for alias in ("production", "shadow"):
        with pytest.raises(ConfigurationError, match="unknown"):
            promote(assistant, home, "unknown", alias=alias)
    assert len(versions_of(home)) == 1


def test_a_store_that_cannot_be_used_is_named_and_the_model_is_there(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    with pytest.raises(TrackingUnavailable, match=r"http://127\.0\.0\.1:9 cannot be used") as refused:
        train(assistant, home, quiet, mlflow_uri="http://someone:secret@127.0.0.1:9")
    assert "secret" not in str(refused.value)
    assert train(assistant, home, quiet).held_back == ""


def test_soon_there_is_a_first_model_and_then_the_whole_one(
    finished: tuple[Path, TrainedModel], cached: UserCache, tmp_path: Path
) -> None:
    assistant, home = finished[0], tmp_path / "home"
    put_empty_store(home)
    reported: list[Progress] = []
    first = train(assistant, home, reported.append, soon=True)
    assert first.preliminary
    assert not first.cached
    assert "heads" in {each.stage for each in reported}
    assert "training" not in {each.stage for each in reported}
    production = home / "models" / "mini" / "production"
    assert production.read_text(encoding="utf-8").strip() == first.version
    assert read_manifest(first.path).encoder.layers == 2
    assert first.metrics["all"]["sentences"] == 7
    (served,) = FolderPredictor(first.path).predict(["我要退款3"])
    assert served.intents.argmax() == 1

    again = train(assistant, home, quiet, soon=True)
    assert (again.preliminary, again.cached, again.version) == (True, True, first.version)

    whole = train(assistant, home, quiet, cache=cached)
    assert not whole.preliminary
    assert whole.version != first.version
    ready = train(assistant, home, quiet, soon=True)
    assert (ready.preliminary, ready.version) == (False, whole.version)


def test_soon_the_model_in_production_stays_while_it_knows_everything(copied: tuple[Path, Path]) -> None:
    assistant, home = copied
    before = (home / "models" / "mini" / "production").read_text(encoding="utf-8").strip()
    refund = assistant / "nlu" / "refund.yml"
    text = refund.read_text(encoding="utf-8")
    refund.write_text(text.replace("refund me 7", "money back 7"), encoding="utf-8")
    model = train(assistant, home, quiet, soon=True)
    assert (model.preliminary, model.version) == (True, before)

    sentences = {"zh": "还我钱{}", "en": "pay back {}"}
    listed = "".join(
        f"  {language}:\n" + "".join(f"    - '{text.format(number)}'\n" for number in range(6))
        for language, text in sentences.items()
    )
    (assistant / "nlu" / "payback.yml").write_text(f"intent: payback\nutterances:\n{listed}", encoding="utf-8")
    model = train(assistant, home, quiet, soon=True)
    assert model.preliminary
    assert model.version != before
    assert "payback" in read_manifest(model.path).intents


def test_a_second_home_takes_the_model_from_the_cache(
    finished: tuple[Path, TrainedModel], cached: UserCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant, first = shutil.copytree(finished[0], tmp_path / "mini"), finished[1]
    put_empty_store(tmp_path / "two")

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(runs, "_train", stop)
    second = train(assistant, tmp_path / "two", quiet, cache=cached)
    assert second.cached
    assert second.version == first.version
    assert second.metrics == first.metrics
    assert (tmp_path / "two" / "models" / "mini" / "production").read_text(encoding="utf-8").strip() == first.version
    with pytest.raises(Stopped):
        train(assistant, tmp_path / "three", quiet)
    with (assistant / "nlu" / "refund.yml").open("a", encoding="utf-8") as file:
        file.write("    - 'one more'\n")
    with pytest.raises(Stopped):
        train(assistant, tmp_path / "three", quiet, cache=cached)


def test_another_encoder_of_the_same_name_is_another_model(
    finished: tuple[Path, TrainedModel], cached: UserCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant = finished[0]

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(runs, "_train", stop)
    weights = assistant.with_name("encoder") / "model.safetensors"
    before = weights.read_bytes()
    content = load_file(weights)
    name = next(iter(content))
    try:
        save_file({**content, name: content[name] + 1}, weights, {"format": "pt"})
        with pytest.raises(Stopped):
            train(assistant, tmp_path / "home", quiet, cache=cached)
    finally:
        weights.write_bytes(before)
    put_empty_store(tmp_path / "home")
    assert train(assistant, tmp_path / "home", quiet, cache=cached).cached
