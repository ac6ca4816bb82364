"""Tries every operation of a running service with input that its OpenAPI document allows, and with what it does not."""

from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

__all__ = ["explore"]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
]


def explore(base_url: str, *, headers: Mapping[str, str] | None = None, examples: int | None = None) -> int:
    """Raises for the first answer that is a 5xx or that the document does not allow; blocks, so run it in a thread.

    Args:
        examples: how many of each operation and mode; by default a fifth of what hypothesis' profile says.

    Returns:
        How many operations were tried.
    """
    tried = examples or max(4, settings().max_examples // 5)
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    operations = 0
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()
        operation = result.ok()
        operations += 1
        takes_something = bool(operation.body) or any(True for _ in operation.iter_parameters())
        for mode in GenerationMode if takes_something else [GenerationMode.POSITIVE]:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=tried,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            def check(case: Case[Any]) -> None:
                case.call_and_validate(headers=dict(headers or {}), checks=CHECKS, timeout=30)

            check()
    return operations
