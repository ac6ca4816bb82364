"""The Rasa project that the benchmark of a turn compares with: the assistant's own intents and utterances."""

from pathlib import Path
from typing import Any

import yaml

from bench.turn.rasa_project import UTTERANCES, write_project
from shared.nlu.training_data import load_training_data

SHOP = load_training_data(Path(__file__).resolve().parents[4] / "assistants" / "shop")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_it_has_the_intents_of_the_assistant_with_examples_in_each_language(tmp_path: Path) -> None:
    write_project(SHOP, tmp_path)
    assert read(tmp_path / "domain.yml")["intents"] == list(SHOP.intents)
    examples = {each["intent"]: each["examples"] for each in read(tmp_path / "data" / "nlu.yml")["nlu"][1:]}
    assert set(examples) == set(SHOP.intents)
    assert all(text.count("- ") >= UTTERANCES * len(SHOP.manifest.languages) for text in examples.values())


def test_entities_are_marked_where_they_stand(tmp_path: Path) -> None:
    write_project(SHOP, tmp_path)
    labels = {*SHOP.manifest.entities, "order_number"}
    marked = [each["examples"] for each in read(tmp_path / "data" / "nlu.yml")["nlu"] if "](" in each["examples"]]
    assert all(any(f"]({label})" in text for text in marked) for label in labels)


def test_every_intent_is_answered_by_a_rule(tmp_path: Path) -> None:
    write_project(SHOP, tmp_path)
    answers = read(tmp_path / "domain.yml")["responses"]
    rules = read(tmp_path / "data" / "rules.yml")["rules"]
    assert {each["rule"] for each in rules} == {*SHOP.intents, "nlu_fallback"}
    assert {each["steps"][1]["action"] for each in rules} == set(answers)
