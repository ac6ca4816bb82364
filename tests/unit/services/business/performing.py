"""An action as it comes from dialogue: taken into the ledger, and performed from there."""

from services.business.actions.ledger import Ledger
from services.business.actions.results import NothingToDo
from shared.contracts.actions import ActionRequest, ActionResult

__all__ = ["perform"]


async def perform(ledger: Ledger, request: ActionRequest) -> ActionResult | None:
    """The result of an action, by one attempt if it is open; `None` if it has none and no attempt is to be made now."""
    await ledger.accept(request)
    try:
        return await ledger.perform(request)
    except NothingToDo:
        return (await ledger.accept(request)).result
