"""Look-ups: what a conversation may ask about the shop. They read, and change nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from services.business.rules.facts import Permission
from services.business.rules.rule_book import RuleBook
from services.business.shop import repository
from services.business.shop.addresses import address_problem, normal_address
from services.business.shop.arguments import AddressTerms, InvoiceTerms, NoArguments, OneOrder, OneRequest
from services.business.shop.orders import facts_of, item_of, money_of, order_details, order_line
from services.business.shop.repository import OrderRow
from services.business.shop.requests import newest_requests, request_of
from services.business.shop.tax_id import invoice_problem
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import FieldError, InvalidInput, NotFound
from shared.storage.database import now
from shared.storage.statements import Unit

__all__ = ["LOOKUPS", "Lookup", "look_up"]

NEWEST_ORDERS = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """Who asks, of what, by which rules."""

    unit: Unit
    rules: RuleBook
    customer: str | None

    def order(self, number: str) -> OrderRow | None:
        """The customer's order with a number."""
        return repository.read_order(self.unit, self.customer, number)


Found = dict[str, Any] | None
"""The data of an answer, or nothing when what was asked for does not exist for this customer."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A question that may be asked: its arguments and who answers."""

    arguments: type[BaseModel]
    answer: Callable[[Question, Any], Found]

    @property
    def description(self) -> str:
        """One sentence for people who write assistants."""
        return (self.answer.__doc__ or "").strip()


def look_up(unit: Unit, rules: RuleBook, name: str, request: LookupRequest) -> LookupAnswer:
    """The answer to a look-up.

    Raises:
        NotFound: there is no such look-up.
        InvalidInput: the arguments do not fit it.
    """
    lookup = LOOKUPS.get(name)
    if lookup is None:
        raise NotFound(f"there is no such look-up; there are {', '.join(LOOKUPS)}")
    try:
        arguments = lookup.arguments.model_validate(request.arguments)
    except ValidationError as error:
        raise _invalid(error) from error
    data = lookup.answer(Question(unit=unit, rules=rules, customer=request.customer), arguments)
    return LookupAnswer(name=name, found=data is not None, data=data or {})


def _invalid(error: ValidationError) -> InvalidInput:
    fields = [
        FieldError(field=f"arguments.{'.'.join(map(str, each['loc']))}", message=each["msg"])
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return InvalidInput("; ".join(f"{each.field}: {each.message}" for each in fields), errors=fields)


def _order(question: Question, arguments: OneOrder) -> Found:
    """An order with its shipment and what happened to it last."""
    order = question.order(arguments.order_number)
    return None if order is None else order_details(order)


def _orders(question: Question, _arguments: NoArguments) -> Found:
    """The customer's newest orders."""
    if question.customer is None or not repository.customer_exists(question.unit, question.customer):
        return None
    orders, count = repository.newest_orders(question.unit, question.customer, NEWEST_ORDERS)
    return {"orders": [order_line(order) for order in orders], "count": count}


def _refund_terms(question: Question, arguments: OneOrder) -> Found:
    """Whether a refund of an order would be automatic, looked at by a person, or refused."""
    order = question.order(arguments.order_number)
    if order is None:
        return None
    decision = question.rules.refund.decide(facts_of(order, now()))
    return money_of(order) | decision.model_dump()


def _cancel_terms(question: Question, arguments: OneOrder) -> Found:
    """Whether an order can still be cancelled."""
    order = question.order(arguments.order_number)
    if order is None:
        return None
    return money_of(order) | question.rules.cancel_order.decide(facts_of(order, now())).model_dump()


def _address_terms(question: Question, arguments: AddressTerms) -> Found:
    """Whether an order's address can still change, and whether a parcel could get to the new one."""
    permission: Permission | None = None
    item: dict[str, str] | None = None
    if arguments.order_number is not None:
        order = question.order(arguments.order_number)
        if order is None:
            return None
        permission = question.rules.change_address.decide(facts_of(order, now()))
        item = item_of(order)
    normalized = None if arguments.address is None else normal_address(arguments.address)
    problem = None if normalized is None else address_problem(normalized)
    return {
        "allowed": None if permission is None else permission.allowed,
        "valid": None if normalized is None else problem is None,
        "reason_code": _first_reason(permission, problem),
        "normalized": None if problem else normalized,
        "item": item,
    }


def _invoice_terms(question: Question, arguments: InvoiceTerms) -> Found:
    """Whether an order can have an invoice, and whether its title and tax number will do."""
    permission: Permission | None = None
    item: dict[str, str] | None = None
    if arguments.order_number is not None:
        order = question.order(arguments.order_number)
        if order is None:
            return None
        permission = question.rules.request_invoice.decide(facts_of(order, now()))
        item = item_of(order)
    asked = arguments.title is not None or arguments.tax_id is not None
    problem = invoice_problem(arguments.title, arguments.tax_id)
    return {
        "allowed": None if permission is None else permission.allowed,
        "valid": problem is None if asked else None,
        "reason_code": _first_reason(permission, problem),
        "item": item,
    }


def _requests(question: Question, _arguments: NoArguments) -> Found:
    """The customer's newest refunds and complaints, how far each has come, and which of them are still open."""
    if question.customer is None or not repository.customer_exists(question.unit, question.customer):
        return None
    requests = newest_requests(question.unit, question.customer)
    still_open = [request for request in requests if request["open"]]
    return {"requests": requests, "count": len(requests), "open": still_open, "open_count": len(still_open)} | {
        "first": still_open[0] if still_open else None
    }


def _request(question: Question, arguments: OneRequest) -> Found:
    """How far one refund or complaint has come."""
    return None if question.customer is None else request_of(question.unit, question.customer, arguments.request)


def _first_reason(permission: Permission | None, problem: str | None) -> str | None:
    """Why not, the order before the details; where nothing speaks against it, what the rules say."""
    if permission is not None and not permission.allowed:
        return permission.reason_code
    return problem or (None if permission is None else permission.reason_code)


LOOKUPS: Mapping[str, Lookup] = {
    "order": Lookup(arguments=OneOrder, answer=_order),
    "orders": Lookup(arguments=NoArguments, answer=_orders),
    "refund_terms": Lookup(arguments=OneOrder, answer=_refund_terms),
    "cancel_terms": Lookup(arguments=OneOrder, answer=_cancel_terms),
    "address_terms": Lookup(arguments=AddressTerms, answer=_address_terms),
    "invoice_terms": Lookup(arguments=InvoiceTerms, answer=_invoice_terms),
    "requests": Lookup(arguments=NoArguments, answer=_requests),
    "request": Lookup(arguments=OneRequest, answer=_request),
}
