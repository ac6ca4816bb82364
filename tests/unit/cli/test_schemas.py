"""The schemas that editors complete an assistant's files by: what is right passes, what is a slip does not."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from cli.new import new
from cli.schemas import FOLDER, SCHEMAS, schemas
from cli.settings import PROJECT
from shared.assistants.yaml_source import Mistakes, read_documents

MADE = schemas()
LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


def findings(schema: str, value: Any) -> list[str]:
    """What an editor marks; keys are text there."""
    return [str(each) for each in jsonschema_rs.validator_for(MADE[schema]).iter_errors(json.loads(json.dumps(value)))]


def documents(path: Path) -> list[Any]:
    if path.name == "assistant.yml":
        return [yaml.safe_load(path.read_text(encoding="utf-8"))]
    return [each.value for each in read_documents(path, str(path), Mistakes())]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "library"
    new(folder)
    return folder


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_file_of_the_demo_and_of_a_new_assistant_passes(schema: str, library: Path) -> None:
    for folder in (PROJECT / "assistants" / "shop", library):
        for path in folder.glob(SCHEMAS[schema]):
            for document in documents(path):
                assert findings(schema, document) == [], path


def test_every_file_of_a_new_assistant_names_its_schema(library: Path) -> None:
    files = [path for pattern in SCHEMAS.values() for path in library.glob(pattern)]
    assert len(files) > 20
    for path in files:
        line = LINE.match(path.read_text(encoding="utf-8"))
        assert line is not None, path
        schema = (path.parent / line[1]).resolve()
        assert json.loads(schema.read_text(encoding="utf-8")) == MADE[schema.stem]
        assert schema.parent == (library / FOLDER).resolve()
        assert path in library.glob(SCHEMAS[schema.stem]), path


DO = {"request": {"path": "/a"}}
LOOKUP = {"request": {"path": "/a"}, "answer": {"a": "text"}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("assistant", {"name": "Bank", "title": {"zh": "银行"}, "languages": ["zh"], "default_language": "zh"}),
        ("assistant", {"name": "bank", "title": {"zh": "银行"}, "languages": ["fr"], "default_language": "zh"}),
        ("flows", {"flow": "a", "steps": []}),
        ("flows", {"flow": "a", "step": [{"reply": "b"}]}),
        ("flows", {"flow": "a", "steps": [{"replies": "b"}]}),
        ("flows", {"flow": "a", "steps": [{"lookup": "b"}]}),
        ("flows", {"flow": "a", "steps": [{"if": "a == 1", "then": [{"confirm": "b"}]}]}),
        ("flows", {"slots": {"a": {"name": {"zh": "x"}, "asks": "b"}}}),
        ("flows", {"lookups": {"a": {"need": ["b"]}}, "actions": {}}),
        ("replies", {"a": {"text": "b", "options": [{"title": "c", "choice": "maybe"}]}}),
        ("replies", {"a": {"line": "b"}}),
        ("nlu", {"intent": "a", "utterances": {"de": ["b"]}}),
        ("nlu", {"intent": "a"}),
        ("heldout", [{"text": "a", "intents": "b"}]),
        ("connector", {"connector": "core", "url": "core.example"}),
        ("connector", {"connector": "core", "lookups": {"a": LOOKUP | {"arguments": {"b": {"type": "string"}}}}}),
        ("connector", {"connector": "core", "lookups": {"a": {"request": {"path": "a"}, "answer": {"a": "text"}}}}),
        ("connector", {"connector": "core", "lookups": {"a": {"request": {"path": "/a"}}}}),
        ("connector", {"connector": "core", "actions": {"a": {"request": {"path": "/a"}, "delivery": "exactly"}}}),
        (
            "connector",
            {"connector": "core", "actions": {"a": {"request": {"path": "/a"}, "approval": {"within": "3"}}}},
        ),
        ("recorded", {"recorded": [{"request": "GET /a"}]}),
        ("recorded", {"recorded": [{"request": "GET /a", "answer": {}, "answers": [{}]}]}),
        ("rules", {"fact": {}}),
        ("tests", [{"conversation": "a", "turns": []}]),
        ("tests", [{"conversation": "a", "turns": [{"user": "b", "expects": ["c"]}]}]),
    ],
)
def test_a_slip_is_marked(schema: str, value: Any) -> None:
    assert findings(schema, value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("flows", {"flow": "a", "slots": {"b": {}}, "steps": [{"collect": "b"}]}),
        ("flows", {"lookups": {"a": {"gives": ["b", {"c": ["d"]}]}}, "actions": {}}),
        ("replies", {"a": "b", "c": ["d", "e"]}),
        ("connector", {"connector": "core", "lookups": {"a": LOOKUP}}),
        ("connector", {"connector": "core", "actions": {"a": {"request": {"path": "/a"}, "refused": {"409": "'b'"}}}}),
        ("recorded", {"recorded": [{"request": "GET /a", "answers": [{"status": 404}, {"fails": True}]}]}),
    ],
)
def test_short_forms_pass(schema: str, value: Any) -> None:
    assert findings(schema, value) == []


def test_most_keys_of_a_connector_say_what_they_are() -> None:
    parts = MADE["connector"]["$defs"]
    assert parts["Action"]["properties"]["retry"]["description"].startswith("Statuses which say that nothing happened")
    assert parts["Action"]["description"].startswith("An effect, made exactly once")
    assert MADE["assistant"]["$defs"]["TrainingSettings"]["properties"]["averaging"]["description"]
