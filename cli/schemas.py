"""JSON Schemas of an assistant's files, by which an editor completes them and marks slips.

They are made from the models that read the files, so they say what those say; only `nlu/` and `heldout/`, which are
read without a model, are described here. What names what (a reply, a slot, a field) is for `zhiyin check` to find.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from cli.recordings import RecordedFile
from services.dialogue.assistant.responses import RepliesFile
from services.dialogue.assistant.schema import KINDS, BusinessFile, Flow, SharedSlots
from services.dialogue.testing import ScriptsFile
from shared.assistants.connectors import Connector
from shared.assistants.rules import RuleDescription
from shared.nlu.assistant_files import MAX_UTTERANCE, AssistantManifest
from shared.nlu.training_data import SENTIMENTS

__all__ = ["FOLDER", "SCHEMAS", "schemas", "write_schemas"]

FOLDER = ".schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = {
    "assistant": "assistant.yml",
    "flows": "flows/*.yml",
    "replies": "replies/*.yml",
    "nlu": "nlu/*.yml",
    "heldout": "heldout/*.yml",
    "connector": "connectors/*.yml",
    "recorded": "connectors/recorded/*.yml",
    "rules": "rules/*.yml",
    "tests": "tests/*.yml",
}
"""Which files each schema is of."""

EXPRESSION: JsonSchemaValue = {
    "type": ["string", "number", "boolean", "null"],
    "maxLength": 1000,
    "description": "An expression, such as: order.status == 'shipped'. A text in it needs quotes.",
}
TEXT: JsonSchemaValue = {"type": "string"}
NAMES: JsonSchemaValue = {"type": "array", "items": TEXT}

PLAIN: Mapping[str, JsonSchemaValue] = {
    "read_expression": EXPRESSION,
    "read_template": {"type": "string", "description": "A text; in braces stand values: {order.amount:money}."},
    "regular_expression": {"type": "string", "format": "regex"},
    "duration": {"type": ["string"], "pattern": "^[1-9][0-9]{0,4}[smhd]$", "description": "As 30s, 15m, 12h or 3d."},
    "template": {"description": "JSON whose values are expressions."},
}
"""What may be written where a validator of this name reads the whole value."""

SHORT: Mapping[str, list[JsonSchemaValue]] = {
    "same_names": [NAMES],
    "only_a_type": [TEXT],
    "cases": [TEXT],
    "wordings": [TEXT, NAMES],
    "listed": [TEXT],
    "dotted": [{"type": "array"}],
    "request_line": [],
    "is_step": [],
}
"""What may be written for short where a validator of this name comes before the model."""

DESCRIPTIONS = {
    "Flow.flow": "The flow's name.",
    "Flow.title": "What customers see, in every language; needed where the flow asks anything.",
    "Flow.intents": "What begins it; a flow without any can only be called.",
    "Flow.clears": "Beginning it drops everything that was under way.",
    "Flow.slots": "What it needs to know; `name: {}` takes a shared slot.",
    "Flow.steps": "What happens, from top to bottom; they run again after every event, over what is already known.",
    "Slot.entity": "The entity that fills it.",
    "Slot.text": "It takes the customer's own words, so many characters of them.",
    "Slot.pattern": "A regular expression for the whole value.",
    "Slot.options": "Answers to suggest: a list, or where in a look-up's list they are.",
    "Slot.check": "A look-up that decides whether a value is acceptable.",
    "Slot.ask": "The reply that asks for it.",
    "Slot.retry": "The reply that asks again.",
    "Slot.attempts": "After so many unusable answers a person is offered.",
    "Slot.takes": "Intents that are an answer while this is asked.",
    "ActionStep.on_result": "The reply to what became of it: succeeded, awaiting_approval, rejected, failed.",
    "Connector.connector": "Its name: that of the file.",
    "Connector.timeout": "Seconds that a call may take.",
    "Connector.at_once": "Calls at the same time, at most.",
    "Connector.auth": "How the system is told who asks.",
    "Connector.headers": "Headers of every call.",
    "Request.path": "Below the connector's url; {name} is an argument, or customer.",
    "Request.query": "Parameters of the query, by name; null leaves one out.",
    "Request.body": "JSON whose values are expressions; null is left out.",
    "Action.delivery": "What the system does with the same request twice; decides what happens after a lost answer.",
    "Action.refuse": "When it is refused before the call, and the code that says why.",
    "Lookup.answer": "The fields that flows and replies may use.",
    "Action.answer": "The fields that `result` has in on_result and in replies.",
    "ScriptTurn.expect": "The names of all replies, in order.",
    "ScriptTurn.contains": "Parts of their text.",
    "ScriptTurn.offers": "Titles of quick replies among those offered.",
    "ScriptTurn.action": "The action that the turn leads to; without it none may be decided.",
    "ScriptTurn.handoff": "That a person is called, and why; without it none may be.",
}
"""Of fields whose class says nothing of them."""


class _Generator(GenerateJsonSchema):
    """What may be written, with the short forms that validators allow."""

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        return dict(PLAIN.get(name_of(schema["function"]), {}))

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        whole = self.generate_inner(schema["schema"])
        short = SHORT.get(name_of(schema["function"]), [])
        return {"anyOf": [*short, whole]} if short else whole

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """A step: by its first key that names one, so that an editor speaks of this step alone."""
        ways = {str(tag): self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        order = [kind for kind in KINDS if kind in ways]
        chosen: JsonSchemaValue = False  # type: ignore[assignment]  # a schema that nothing passes
        for kind in reversed(order):
            chosen = {"if": {"required": [kind]}, "then": ways[kind], "else": chosen}
        return {
            "type": "object",
            "description": f"A step has one of: {', '.join(order)}.",
            "properties": dict.fromkeys(order, True),
            **chosen,
        }

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        cls = schema["cls"]
        said = attribute_docstrings(cls)
        names = {field.alias or name: name for name, field in cls.model_fields.items()}
        for alias, part in found.get("properties", {}).items():
            name = names.get(alias, alias)
            text = said.get(name) or DESCRIPTIONS.get(f"{cls.__name__}.{name}")
            if text and "description" not in part:
                part["description"] = text
            part.pop("title", None)
        found.pop("title", None)
        if issubclass(cls, BaseModel) and cls.__name__ == "Slot":
            # A flow's slot may take the rest from a shared one.
            found.pop("required", None)
        if cls.__name__ == "Recorded":
            found["properties"]["answer"] = found["properties"]["answers"]["items"]
            found["required"] = ["request"]
            found["oneOf"] = [{"required": ["answer"]}, {"required": ["answers"]}]
        return found


def name_of(function: Mapping[str, Any]) -> str:
    """The name of a validator."""
    return str(getattr(function["function"], "__name__", ""))


def attribute_docstrings(cls: type[Any]) -> dict[str, str]:
    """What stands below the fields of a class, or in its docstring as `field: …`."""
    said: dict[str, str] = {}
    for line in re.findall(r"^([a-z_]+): (.+(?:\n(?![a-z_]+: ).+)*)", inspect.getdoc(cls) or "", re.MULTILINE):
        said[line[0]] = " ".join(line[1].split())
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text))):
                said[name] = " ".join(text.split())
    return said


def of(model: type[BaseModel]) -> JsonSchemaValue:
    """The schema of what a model reads."""
    return model.model_json_schema(schema_generator=_Generator, ref_template="#/$defs/{model}")


def any_of(models: Mapping[str, type[BaseModel]]) -> JsonSchemaValue:
    """The schema of a document that is one of several, told apart by the key that only it has."""
    chosen: JsonSchemaValue = {}
    definitions: dict[str, Any] = {}
    for key, model in reversed(list(models.items())):
        schema = of(model)
        definitions |= schema.pop("$defs", {})
        name = model.__name__
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
        else:
            definitions[name] = schema
        way = {"$ref": f"#/$defs/{name}"}
        chosen = {"if": {"required": [key]}, "then": way, "else": chosen} if chosen else way
    return {"$defs": definitions, "type": "object", **chosen}


def sentences(**more: Any) -> JsonSchemaValue:
    """Examples by language."""
    text = {"type": ["string", "number", "boolean"], "maxLength": MAX_UTTERANCE, **more}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {language: {"type": "array", "items": text} for language in ("zh", "en")},
    }


def nlu_schema() -> JsonSchemaValue:
    """`nlu/<intent>.yml` and `nlu/sentiment.yml`."""
    marked = sentences(description="A sentence; entities are marked in it: 寄到[世纪大道100号](address).")
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "intent": {
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]{0,63}$",
                "description": "The intent's name: that of the file.",
            },
            "utterances": marked | {"description": "What customers say, thirty sentences a language or more."},
            "sentiment": {
                "type": "object",
                "additionalProperties": False,
                "properties": {mood: sentences() for mood in SENTIMENTS},
            },
        },
        "oneOf": [{"required": ["intent", "utterances"]}, {"required": ["sentiment"]}],
    }


def heldout_schema() -> JsonSchemaValue:
    """`heldout/<language>.yml`."""
    scalar: JsonSchemaValue = {"type": ["string", "number", "boolean"]}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["text", "intent"],
            "properties": {
                "text": scalar | {"description": "A sentence that is only measured on, never trained on."},
                "intent": {"type": "string"},
                "sentiment": {"enum": list(SENTIMENTS)},
                "entities": {
                    "type": "object",
                    "additionalProperties": {"anyOf": [scalar, {"type": "array", "items": scalar}]},
                },
            },
        },
    }


@cache
def schemas() -> dict[str, JsonSchemaValue]:
    """Every schema by its name."""
    made = {
        "assistant": of(AssistantManifest),
        "flows": any_of({"flow": Flow, "lookups": BusinessFile, "slots": SharedSlots}),
        "replies": of(RepliesFile),
        "nlu": nlu_schema(),
        "heldout": heldout_schema(),
        "connector": of(Connector),
        "recorded": of(RecordedFile),
        "rules": of(RuleDescription),
        "tests": of(ScriptsFile),
    }
    return {name: {"$schema": DIALECT, "title": SCHEMAS[name], **schema} for name, schema in made.items()}


def write_schemas(folder: Path) -> list[Path]:
    """Writes the schemas to `.schemas/` of an assistant's folder; the files."""
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = target / f"{name}.json"
        path.write_text(json.dumps(schema, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return written
