"""Actions: the effects on the shop. Every rule is checked again here, inside the transaction that makes the effect.

What the conversation promised is not trusted: the order may have changed since, and the message may be old. A refusal
is an outcome, not an error, and leaves the shop as it was.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from services.business import repository as ledger_rows
from services.business.rules.rule_book import RuleBook
from services.business.shop import repository
from services.business.shop.addresses import address_problem, normal_address
from services.business.shop.arguments import (
    CancelOrder,
    ChangeAddress,
    OpenTicket,
    OrderEffect,
    RefundOrder,
    RequestInvoice,
    Withdraw,
)
from services.business.shop.models import Invoice, Order, OrderEvent, Refund, Ticket
from services.business.shop.orders import facts_of, item_of, money_of
from services.business.shop.requests import refund_status, request_key
from services.business.shop.tax_id import invoice_problem, normal_tax_id
from shared.contracts.actions import ActionRequest, ActionStatus

__all__ = ["ACTIONS", "WITHDRAWN", "Closed", "Outcome", "pay_refund", "perform", "reject_refund"]


WITHDRAWN = "withdrawn"
TOO_LATE = {"done": "already_paid", "rejected": "already_rejected", "withdrawn": "already_withdrawn"}
"""Why a request cannot be withdrawn any more, by how far it has come."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an action."""

    status: ActionStatus
    data: dict[str, Any] = field(default_factory=dict)
    error_code: str | None = None
    closes: "Closed | None" = None


@dataclass(frozen=True, kw_only=True)
class Closed:
    """Another action that this one ends, in the same unit of work: a refund that is withdrawn."""

    action_id: str
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """An action under way: the unit of work, the rules, the moment, and who asked for it."""

    session: AsyncSession
    rules: RuleBook
    moment: datetime
    request: ActionRequest
    most_tickets: int | None

    async def order(self, arguments: OrderEffect) -> Order | None:
        """The customer's order, held for this unit of work."""
        return await repository.order_of_customer(
            self.session, self.request.customer, arguments.order_number, lock=True
        )


@dataclass(frozen=True, kw_only=True)
class Action:
    """An effect that can be asked for: its arguments and who makes it."""

    arguments: type[BaseModel]
    perform: Callable[[ActionContext, Any], Awaitable[Outcome]]


async def perform(
    session: AsyncSession,
    rules: RuleBook,
    request: ActionRequest,
    moment: datetime,
    *,
    most_tickets: int | None = None,
) -> Outcome:
    """Makes the effect within the caller's unit of work, or says why not.

    Args:
        most_tickets: how many complaints of one customer may be open; by default any number.
    """
    action = ACTIONS.get(request.name)
    if action is None:
        return Outcome(status="failed", error_code="unknown_action")
    try:
        arguments = action.arguments.model_validate(request.arguments)
    except ValidationError as error:
        fields = sorted({str(each["loc"][0]) if each["loc"] else "" for each in error.errors(include_input=False)})
        return Outcome(status="failed", error_code="invalid_arguments", data={"fields": fields[:10]})
    context = ActionContext(session=session, rules=rules, moment=moment, request=request, most_tickets=most_tickets)
    return await action.perform(context, arguments)


async def _refund(context: ActionContext, arguments: RefundOrder) -> Outcome:
    order = await context.order(arguments)
    if order is None:
        return _unknown_order(arguments)
    decision = context.rules.refund.decide(facts_of(order, context.moment))
    about = money_of(order) | {"reason_code": decision.reason_code}
    refused = _paid_back(order) or (decision.reason_code if decision.outcome == "refused" else None)
    if refused is not None:
        return Outcome(status="rejected", error_code=refused, data=about | {"reason_code": refused})
    refund = Refund(
        action_id=context.request.id,
        amount_fen=order.amount_fen,
        reason=arguments.reason,
        reason_code=decision.reason_code,
        status="pending",
        created_at=context.moment,
    )
    order.refunds.append(refund)
    if decision.outcome == "approval":
        return Outcome(status="awaiting_approval", data=about | {"reason": arguments.reason})
    pay_refund(order, refund, context.moment, by=None, note=None)
    return Outcome(status="succeeded", data=about)


def pay_refund(order: Order, refund: Refund, moment: datetime, *, by: str | None, note: str | None) -> None:
    """Gives the money back; `by` is the person who said so, if it was one."""
    refund.status, refund.decided_at, refund.decided_by, refund.note = "done", moment, by, note
    order.status = "refunded"
    order.events.append(OrderEvent(at=moment, text_zh="已退款", text_en="Refunded"))


def reject_refund(refund: Refund, moment: datetime, *, by: str, note: str | None) -> None:
    """Says no to a refund that waited for a person."""
    refund.status, refund.decided_at, refund.decided_by, refund.note = "rejected", moment, by, note


async def _cancel_order(context: ActionContext, arguments: CancelOrder) -> Outcome:
    order = await context.order(arguments)
    if order is None:
        return _unknown_order(arguments)
    permission = context.rules.cancel_order.decide(facts_of(order, context.moment))
    about = money_of(order) | {"reason_code": permission.reason_code}
    refused = _paid_back(order) or (None if permission.allowed else permission.reason_code)
    if refused is not None:
        return Outcome(status="rejected", error_code=refused, data=about | {"reason_code": refused})
    order.status, order.cancelled_at = "cancelled", context.moment
    # It was paid, so the money goes back with it.
    order.refunds.append(
        Refund(
            action_id=context.request.id,
            amount_fen=order.amount_fen,
            reason="cancelled",
            reason_code="order_cancelled",
            status="done",
            created_at=context.moment,
            decided_at=context.moment,
        )
    )
    order.events.append(
        OrderEvent(at=context.moment, text_zh="订单已取消，款项已退回", text_en="Cancelled and refunded")
    )
    return Outcome(status="succeeded", data=about)


async def _change_address(context: ActionContext, arguments: ChangeAddress) -> Outcome:
    order = await context.order(arguments)
    if order is None:
        return _unknown_order(arguments)
    about: dict[str, Any] = {"order_number": order.number, "item": item_of(order)}
    permission = context.rules.change_address.decide(facts_of(order, context.moment))
    if not permission.allowed:
        return Outcome(status="rejected", error_code=permission.reason_code, data=about)
    address = normal_address(arguments.address)
    problem = address_problem(address)
    if problem is not None:
        return Outcome(status="rejected", error_code=problem, data=about)
    order.address = address
    order.events.append(OrderEvent(at=context.moment, text_zh="收货地址已修改", text_en="Delivery address changed"))
    return Outcome(status="succeeded", data=about | {"address": address})


async def _request_invoice(context: ActionContext, arguments: RequestInvoice) -> Outcome:
    order = await context.order(arguments)
    if order is None:
        return _unknown_order(arguments)
    about = money_of(order)
    permission = context.rules.request_invoice.decide(facts_of(order, context.moment))
    if order.invoice is not None:
        return Outcome(status="rejected", error_code="already_invoiced", data=about)
    if not permission.allowed:
        return Outcome(status="rejected", error_code=permission.reason_code, data=about)
    problem = invoice_problem(arguments.title, arguments.tax_id)
    if problem is not None:
        return Outcome(status="rejected", error_code=problem, data=about)
    invoice = Invoice(
        action_id=context.request.id,
        title=arguments.title,
        tax_id=None if arguments.tax_id is None else normal_tax_id(arguments.tax_id),
        email=arguments.email,
        amount_fen=order.amount_fen,
        issued_at=context.moment,
    )
    await repository.add_invoice(context.session, order, invoice)
    details = {
        "invoice_number": invoice.number,
        "title": invoice.title,
        "tax_id": invoice.tax_id,
        "email": invoice.email,
    }
    return Outcome(status="succeeded", data=about | details)


async def _open_ticket(context: ActionContext, arguments: OpenTicket) -> Outcome:
    customer = await repository.customer_by_number(context.session, context.request.customer, lock=True)
    conversation = context.request.conversation_id
    still_open = await repository.count_open_tickets(context.session, customer, conversation)
    if context.most_tickets is not None and still_open >= context.most_tickets:
        return Outcome(status="rejected", error_code="too_many_tickets", data={"open": still_open})
    order = None
    if arguments.order_number is not None:
        # A complaint is taken in any case; an order that is not theirs is just not attached to it.
        order = await repository.order_of_customer(context.session, context.request.customer, arguments.order_number)
    ticket = Ticket(
        customer_id=None if customer is None else customer.id,
        order_id=None if order is None else order.id,
        conversation_id=conversation,
        action_id=context.request.id,
        subject=arguments.subject,
        sentiment=arguments.sentiment,
        created_at=context.moment,
    )
    await repository.add_ticket(context.session, ticket)
    return Outcome(
        status="succeeded",
        data={"ticket_number": ticket.number, "order_number": None if order is None else order.number},
    )


async def _withdraw(context: ActionContext, arguments: Withdraw) -> Outcome:
    key = request_key(arguments.request)
    if key is None:
        return _unknown_request(arguments)
    return await (_withdraw_refund if key[0] == "refund" else _withdraw_ticket)(context, arguments, key[1])


async def _withdraw_refund(context: ActionContext, arguments: Withdraw, row: int) -> Outcome:
    action_id = await repository.refund_action(context.session, context.request.customer, row)
    if action_id is None:
        return _unknown_request(arguments)
    # Locked in the order in which a person's decision locks them: the ledger first, then the refund and its order.
    record = await ledger_rows.find_action(context.session, action_id, lock=True)
    found = await repository.refund_of_action(context.session, action_id)
    if record is None or found is None:
        return _unknown_request(arguments)
    refund, order = found
    about = money_of(order) | {"request": arguments.request, "kind": "refund"}
    status = refund_status(refund.status, refund.withdrawn_at)
    if status != "pending" or record.status != "awaiting_approval":
        return Outcome(status="rejected", error_code=TOO_LATE.get(status, "not_open"), data=about)
    refund.status, refund.withdrawn_at = "rejected", context.moment
    closed = Closed(action_id=action_id, outcome=Outcome(status="rejected", error_code=WITHDRAWN, data=money_of(order)))
    return Outcome(status="succeeded", data=about, closes=closed)


async def _withdraw_ticket(context: ActionContext, arguments: Withdraw, row: int) -> Outcome:
    ticket = await repository.ticket_of_customer(context.session, context.request.customer, row)
    if ticket is None:
        return _unknown_request(arguments)
    about = {"request": arguments.request, "kind": "ticket"}
    if ticket.status != "open":
        return Outcome(status="rejected", error_code=TOO_LATE.get(ticket.status, "not_open"), data=about)
    ticket.status = "withdrawn"
    return Outcome(status="succeeded", data=about)


def _unknown_request(arguments: Withdraw) -> Outcome:
    return Outcome(status="rejected", error_code="request_not_found", data={"request": arguments.request})


def _paid_back(order: Order) -> str | None:
    """No table can be edited so far that the money of an order goes back twice."""
    states = {refund.status for refund in order.refunds}
    return "already_refunded" if "done" in states else "refund_pending" if "pending" in states else None


def _unknown_order(arguments: OrderEffect) -> Outcome:
    return Outcome(status="rejected", error_code="order_not_found", data={"order_number": arguments.order_number})


ACTIONS: Mapping[str, Action] = {
    "refund": Action(arguments=RefundOrder, perform=_refund),
    "cancel_order": Action(arguments=CancelOrder, perform=_cancel_order),
    "change_address": Action(arguments=ChangeAddress, perform=_change_address),
    "request_invoice": Action(arguments=RequestInvoice, perform=_request_invoice),
    "open_ticket": Action(arguments=OpenTicket, perform=_open_ticket),
    "withdraw": Action(arguments=Withdraw, perform=_withdraw),
}
