"""How the ledger reaches foreign systems: what it asks of whatever calls them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from services.business.connectors.outcomes import Done, Refused
from shared.assistants.connectors import Approval, SagaStep
from shared.contracts.actions import ActionRequest

__all__ = ["Delivery", "Effects", "Prepared", "Stored", "as_json"]

Delivery = Literal["idempotent", "queryable", "once"]


class Prepared(Protocol):
    """An action whose checks have let it through, as it is to be done."""

    @property
    def approval(self) -> Approval | None:
        """What a person has to agree to first."""

    @property
    def delivery(self) -> Delivery:
        """What may be done about a call of which nobody knows what became."""

    @property
    def settle(self) -> timedelta:
        """For so long after a call it may still take effect."""

    @property
    def saga(self) -> list[SagaStep] | None:
        """The steps, where it is several effects."""

    @property
    def scope(self) -> dict[str, Any]:
        """What expressions may use."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as the action takes them."""

    @property
    def title(self) -> dict[str, str] | None:
        """What the action is called, by language."""

    @property
    def known(self) -> dict[str, Any]:
        """The fields of its answer that are known before the effect."""


class Effects(Protocol):
    """Calls foreign systems; `perform` and `happened` are also given what another process has prepared (`Stored`)."""

    def handles(self, request: ActionRequest) -> bool:
        """Whether the request's assistant has this action by a connector."""

    async def prepare(self, request: ActionRequest, moment: datetime) -> Refused | Prepared:
        """Checks everything that is to be checked before the effect; makes no effect.

        Raises:
            NothingHappened, OutcomeUnknown: what it has to look up cannot be looked up now.
            SystemRefused: the system does not take the question.
        """

    async def perform(self, request: ActionRequest, prepared: Prepared, *, key: str) -> Done | Refused:
        """One call that makes the effect, under this idempotency key.

        Raises:
            NothingHappened, OutcomeUnknown, SystemRefused: as each of them says.
        """

    async def happened(self, request: ActionRequest, prepared: Prepared, *, key: str) -> Done | Refused | None:
        """Whether the effect of this key was made; `None` says that it was not.

        Raises:
            NothingHappened, OutcomeUnknown, SystemRefused: it cannot be said now.
        """

    def finished(self, request: ActionRequest, prepared: Prepared, saved: dict[str, Any]) -> Done:
        """What a saga answers whose steps have been made; `saved` is their data by the names it is saved under.

        Raises:
            SystemRefused: there is no such action any more.
        """


@dataclass(frozen=True)
class Stored:
    """What was prepared, as it comes back from the ledger: the same call is made again with the same content."""

    delivery: Delivery
    settle: timedelta
    scope: dict[str, Any]
    arguments: dict[str, Any]
    saga: list[SagaStep] | None = None
    approval: Approval | None = None
    title: dict[str, str] | None = None
    known: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Stored":
        """From what `as_json` gave."""
        saga = stored["saga"]
        return cls(
            delivery=stored["delivery"],
            settle=timedelta(seconds=stored["settle"]),
            scope=stored["scope"],
            arguments=stored["arguments"],
            saga=None if saga is None else [SagaStep.model_validate(each) for each in saga],
        )


def as_json(prepared: Prepared) -> dict[str, Any]:
    """What of it the ledger keeps; the steps with it, for a release that has others must not finish a saga of this."""
    return {
        "delivery": prepared.delivery,
        "settle": prepared.settle.total_seconds(),
        "scope": prepared.scope,
        "arguments": prepared.arguments,
        "saga": None if prepared.saga is None else [_step(each) for each in prepared.saga],
    }


def _step(step: SagaStep) -> dict[str, Any]:
    made: dict[str, Any] = {"action": step.action, "arguments": _sources(step.arguments), "save": step.save}
    if step.undo is not None:
        made["undo"] = {"action": step.undo.action, "arguments": _sources(step.undo.arguments)}
    return made


def _sources(arguments: Any) -> dict[str, str]:
    return {name: each.source for name, each in arguments.items()}
