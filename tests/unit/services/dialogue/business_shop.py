"""The demo shop in this process: business's own look-ups, rules and actions on a database of its own."""

import asyncio
from pathlib import Path
from typing import Any

from services.business import actions, lookups
from services.business.models import Base
from services.business.rules import RuleBook
from services.business.seed import seed
from services.business.store import refund_of_action
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.database import Database, now

__all__ = ["BusinessShop"]

TENANT = "default"


class BusinessShop:
    """A freshly seeded shop for one conversation of one customer."""

    def __init__(self, runner: asyncio.Runner, url: str, rules: Path, customer: str) -> None:
        self.runner = runner
        self.database = Database(url)
        self.rules = RuleBook(rules)
        self.customer = customer
        runner.run(self.prepare())

    async def prepare(self) -> None:
        async with self.database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        await seed(self.database, TENANT)

    def close(self) -> None:
        self.runner.run(self.database.close())

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        async def ask() -> LookupAnswer:
            async with self.database.reading(TENANT) as session:
                request = LookupRequest(customer=self.customer, arguments=arguments)
                return await lookups.look_up(session, self.rules, name, request)

        return self.runner.run(ask())

    def perform(self, request: ActionRequest) -> ActionResult:
        async def do() -> ActionResult:
            async with self.database.transaction(TENANT) as session:
                outcome = await actions.perform(session, self.rules, request, now())
            return result(request, outcome, 1)

        return self.runner.run(do())

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        async def decide() -> ActionResult:
            async with self.database.transaction(TENANT) as session:
                found = await refund_of_action(session, request.id)
                assert found is not None
                refund, order = found
                if approved:
                    actions.pay_refund(order, refund, now(), by="test", note=None)
                else:
                    actions.reject_refund(refund, now(), by="test", note=None)
            status = "succeeded" if approved else "rejected"
            return result(request, actions.Outcome(status=status), 2)  # type: ignore[arg-type]

        return self.runner.run(decide())


def result(request: ActionRequest, outcome: actions.Outcome, version: int) -> ActionResult:
    return ActionResult(
        action_id=request.id,
        tenant=request.tenant,
        name=request.name,
        conversation_id=request.conversation_id,
        status=outcome.status,
        version=version,
        data=outcome.data,
        error_code=outcome.error_code,
    )
