"""What understanding says of an assistant and of a model, before anything is trained."""

from pathlib import Path

import pytest

from services.learning.datasets.examples import Labels
from services.learning.evaluation.calibration import Calibration
from services.learning.evaluation.golden_set import unseen_sentences
from services.learning.kinds.understanding.kind import FittedUnderstanding, Understanding
from services.learning.training.pipeline import ExportedModel
from shared.errors import ConfigurationError
from shared.nlu.manifest import EncoderFacts, ModelError
from shared.nlu.out_of_scope import ScopeRule
from tests.models import INTENTS, write_model
from tests.unit.services.learning.conftest import WriteAssistant

KNOWN = ("track_order", "refund", "change_address", "out_of_scope")


@pytest.fixture
def kind() -> Understanding:
    return Understanding()


@pytest.fixture
def mini(write_assistant: WriteAssistant, tmp_path: Path) -> Path:
    return write_assistant(tmp_path / "mini")


def test_utterances_and_settings_make_another_model_and_held_out_sentences_do_not(
    kind: Understanding, mini: Path, write_assistant: WriteAssistant, tmp_path: Path
) -> None:
    before = kind.prepare(mini)
    assert before.name == "mini"
    assert kind.prepare(write_assistant(tmp_path / "same")).recipe == before.recipe
    assert kind.prepare(write_assistant(tmp_path / "longer", epochs=3)).recipe != before.recipe
    with (mini / "heldout" / "en.yml").open("a", encoding="utf-8") as file:
        file.write("- {text: my parcel, intent: track_order}\n")
    measured = kind.prepare(mini)
    assert (measured.recipe, measured.data_hash) == (before.recipe, before.data_hash)
    assert measured.heldout_hash not in ("", before.heldout_hash)
    with (mini / "nlu" / "change_address.yml").open("a", encoding="utf-8") as file:
        file.write("    - 'one more'\n")
    taught = kind.prepare(mini)
    assert taught.data_hash != before.data_hash
    assert taught.recipe != before.recipe


def test_without_held_out_sentences_there_is_nothing_to_measure_on(kind: Understanding, mini: Path) -> None:
    for file in (mini / "heldout").iterdir():
        file.unlink()
    assert kind.prepare(mini).heldout_hash == ""


def test_the_encoder_counts_beside_the_recipe(kind: Understanding, mini: Path, encoder_folder: Path) -> None:
    [found] = kind.ingredients(kind.prepare(mini))
    assert len(found) == 64
    settings = (mini / "assistant.yml").read_text(encoding="utf-8")
    settings = settings.replace(str(encoder_folder), "multilingual-e5-small")
    (mini / "assistant.yml").write_text(settings, encoding="utf-8")
    assert kind.ingredients(kind.prepare(mini)) != (found,)


def test_a_model_lacks_the_intents_that_it_was_not_trained_with(
    kind: Understanding, mini: Path, tmp_path: Path
) -> None:
    prepared = kind.prepare(mini)
    known = write_model(tmp_path, version="known", intents=KNOWN)
    other = write_model(tmp_path, version="other", intents=INTENTS)
    assert kind.extension.lacking(prepared, known) == frozenset()
    assert kind.extension.lacking(prepared, other) == {"change_address"}
    assert kind.extension.learned(known, frozenset({"change_address"})) == {}
    with pytest.raises(ModelError, match="without the intents change_address"):
        kind.evaluate(prepared, other)
    assert len(kind.judge(prepared, other).rows) == sum(
        sentence.intent in INTENTS for sentence in unseen_sentences(prepared.assistant)
    )
    assert not (other / "card.md").exists(), "what is judged alone is not written down"


def test_a_model_suffices_while_it_knows_all_intents_and_entities(
    kind: Understanding, mini: Path, tmp_path: Path
) -> None:
    prepared = kind.prepare(mini)
    assert kind.preliminary.suffices(prepared, write_model(tmp_path, version="a", intents=KNOWN))
    assert not kind.preliminary.suffices(prepared, write_model(tmp_path, version="b"))
    assert not kind.preliminary.suffices(prepared, write_model(tmp_path, version="c", intents=KNOWN, tags=("O",)))


def test_a_folder_that_is_no_assistant_is_refused(kind: Understanding, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such assistant folder"):
        kind.prepare(tmp_path / "nowhere")


def test_signs_that_were_taught_by_themselves_are_told_to_those_who_serve(
    kind: Understanding, mini: Path, tmp_path: Path
) -> None:
    with (mini / "nlu" / "refund.yml").open("a", encoding="utf-8") as file:
        file.write("    - '👎'\n    - '？！'\n    - 'refund 🙏!'\n")
    prepared = kind.prepare(mini)
    facts = EncoderFacts(name="tiny", layers=1, vocabulary=9)
    exported = ExportedModel(Labels.of(prepared.assistant), facts, Calibration(1.0, ScopeRule(threshold=0.5), {}), None)
    fitted = FittedUnderstanding(settings={}, sizes={}, write=lambda _folder: exported)
    assert kind.export(prepared, fitted, tmp_path)["symbols"] == ("!", "?", "👎")
