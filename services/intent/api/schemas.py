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
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in schema.items() if name != "$defs"}
