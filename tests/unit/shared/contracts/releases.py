"""What this release writes, and what the next one makes of it and writes itself."""

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.nlu.manifest import NetworkManifest
from tests.next_release import PROJECT, files

__all__ = ["Answer", "asked", "example_of", "literals_of", "name_of"]

DIGEST = "0" * 64
LEAVES: tuple[Any, ...] = (
    *("a", "order", "zh", DIGEST, "2026-11-03T10:00:00Z", "20261103001", "a@example.com", "lilei", "C1001"),
    *(1, 0.5, True, 12, None, [], {}),
)
"""One of them is right for every field that is not made of others."""
NETWORK: dict[str, Any] = {
    "intents": ["refund", "out_of_scope"],
    "tags": ["O"],
    "sentiments": ["negative", "neutral", "positive"],
    "files": {"model.onnx": DIGEST, "tokenizer.json": DIGEST},
    "quantised": None,
}
"""Fields of a manifest that have to agree with one another."""


ASKED = """
import importlib, json, sys
answers = {}
for name, (example, other) in json.load(sys.stdin).items():
    module, _, attribute = name.partition(":")
    model = getattr(importlib.import_module(module), attribute)
    read = model.model_validate_json(other).model_dump(mode="json")
    answers[name] = [model.model_validate(example).model_dump_json(), read]
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """What the next release writes of an example, and what it makes of the example as this release writes it."""

    written: str
    read: Any


def asked(models: Iterable[type[BaseModel]], folder: Path) -> dict[str, Answer]:
    """The next release's answer for every model, by `name_of` it; its program is made in the folder."""
    for package in ("shared", "services", "cli"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in files().items():
        (folder / path).write_text(text, encoding="utf-8")
    question = {}
    for model in models:
        example = example_of(model)
        question[name_of(model)] = (example, model.model_validate(example).model_dump_json())
    said = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return {name: Answer(written, read) for name, (written, read) in json.loads(said.stdout).items()}


def name_of(model: type[BaseModel]) -> str:
    """Where a model is found."""
    return f"{model.__module__}:{model.__qualname__}"


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """Valid data for a model, every field of it given."""
    hints = get_type_hints(model, include_extras=True)
    given = NETWORK if issubclass(model, NetworkManifest) else {}
    return {name: given[name] if name in given else _example(hints[name]) for name in model.model_fields}


def _example(hint: Any) -> Any:
    for found in _examples(hint):
        try:
            TypeAdapter(hint, config=None if _is_model(hint) else ConfigDict()).validate_python(found)
        except ValidationError:
            continue
        return found
    raise AssertionError(f"say in LEAVES what {hint} looks like")


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "__pydantic_core_schema__")


def _examples(hint: Any) -> list[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [example_of(hint)]
    if origin is Annotated:
        return [*_examples(arguments[0]), *LEAVES]
    if origin in (Union, types.UnionType):
        return [found for each in arguments if each is not type(None) for found in _examples(each)]
    if origin is not None and isinstance(origin, type) and arguments:
        if issubclass(origin, dict | types.MappingProxyType) or origin.__name__ == "Mapping":
            return [{_example(arguments[0]): _example(arguments[1])}]
        if origin.__name__ in ("tuple", "list", "set", "frozenset", "Sequence"):
            one = _example(arguments[0])
            return [[one] * count for count in (1, 2, 3, 10)]
    if origin is not None:
        return list(arguments)
    return list(LEAVES)


def literals_of(model: type[BaseModel]) -> list[str]:
    """The fields with an enumeration of several strings."""
    hints = get_type_hints(model, include_extras=True)
    return [name for name in model.model_fields if len(_members(hints[name])) > 1]


def _members(hint: Any) -> list[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return [each for each in arguments if isinstance(each, str)]
    if origin is Annotated:
        return _members(arguments[0])
    if origin in (Union, types.UnionType):
        return [member for each in arguments for member in _members(each)]
    return []
