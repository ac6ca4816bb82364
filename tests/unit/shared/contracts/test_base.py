"""Releases N and N+1 side by side: whatever one of them writes, the other reads."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings

import cli
import services
import shared
from services.business import settings as business_settings
from services.business.rules import facts
from services.business.shop.actions import ACTIONS
from services.dialogue import settings
from services.dialogue.policy.decision import TurnEvent
from services.dialogue.policy.state import Pending, State
from services.login.bootstrap import SeedPart
from shared.assistants.yaml_source import Part
from shared.contracts.actions import ActionResult
from shared.contracts.base import Contract, RequestBody
from shared.http.__main__ import SERVICES
from shared.http.server import load
from shared.nlu import assistant_files, training_data, training_settings
from tests.next_release import ADDED, without_additions
from tests.next_release import MEMBER as UNKNOWN
from tests.unit.shared.contracts.releases import Answer, asked, example_of, literals_of, name_of

WRITTEN_BY_HAND = (Part, SeedPart)
"""Files of people, to whom a field that is not known is a slip of the pen."""
BY_HAND = {
    each.__name__ for each in (business_settings, facts, settings, assistant_files, training_data, training_settings)
}
"""Where such files are described without a base that is known elsewhere."""
EFFECTS = {action.arguments for action in ACTIONS.values()}
"""An effect is made as it was asked for, or not at all."""

REFUSED = "refused"
UNKNOWN_MEMBERS: dict[tuple[str, str], Any] = {
    # Neither a success nor a failure: the action stays open until a release reads the result that knows it.
    ("ActionResult", "status"): REFUSED,
    ("Understanding", "language"): "other",
    ("Sentiment", "label"): "neutral",
    ("SentimentPrediction", "label"): "neutral",
    ("Pending", "kind"): REFUSED,
    # Neither done nor undone: the customer is told that it is not certain yet.
    ("Submitted", "status"): "pending",
    # Seen, and followed by nobody here: what no reader knows is neither live nor refused.
    ("ReleaseAlias", "alias"): "shadow",
    ("Release", "state"): "proving",
    # Our own answers, which nobody here reads.
    ("Me", "kind"): REFUSED,
    # Parts of a model folder or of a report on it: what cannot be understood of a model, is not served.
    ("ScopeRule", "score"): REFUSED,
    ("ModelManifest", "sentiments"): REFUSED,
    ("NetworkManifest", "sentiments"): REFUSED,
    # Processes of one release, and a choice of engine that is measured again where it cannot be read.
    ("Progress", "stage"): REFUSED,
    ("Question", "library"): REFUSED,
    ("Question", "precision"): REFUSED,
    ("Trial", "library"): REFUSED,
    ("Trial", "precision"): REFUSED,
    ("_Choice", "library"): REFUSED,
    ("_Choice", "precision"): REFUSED,
}
"""What a member is read as that only the next release knows, for every enumeration that is read from elsewhere."""

TOLERANT_OPERATIONS = {
    # Services ask these.
    "POST /v1/lookups/{name}",
    "POST /v1/understand",
    "POST /v1/token",
    "POST /v1/audit",
    "POST /v1/instances",
    "POST /v1/actions",
    # Login itself looks at what is passed on to it.
    "POST /v1/auth/{call}",
    # The Open Inference Protocol has members that a server may ignore.
    "POST /v2/models/{model}/infer",
    "POST /v2/models/{model}/versions/{version}/infer",
}


def models() -> Iterator[type[BaseModel]]:
    """Every model of the project."""
    for package in (shared, services, cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and ".migrations." not in module.name:
                importlib.import_module(module.name)
    found = [BaseModel]
    for each in found:
        found += [sub for sub in each.__subclasses__() if sub not in found]
    for each in found:
        if each.__module__.split(".")[0] in ("shared", "services", "cli") and not issubclass(each, BaseSettings):
            yield each


MODELS = sorted(models(), key=lambda each: (each.__module__, each.__qualname__))
STRICT = [each for each in MODELS if each.model_config.get("extra") == "forbid"]
DRAWN = ("services.business.rules.",)
"""Where tables and graphs are read as other programs draw them: more of it than is needed passes."""
READ = [
    each
    for each in MODELS
    if each not in STRICT
    and not each.__module__.startswith(DRAWN)
    and each.model_fields
    and not issubclass(each, RequestBody | RootModel)
    and not inspect.isabstract(each)
]


@pytest.mark.parametrize("model", STRICT, ids=lambda each: each.__qualname__)
def test_only_what_people_and_the_public_write_is_read_strictly(model: type[BaseModel]) -> None:
    effect = any(issubclass(each, model) for each in EFFECTS)
    assert effect or issubclass(model, (RequestBody, *WRITTEN_BY_HAND)) or model.__module__ in BY_HAND
    assert not issubclass(model, Contract)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What the next release, as a program of its own, says about every model."""
    return asked(READ, tmp_path_factory.mktemp("next"))


@pytest.mark.budget(20, "the first of them starts the next release, a program that imports every module")
@pytest.mark.parametrize("model", READ, ids=lambda each: each.__qualname__)
def test_what_the_next_release_writes_is_read_and_the_other_way_round(
    model: type[BaseModel], answers: dict[str, Answer]
) -> None:
    today, answer = model.model_validate(example_of(model)), answers[name_of(model)]
    assert ADDED in json.loads(answer.written), "it has more to say"
    for said in (model.model_validate_json(answer.written), model.model_validate(answer.read)):
        assert without_additions(said.model_dump(mode="json")) == today.model_dump(mode="json")


@pytest.mark.parametrize("model", READ, ids=lambda each: each.__qualname__)
def test_of_every_enumeration_it_is_known_what_an_unknown_member_means(model: type[BaseModel]) -> None:
    data = example_of(model)
    for name in literals_of(model):
        expected = UNKNOWN_MEMBERS[model.__name__, name]
        changed = {**data, name: [UNKNOWN] if isinstance(data[name], list) else UNKNOWN}
        if expected == REFUSED:
            with pytest.raises(ValidationError):
                model.model_validate(changed)
        else:
            assert getattr(model.model_validate(changed), name) == expected
            with pytest.raises(ValidationError):
                model.model_validate({**data, name: 7})


def test_a_question_of_the_next_release_is_forgotten_and_the_conversation_goes_on() -> None:
    asked = {"kind": UNKNOWN, "name": "delivery_day"}
    state = State.model_validate({"turn": 3, "language": "zh", "pending": asked})
    assert (state.pending, state.turn) == (None, 3)
    known = State.model_validate({"pending": {"kind": "slot", "name": "reason", ADDED: 1}})
    assert known.pending == Pending(kind="slot", name="reason")


def test_an_event_of_a_turn_may_have_more_fields() -> None:
    result = ActionResult(action_id="a", tenant="t", name="refund", conversation_id="c", status="succeeded")
    data = {"kind": "action_finished", "origin": {"flow": "f", "step": "s", ADDED: 1}, ADDED: 1}
    event = TypeAdapter[Any](TurnEvent).validate_python({**data, "result": {**result.model_dump(), ADDED: {"a": 1}}})
    assert (event.kind, event.result) == ("action_finished", result)


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "worker"])
def test_bodies_of_the_public_may_have_no_other_fields_and_those_of_services_may(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZHIYIN_HOME", str(tmp_path))
    document = load(SERVICES[service]).openapi()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            for schema in _objects(document, content.get("application/json", {}).get("schema")):
                tolerant = f"{method.upper()} {path}" in TOLERANT_OPERATIONS
                assert (schema.get("additionalProperties") is not False) == tolerant, f"{method} {path}"


def _objects(document: dict[str, Any], schema: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The schemas of the bodies that an operation takes."""
    if schema is None or schema.get("type") == "null":
        return
    if "$ref" in schema:
        yield from _objects(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _objects(document, each)
    else:
        yield schema
