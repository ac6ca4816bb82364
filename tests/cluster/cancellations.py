"""Orders of the demo's customer that guests cancel: actions with effects that can be counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.cluster.installation import Installation
from tests.cluster.load import Guest
from tests.cluster.transcripts import gaps
from tests.stack import eventually

__all__ = ["Cancellation", "cancelling", "done_once"]

DONE_SECONDS = 90.0

# Paid long ago, so that the lists that customers are shown stay as they are.
INSERT = """
INSERT INTO orders (tenant, number, customer_id, status, item_zh, item_en, amount_fen, currency, address, paid_at)
SELECT 'default', '{number}', id, 'paid', '雨伞', 'umbrella', 8800, 'CNY', '上海', now() - interval '900 days'
FROM customers WHERE number = 'C1001'
"""
CANCELLED = """
SELECT o.number, o.status, count(e.id) FROM orders o LEFT JOIN order_events e ON e.order_id = o.id
WHERE o.number IN ({numbers}) GROUP BY o.number, o.status
"""


@dataclass(frozen=True)
class Cancellation:
    """A guest who cancels an order."""

    guest: Guest
    number: str

    async def ask(self) -> None:
        """Says which order, up to the question whether to go on."""
        asked = await self.guest.say(f"取消订单 {self.number}")
        assert asked.status == 200, asked.failure
        assert [reply["data"]["reply"] for reply in asked.replies] == ["confirm_cancel"], asked.replies

    async def confirm(self) -> None:
        """Confirms; from the reply on the action is accepted."""
        confirmed = await self.guest.say("确认")
        assert confirmed.status == 200, confirmed.failure
        names = [reply["data"]["reply"] for reply in confirmed.replies]
        assert "cancel_accepted" in names, names

    async def told(self) -> int:
        """How often the customer got the reply that it is done."""
        events = await self.guest.transcript()
        assert not gaps([event["seq"] for event in events])
        return sum(event["data"].get("reply") == "cancel_succeeded" for event in events)


@asynccontextmanager
async def cancelling(zhiyin: Installation, series: int, count: int) -> AsyncIterator[list[Cancellation]]:
    """`count` guests, each asked whether to cancel an order of their own; `series` makes the orders new ones."""
    numbers = [f"20{series:03d}{index:06d}" for index in range(count)]
    await zhiyin.sql("business", ";".join(INSERT.format(number=number) for number in numbers))
    url = await zhiyin.url("dialogue")
    timeout = aiohttp.ClientTimeout(total=20)
    made = [Cancellation(Guest(aiohttp.ClientSession(url, timeout=timeout)), number) for number in numbers]
    try:
        await asyncio.gather(*(each.guest.enter([]) for each in made))
        await asyncio.gather(*(each.ask() for each in made))
        yield made
    finally:
        # A guest may have another session by now.
        for each in made:
            await each.guest.session.close()


async def done_once(zhiyin: Installation, cancellations: list[Cancellation]) -> None:
    """Waits until every order is cancelled and its customer informed; then neither may have happened twice."""

    async def all_told() -> bool:
        return all(await asyncio.gather(*(each.told() for each in cancellations)))

    await eventually(all_told, DONE_SECONDS, what="the end of every cancellation")
    assert set(await asyncio.gather(*(each.told() for each in cancellations))) == {1}, "each customer is told once"
    numbers = ", ".join(f"'{each.number}'" for each in cancellations)
    rows = (await zhiyin.sql("business", CANCELLED.format(numbers=numbers))).splitlines()
    assert sorted(rows) == sorted(f"{each.number}|cancelled|1" for each in cancellations)
