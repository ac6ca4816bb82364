"""The next release of a model: the same with a field more, and with it everything that it is made of."""

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from shared.nlu.manifest import NetworkManifest

__all__ = ["ADDED", "example_of", "literals_of", "next_release", "without_additions"]

ADDED = "added_by_the_next_release"
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


@cache
def next_release(model: type[BaseModel]) -> type[BaseModel]:
    """A subclass with an added field that has a value; the models in its fields are of the next release too."""
    hints = get_type_hints(model, include_extras=True)
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        changed = _next_type(hints[name])
        if changed is not hints[name]:
            fields[name] = (changed, field)
    added = create_model("Added", values=(list[str], ["new"]))
    fields[ADDED] = (added, added())
    grown: type[BaseModel] = create_model(model.__name__, __base__=model, **fields)
    return grown


def _next_type(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return next_release(hint)
    if origin is Annotated:
        changed = _next_type(arguments[0])
        return hint if changed is arguments[0] else Annotated[changed, *hint.__metadata__]
    changed_arguments = tuple(_next_type(each) for each in arguments)
    if all(old is new for old, new in zip(arguments, changed_arguments, strict=True)):
        return hint
    return (Union if origin is types.UnionType else origin)[changed_arguments]


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
            return [[one] * count for count in (1, 2, 10)]
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


def without_additions(data: Any) -> Any:
    """The data without what the next release added, at any depth."""
    if isinstance(data, dict):
        return {name: without_additions(each) for name, each in data.items() if name != ADDED}
    return [without_additions(each) for each in data] if isinstance(data, list) else data
