"""Refunds and complaints: how far they have come, as their customer may know it."""

from typing import Any

import pytest

from services.business.actions.approvals import decide
from services.business.actions.ledger import Ledger
from services.business.rules.rule_book import RuleBook
from services.business.shop.lookups import look_up
from services.business.shop.requests import request_key
from shared.contracts.actions import ActionRequest
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.storage.database import Database
from tests.unit.services.business.performing import perform

Ask = Any


class Desk:
    """Asks for the customer's requests."""

    def __init__(self, database: Database, rules: RuleBook) -> None:
        self._database = database
        self._rules = rules

    async def __call__(self, name: str, customer: str | None = "C1001", **arguments: Any) -> LookupAnswer:
        request = LookupRequest(customer=customer, arguments=arguments)
        return await self._database.read("default", lambda unit: look_up(unit, self._rules, name, request))


@pytest.fixture
def desk(database: Database, rules: RuleBook) -> Desk:
    return Desk(database, rules)


def states(answer: LookupAnswer) -> list[tuple[str, str, bool]]:
    return [(each["request"], each["status"], each["open"]) for each in answer.data["requests"]]


@pytest.mark.parametrize(
    ("number", "key"),
    [
        ("R000012", ("refund", 12)),
        ("t000001", ("ticket", 1)),
        ("R1", ("refund", 1)),
        ("R", None),
        ("", None),
        ("X000001", None),
        ("R-1", None),
        ("R٣", None),
        ("R9999999999", None),
        ("20261103001", None),
    ],
)
def test_the_number_of_a_request(number: str, key: tuple[str, int] | None) -> None:
    assert request_key(number) == key


async def test_nothing_was_asked_for(desk: Desk) -> None:
    answer = await desk("requests")
    assert answer.found
    assert answer.data == {"requests": [], "count": 0, "open": [], "open_count": 0, "first": None}
    assert not (await desk("requests", None)).found
    assert not (await desk("requests", "C9999")).found


async def test_a_refund_from_its_request_to_its_decision(
    desk: Desk, database: Database, waiting: ActionRequest
) -> None:
    answer = await desk("requests")
    assert states(answer) == [("R000001", "pending", True)]
    assert answer.data["first"]["about"] == {"zh": "机械键盘", "en": "mechanical keyboard"}
    assert answer.data["first"]["order_number"] == "20261103004"
    assert answer.data["first"]["amount"] == 1299.0
    assert (await desk("request", request="r000001")).data == answer.data["first"]

    await decide(database, "default", waiting.id, "approve", by="agent-7", note=None)
    assert states(await desk("requests")) == [("R000001", "done", False)]


async def test_a_refund_that_was_turned_down(desk: Desk, database: Database, waiting: ActionRequest) -> None:
    await decide(database, "default", waiting.id, "reject", by="agent-7", note=None)
    assert states(await desk("requests")) == [("R000001", "rejected", False)]


async def test_a_complaint_and_the_newest_first(desk: Desk, ledger: Ledger, ask: Ask) -> None:
    await perform(ledger, ask("open_ticket", subject="快递员态度很差" * 10))
    await perform(ledger, ask("refund", order_number="20261103003"))
    answer = await desk("requests")
    assert sorted(states(answer)) == [("R000001", "done", False), ("T000001", "open", True)]
    ticket = (await desk("request", request="T000001")).data
    assert ticket["kind"] == "ticket"
    assert len(ticket["about"]["zh"]) == 30
    assert {"zh", "en"} == set(ticket["status_text"]) == set(ticket["kind_text"])


async def test_no_more_than_fit_in_a_reply(desk: Desk, ledger: Ledger, ask: Ask) -> None:
    for _ in range(7):
        await perform(ledger, ask("open_ticket", subject="again"))
    assert len(states(await desk("requests"))) == 5


async def test_somebody_elses_request_looks_like_one_that_does_not_exist(desk: Desk, waiting: ActionRequest) -> None:
    for customer in ("C1002", None):
        for number in ("R000001", "R000002", "T000001", "nothing"):
            assert not (await desk("request", customer, request=number)).found
    assert states(await desk("requests", "C1002")) == []
