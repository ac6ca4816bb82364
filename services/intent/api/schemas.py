"""JSON schemas of bodies that are read by hand, for the OpenAPI document."""

from typing import Any

__all__ = ["without_references"]


def without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$defs` in the places that refer to them: nothing else brings them into the document."""
    inlined: dict[str, Any] = _inlined(schema, schema.get("$defs", {}))
    return inlined


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        inlined = _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        # Generators of clients name a class after the title, and there may be one of that name elsewhere.
        return {name: each for name, each in inlined.items() if name != "title"}
    return {name: _inlined(each, definitions) for name, each in schema.items() if name != "$defs"}
