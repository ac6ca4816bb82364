"""New intents for a model that is there: on a tiny encoder, and on the demo model."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.prediction import FolderPredictor
from services.learning.progress import Progress
from services.learning.runs import runs
from services.learning.runs.runs import train
from services.learning.runs.tracking import PRODUCTION, Tracker
from services.learning.training.few_shot import MOST_LOST
from shared.nlu.manifest import ModelError, read_manifest
from tests.unit.services.learning.conftest import WriteAssistant
from tests.unit.services.learning.new_intents import EXAMPLES, HELD_OUT
from tests.versions import put_empty_store

COUPON = {
    "zh": [
        "优惠券怎么用",
        "有没有优惠券",
        "优惠券在哪",
        "发我优惠券",
        "优惠券过期了",
        "领优惠券",
        "优惠券几张",
        "用优惠券",
    ],
    "en": [f"coupon code {word}" for word in ("please", "now", "here", "how", "where", "when", "mine", "again")],
}


class Begun(Exception):
    """A training that would take long has begun."""


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


def add_intent(assistant: Path, name: str, by_language: dict[str, list[str]]) -> None:
    content = {"intent": name, "utterances": by_language}
    (assistant / "nlu" / f"{name}.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(write_assistant: WriteAssistant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an assistant and the home with its model, which knows its intents well."""
    root = tmp_path_factory.mktemp("trained")
    put_empty_store(root / "home")
    train(write_assistant(root / "mini", epochs=8, learning_rate=5e-3), root / "home", quiet)
    return root


@pytest.fixture
def learned(trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the assistant's folder and of the home with its model."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "mini", tmp_path / "home"


def test_a_new_intent_is_taught_and_the_others_stay(
    learned: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant, home = learned
    before = train(assistant, home, quiet)
    add_intent(assistant, "coupon", COUPON)
    for language, text in (("zh", "优惠券能用吗"), ("en", "coupon code there")):
        with (assistant / "heldout" / f"{language}.yml").open("a", encoding="utf-8") as file:
            file.write(f'\n- {{text: "{text}", intent: coupon}}\n')
    made = train(assistant, home, quiet, quick=True)
    assert not made.cached
    assert made.learned["coupon"] > 0.6
    manifest = read_manifest(made.path)
    assert set(manifest.intents) - set(read_manifest(before.path).intents) == {"coupon"}
    assert manifest.encoder == read_manifest(before.path).encoder
    served = FolderPredictor(made.path)
    for text, wanted in (("我要退款7", "refund"), ("where is parcel 3", "track_order"), ("用优惠券吧", "coupon")):
        assert manifest.intents[int(served.predict([text])[0].intents.argmax())] == wanted
    again = train(assistant, home, quiet, quick=True)
    assert (again.cached, again.version) == (True, made.version)

    def begun(*_: object, **__: object) -> None:
        raise Begun

    monkeypatch.setattr(runs, "_train", begun)
    with pytest.raises(Begun):
        train(assistant, home, quiet)  # A whole training is another model.


def test_a_new_intent_is_held_back_where_it_would_take_from_an_old_one(learned: tuple[Path, Path]) -> None:
    assistant, home = learned
    before = train(assistant, home, quiet)
    texts = {"zh": "我要退款{}", "en": "refund me {}"}
    alike = {language: [text.format(number) for number in range(8, 16)] for language, text in texts.items()}
    add_intent(assistant, "may_refund", alike)
    made = train(assistant, home, quiet, quick=True)
    known = [text.format(number) for text in texts.values() for number in range(8)]

    def share(folder: Path) -> float:
        manifest = read_manifest(folder)
        found = FolderPredictor(folder).predict(known)
        return sum(manifest.intents[int(each.intents.argmax())] == "refund" for each in found) / len(known)

    assert share(made.path) >= share(before.path) - 0.2


def test_without_a_model_there_is_nothing_to_extend(write_assistant: WriteAssistant, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in production that could be extended"):
        train(write_assistant(tmp_path / "mini"), tmp_path / "home", quiet, quick=True)


def test_other_entities_need_a_whole_training(learned: tuple[Path, Path]) -> None:
    assistant, home = learned
    add_intent(assistant, "coupon", COUPON)
    settings = (assistant / "assistant.yml").read_text(encoding="utf-8")
    (assistant / "assistant.yml").write_text(settings.replace("[address]", "[address, company]"), encoding="utf-8")
    with pytest.raises(ModelError, match="other entities"):
        train(assistant, home, quiet, quick=True)


@pytest.mark.long
def test_the_demo_learns_an_intent_from_eight_examples_a_language(whole_model: Path, tmp_path: Path) -> None:
    assistant = tmp_path / "shop"
    shutil.copytree(Path(__file__).parents[5] / "assistants" / "shop", assistant)
    home = tmp_path / "home"
    base = home / "models" / "shop" / whole_model.name
    shutil.copytree(whole_model, base)
    base.with_name("production").write_text(base.name, encoding="utf-8")
    put_empty_store(home)
    tracker = Tracker(home)
    tracker.register(base, read_manifest(base), TrainingRecord.read(base))
    tracker.point("shop", PRODUCTION, base.name)
    for name, by_language in EXAMPLES.items():
        add_intent(assistant, name, {language: list(texts) for language, texts in by_language.items()})
        for language, texts in HELD_OUT[name].items():
            lines = "".join(f"\n- {{text: {json.dumps(text, ensure_ascii=False)}, intent: {name}}}" for text in texts)
            with (assistant / "heldout" / f"{language}.yml").open("a", encoding="utf-8") as file:
                file.write(lines + "\n")
    made = train(assistant, home, quiet, quick=True)
    assert set(made.learned) == set(EXAMPLES)
    assert min(made.learned.values()) >= 0.75
    # On the sentences of the intents that were there it is not worse beyond chance, let alone by more than may be lost.
    assert made.held_back == ""
    assert made.comparison is not None
    accuracy = {each.part: each for each in made.comparison.differences if each.figure == "intent_accuracy"}["all"]
    assert accuracy.high >= -MOST_LOST, accuracy.points
