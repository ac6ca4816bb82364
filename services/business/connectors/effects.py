"""Effects on companies' systems: what an action comes to before it is made, and one call of it."""

from dataclasses import dataclass
from typing import Any, Literal

from shared.assistants.connectors import Approval, Query, SagaStep

__all__ = ["Prepared"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An action that may be made now: nothing refuses it.

    `approval` is there where a person has to agree first. `scope` holds every name that the action's expressions may
    use before the call, as JSON; a saga's steps add to it what they save.
    """

    arguments: dict[str, Any]
    scope: dict[str, Any]
    approval: Approval | None
    delivery: Literal["idempotent", "queryable", "once"]
    query: Query | None
    saga: list[SagaStep] | None
