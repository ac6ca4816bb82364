import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from services.business.actions.approvals import Verdict, decide
from services.business.actions.ledger import Ledger
from services.business.repository import find_action
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop import repository
from services.business.shop.models import Invoice, Order, Refund, Ticket
from shared.contracts.actions import ActionRequest, ActionResult
from shared.errors import Conflict
from shared.storage.database import Database
from tests.unit.services.business import performing

Ask = Any

ADDRESS = "北京市朝阳区建国路88号"
TITLE = "上海知音科技有限公司"
TAX_ID = "91440300708461136T"


async def perform(ledger: Ledger, request: Any) -> ActionResult:
    result = await performing.perform(ledger, request)
    assert result is not None
    return result


async def find(database: Database, number: str, customer: str = "C1001") -> Order:
    async with database.reading("default") as session:
        order = await repository.order_of_customer(session, customer, number)
    assert order is not None
    return order


async def snapshot(database: Database) -> list[Any]:
    """Everything that an action may change."""
    async with database.reading("default") as session:
        orders = (await session.scalars(select(Order).order_by(Order.id))).all()
        counts = [await session.scalar(select(func.count(table.id))) for table in (Refund, Invoice, Ticket)]
        return [*counts, *((each.status, each.address, len(each.events), len(each.refunds)) for each in orders)]


async def test_a_small_recent_refund_is_paid_at_once(ledger: Ledger, database: Database, ask: Ask) -> None:
    result = await perform(ledger, ask("refund", order_number="20261103003", reason="太小了"))

    assert (result.status, result.version, result.error_code) == ("succeeded", 1, None)
    assert result.data == {
        "order_number": "20261103003",
        "item": {"zh": "T恤", "en": "T-shirt"},
        "amount": 89.9,
        "currency": "CNY",
        "reason_code": "within_limits",
    }
    order = await find(database, "20261103003")
    assert order.status == "refunded"
    assert [(refund.status, refund.amount_fen, refund.reason) for refund in order.refunds] == [("done", 8990, "太小了")]
    assert order.events[-1].text_en == "Refunded"


@pytest.mark.parametrize(
    ("number", "reason_code"), [("20261103004", "amount_over_limit"), ("20261103005", "after_return_period")]
)
async def test_a_large_or_late_refund_waits_for_a_person(
    ledger: Ledger, database: Database, ask: Ask, number: str, reason_code: str
) -> None:
    result = await perform(ledger, ask("refund", order_number=number))

    assert result.status == "awaiting_approval"
    assert not result.final
    assert result.data["reason_code"] == reason_code
    order = await find(database, number)
    assert order.status == "delivered"
    assert [refund.status for refund in order.refunds] == ["pending"]


async def test_an_order_is_refunded_once_whatever_is_asked_for(ledger: Ledger, database: Database, ask: Ask) -> None:
    await perform(ledger, ask("refund", order_number="20261103003"))
    await perform(ledger, ask("refund", order_number="20261103004"))

    again = await perform(ledger, ask("refund", order_number="20261103003"))
    waiting = await perform(ledger, ask("refund", order_number="20261103004"))

    assert (again.status, again.error_code) == ("rejected", "already_refunded")
    assert (waiting.status, waiting.error_code) == ("rejected", "refund_pending")
    assert len((await find(database, "20261103003")).refunds) == 1


async def test_no_table_can_be_edited_so_far_that_money_goes_back_twice(
    ledger: Ledger, database: Database, settings: Settings, ask: Ask
) -> None:
    for name in ("refund", "cancel_order"):
        file = settings.rules_dir / f"{name}.json"
        text = file.read_text(encoding="utf-8")
        edited = text.replace("'refused'", "'automatic'").replace('"out-allowed": "false"', '"out-allowed": "true"')
        file.write_text(edited, encoding="utf-8")
        assert edited != text

    paid = [
        await perform(ledger, ask("refund", order_number="20261103002")),
        await perform(ledger, ask("refund", order_number="20261103002")),
        await perform(ledger, ask("cancel_order", order_number="20261103002")),
    ]

    assert [result.status for result in paid] == ["succeeded", "rejected", "rejected"]
    assert {result.error_code for result in paid[1:]} == {"already_refunded"}
    assert len((await find(database, "20261103002")).refunds) == 1


async def test_the_rules_are_asked_again_when_the_action_is_performed(
    ledger: Ledger, settings: Settings, ask: Ask
) -> None:
    request = ask("refund", order_number="20261103003")
    file = settings.rules_dir / "refund.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"< 500"', '"< 50"'), encoding="utf-8")

    assert (await perform(ledger, request)).status == "awaiting_approval"


async def test_cancelling_gives_the_money_back(ledger: Ledger, database: Database, ask: Ask) -> None:
    result = await perform(ledger, ask("cancel_order", order_number="20261103002"))

    assert (result.status, result.data["amount"]) == ("succeeded", 159.0)
    order = await find(database, "20261103002")
    assert (order.status, order.cancelled_at is not None) == ("cancelled", True)
    assert [refund.status for refund in order.refunds] == ["done"]


async def test_an_address_is_changed_in_its_normal_form(ledger: Ledger, database: Database, ask: Ask) -> None:
    result = await perform(ledger, ask("change_address", order_number="20261103002", address=f"  {ADDRESS}。\n"))

    assert (result.status, result.data["address"]) == ("succeeded", ADDRESS)
    assert (await find(database, "20261103002")).address == ADDRESS


async def test_an_order_has_one_invoice(ledger: Ledger, database: Database, ask: Ask) -> None:
    details = {"order_number": "20261103003", "title": TITLE, "tax_id": "91440300-708461136t", "email": "a@example.com"}

    result = await perform(ledger, ask("request_invoice", **details))
    again = await perform(ledger, ask("request_invoice", **details))

    assert result.status == "succeeded"
    assert result.data["invoice_number"].startswith("INV")
    assert (again.status, again.error_code) == ("rejected", "already_invoiced")
    invoice = (await find(database, "20261103003")).invoice
    assert invoice is not None
    assert (invoice.title, invoice.tax_id, invoice.email, invoice.amount_fen) == (TITLE, TAX_ID, "a@example.com", 8990)


async def test_a_second_invoice_is_refused_whatever_the_table_says(
    ledger: Ledger, settings: Settings, ask: Ask
) -> None:
    file = settings.rules_dir / "request_invoice.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"false"', '"true"'), encoding="utf-8")

    results = [
        await perform(ledger, ask("request_invoice", order_number="20261103003", title="个人")) for _ in range(2)
    ]

    assert [result.error_code for result in results] == [None, "already_invoiced"]


async def test_a_person_needs_no_tax_number(ledger: Ledger, ask: Ask) -> None:
    result = await perform(
        ledger, ask("request_invoice", order_number="20261103003", title="个人", tax_id=None, email="")
    )

    assert (result.status, result.data["tax_id"], result.data["email"]) == ("succeeded", None, None)


async def test_a_customer_has_so_many_open_complaints_at_most(
    database: Database, rules: RuleBook, settings: Settings, ask: Ask
) -> None:
    ledger = Ledger(database, rules, settings.model_copy(update={"tickets_per_customer": 2}))

    async def complain(customer: str | None = "C1001", **more: Any) -> ActionResult:
        return await perform(ledger, ask("open_ticket", subject="坏了", customer=customer).model_copy(update=more))

    first, second, third = [await complain() for _ in range(3)]
    assert (first.status, second.status) == ("succeeded", "succeeded")
    assert (third.status, third.error_code, third.data) == ("rejected", "too_many_tickets", {"open": 2})
    assert (await complain("C1002")).status == "succeeded", "others have their own"
    # Who is no customer has a conversation.
    assert [(await complain(None)).status for _ in range(3)] == ["succeeded", "succeeded", "rejected"]
    assert (await complain(None, conversation_id="conversation-2")).status == "succeeded"
    withdrawn = await perform(ledger, ask("withdraw", request=str(first.data["ticket_number"])))
    assert withdrawn.status == "succeeded"
    assert [(await complain()).status for _ in range(2)] == ["succeeded", "rejected"]


async def test_a_ticket_takes_every_complaint_and_links_only_own_orders(
    ledger: Ledger, database: Database, ask: Ask
) -> None:
    own = await perform(ledger, ask("open_ticket", subject="坏了", order_number="20261103003", sentiment="negative"))
    foreign = await perform(ledger, ask("open_ticket", subject="坏了", order_number="20261104001"))
    unknown = await perform(ledger, ask("open_ticket", subject="坏了", order_number="29999999999"))
    guest = await perform(ledger, ask("open_ticket", subject="坏了", customer=None))

    assert own.data == {"ticket_number": "T000001", "order_number": "20261103003"}
    assert {each.status for each in (own, foreign, unknown, guest)} == {"succeeded"}
    assert foreign.data["order_number"] is unknown.data["order_number"] is guest.data["order_number"] is None
    async with database.reading("default") as session:
        tickets = (await session.scalars(select(Ticket).order_by(Ticket.id))).all()
    assert [(ticket.order_id is not None, ticket.customer_id is not None) for ticket in tickets] == [
        (True, True),
        (False, True),
        (False, True),
        (False, False),
    ]
    assert (tickets[0].subject, tickets[0].sentiment, tickets[0].status) == ("坏了", "negative", "open")


@pytest.mark.parametrize(
    ("name", "arguments", "status", "error_code"),
    [
        ("refund", {"order_number": "20261103006"}, "rejected", "order_cancelled"),
        ("refund", {"order_number": "20261104002"}, "rejected", "order_not_found"),
        ("refund", {"order_number": "29999999999"}, "rejected", "order_not_found"),
        ("refund", {"customer": None}, "rejected", "order_not_found"),
        ("refund", {"customer": "C1003"}, "rejected", "order_not_found"),
        ("refund", {"reason": "  "}, "failed", "invalid_arguments"),
        ("refund", {"reason": "x" * 501}, "failed", "invalid_arguments"),
        ("refund", {"amount": 1}, "failed", "invalid_arguments"),
        ("cancel_order", {"order_number": "20261103001"}, "rejected", "already_shipped"),
        ("cancel_order", {"order_number": "20261103003"}, "rejected", "already_delivered"),
        ("cancel_order", {"order_number": "20261104003"}, "rejected", "order_not_found"),
        ("cancel_order", {}, "failed", "invalid_arguments"),
        ("change_address", {"order_number": "20261103001", "address": ADDRESS}, "rejected", "already_shipped"),
        ("change_address", {"order_number": "20261103002", "address": "随便"}, "rejected", "address_too_short"),
        (
            "change_address",
            {"order_number": "20261103002", "address": "不知道在哪里"},
            "rejected",
            "address_incomplete",
        ),
        ("change_address", {"order_number": "20261104003", "address": ADDRESS}, "rejected", "order_not_found"),
        ("change_address", {"order_number": "20261103002"}, "failed", "invalid_arguments"),
        ("request_invoice", {"order_number": "20261103006", "title": TITLE}, "rejected", "order_cancelled"),
        ("request_invoice", {"order_number": "20261103003", "title": "1"}, "rejected", "title_invalid"),
        (
            "request_invoice",
            {"order_number": "20261103003", "title": TITLE, "tax_id": "914403007084611361"},
            "rejected",
            "tax_id_invalid",
        ),
        (
            "request_invoice",
            {"order_number": "20261103003", "title": TITLE, "email": "nobody"},
            "failed",
            "invalid_arguments",
        ),
        ("request_invoice", {"order_number": "20261104001", "title": TITLE}, "rejected", "order_not_found"),
        ("open_ticket", {"subject": ""}, "failed", "invalid_arguments"),
        ("make_coffee", {}, "failed", "unknown_action"),
    ],
)
async def test_refusals_are_results_and_change_nothing(
    ledger: Ledger,
    database: Database,
    ask: Ask,
    name: str,
    arguments: dict[str, Any],
    status: str,
    error_code: str,
) -> None:
    before = await snapshot(database)

    result = await perform(ledger, ask(name, **arguments))

    assert (result.status, result.error_code) == (status, error_code)
    assert result.final
    assert await snapshot(database) == before


async def test_control_characters_do_not_get_into_the_database(ledger: Ledger, database: Database, ask: Ask) -> None:
    await perform(ledger, ask("open_ticket", subject="坏\x00了\x1b[31m"))

    async with database.reading("default") as session:
        subject = await session.scalar(select(Ticket.subject))
    assert subject == "坏 了 [31m"


async def refund_states(database: Database, number: str = "20261103004") -> list[tuple[str, bool]]:
    return [(each.status, each.withdrawn_at is not None) for each in (await find(database, number)).refunds]


async def test_a_refund_that_waits_is_withdrawn(
    ledger: Ledger, database: Database, ask: Ask, waiting: ActionRequest
) -> None:
    result = await perform(ledger, ask("withdraw", request="R000001"))

    assert (result.status, result.error_code) == ("succeeded", None)
    assert (result.data["order_number"], result.data["kind"]) == ("20261103004", "refund")
    assert await refund_states(database) == [("rejected", True)]
    assert (await find(database, "20261103004")).status == "delivered"
    async with database.reading("default") as session:
        record = await find_action(session, waiting.id)
    assert record is not None
    assert record.result is not None
    assert (record.status, record.result["error_code"], record.result_version) == ("rejected", "withdrawn", 2)
    assert record.resend_at is not None
    with pytest.raises(Conflict, match="withdrawn"):
        await decide(database, "default", waiting.id, "approve", by="agent-7", note=None)
    again = await perform(ledger, ask("refund", order_number="20261103004"))
    assert again.status == "awaiting_approval"
    assert await refund_states(database) == [("rejected", True), ("pending", False)]


@pytest.mark.parametrize(("verdict", "code"), [("approve", "already_paid"), ("reject", "already_rejected")])
async def test_what_was_decided_is_not_withdrawn(
    ledger: Ledger, database: Database, ask: Ask, waiting: ActionRequest, verdict: Verdict, code: str
) -> None:
    await decide(database, "default", waiting.id, verdict, by="agent-7", note=None)
    before = await snapshot(database)

    result = await perform(ledger, ask("withdraw", request="R000001"))

    assert (result.status, result.error_code) == ("rejected", code)
    assert await snapshot(database) == before


async def test_a_withdrawal_and_its_opposite_at_once_leave_one_of_them(
    ledger: Ledger, database: Database, ask: Ask, waiting: ActionRequest
) -> None:
    async def approve() -> str:
        try:
            await decide(database, "default", waiting.id, "approve", by="agent-7", note=None)
            return "succeeded"
        except Conflict:
            return "conflict"

    withdrawn, approved = await asyncio.gather(perform(ledger, ask("withdraw", request="R000001")), approve())

    assert (withdrawn.status, approved) in (("succeeded", "conflict"), ("rejected", "succeeded"))
    paid = (await find(database, "20261103004")).status == "refunded"
    assert paid == (approved == "succeeded")


async def test_a_complaint_is_withdrawn_once(ledger: Ledger, database: Database, ask: Ask) -> None:
    await perform(ledger, ask("open_ticket", subject="too slow"))

    assert (await perform(ledger, ask("withdraw", request="T000001"))).status == "succeeded"
    again = await perform(ledger, ask("withdraw", request="T000001"))

    assert (again.status, again.error_code) == ("rejected", "already_withdrawn")
    async with database.reading("default") as session:
        assert await session.scalar(select(Ticket.status)) == "withdrawn"


@pytest.mark.parametrize("number", ["R000001", "T000001", "R999999", "nothing"])
async def test_somebody_elses_request_is_not_withdrawn(
    ledger: Ledger, database: Database, ask: Ask, waiting: ActionRequest, number: str
) -> None:
    await perform(ledger, ask("open_ticket", subject="too slow"))
    for customer in ("C1002", None):
        result = await perform(ledger, ask("withdraw", customer=customer, request=number))
        assert (result.status, result.error_code) == ("rejected", "request_not_found")
    assert await refund_states(database) == [("pending", False)]
