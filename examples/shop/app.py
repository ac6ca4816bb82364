"""The shop over HTTP."""

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, StringConstraints

from examples.shop import effects, repository
from examples.shop.bodies import (
    AddressChecked,
    Case,
    CaseList,
    ChangeAddress,
    CheckAddress,
    CheckInvoice,
    Complain,
    Complaint,
    Customer,
    Faulty,
    Health,
    History,
    Invoice,
    InvoiceChecked,
    Order,
    OrderEvent,
    OrderList,
    PlaceOrder,
    Refund,
    RefundOrder,
    RequestInvoice,
    Text,
)
from examples.shop.effects import order_or_problem
from examples.shop.guards import Faults, SizeLimit
from examples.shop.idempotency import Answer, fingerprint_of, forget_old, once
from examples.shop.problems import Problem, ProblemBody, documented, speak_problems
from examples.shop.seed import seed
from examples.shop.settings import Settings
from examples.shop.store import Store
from examples.shop.views import address_answer, case_view, invoice_check, order_view, parse_case_number

__all__ = ["create_app"]

VERSION = "1.0.0"
ABOUT = """
Orders of a small web shop, and what its customers ask for about them.

Every request but `/health` needs the shop's key: `Authorization: Bearer <key>`. Every request that changes something
needs an `Idempotency-Key`: the same request with the same key is done once and answered alike as often as it is sent,
for 30 days. Refusals are problems (RFC 9457) with status 409 and a `code`. Money is in fen, moments are UTC.
"""
SHAPE = r"^[\x21-\x7e]{1,255}$"

CustomerNumber = Annotated[
    str, Path(description="The customer's number", min_length=1, max_length=64, examples=["C1001"])
]
OrderNumber = Annotated[
    str, Path(description="The order's number", min_length=1, max_length=64, examples=["20261103003"])
]
CaseNumber = Annotated[
    str, Path(description="The number of a refund or a complaint", min_length=1, max_length=16, examples=["T000001"])
]
Key = Annotated[
    Annotated[str, StringConstraints(pattern=SHAPE)],
    Header(alias="Idempotency-Key", description="The caller's own name for this request", examples=["0f8c…"]),
]
bearer = HTTPBearer(auto_error=False, description="The shop's key")


def _allowed(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
    key: str = request.app.state.shop.api_key
    if given is None or not hmac.compare_digest(given.credentials.encode(), key.encode()):
        raise Problem(401, "unauthorised", "this needs the shop's key: Authorization: Bearer <key>")


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


InStore = Annotated[Store, Depends(_store)]

router = APIRouter(dependencies=[Depends(_allowed)])


def _answered(answer: Answer) -> Response:
    media = "application/json" if answer.status < 400 else "application/problem+json"
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
    return Response(answer.body, answer.status, headers, media_type=media)


class Effect:
    """A request that changes something, made once for its key."""

    def __init__(self, request: Request, store: InStore, key: Key) -> None:
        self._request = request
        self._store = store
        self._key = key

    def __call__(self, status: int, body: BaseModel | None, effect: Callable[..., BaseModel]) -> Response:
        """The answer, of now or of before."""
        fingerprint = fingerprint_of(self._request.method, self._request.url.path, body)
        return _answered(once(self._store, self._key, fingerprint, status, effect))


Once = Annotated[Effect, Depends(Effect)]


@router.get("/customers/{customer}", operation_id="getCustomer", tags=["customers"], responses=documented(404))
def get_customer(customer: CustomerNumber, store: InStore) -> Customer:
    """A customer."""
    with store.reading() as db:
        row = repository.customer_of(db, customer)
    if row is None:
        raise _no_customer()
    return Customer(number=row["number"], name=Text(zh=row["name_zh"], en=row["name_en"]), phone=row["phone"])


@router.get("/customers/{customer}/orders", operation_id="listOrders", tags=["orders"], responses=documented(404))
def list_orders(
    customer: CustomerNumber,
    store: InStore,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="How many of the newest are left out")] = 0,
) -> OrderList:
    """A customer's orders, the newest first."""
    with store.reading() as db:
        row = repository.customer_id(db, customer)
        if row is None:
            raise _no_customer()
        orders = [order_view(each) for each in repository.orders_of(db, customer, limit, offset)]
        return OrderList(orders=orders, total=repository.count_orders(db, row))


@router.get(
    "/customers/{customer}/orders/{number}", operation_id="getOrder", tags=["orders"], responses=documented(404)
)
def get_order(customer: CustomerNumber, number: OrderNumber, store: InStore) -> Order:
    """One of a customer's orders; somebody else's is not found."""
    with store.reading() as db:
        return order_view(order_or_problem(db, customer, number))


@router.get(
    "/customers/{customer}/orders/{number}/events",
    operation_id="getHistory",
    tags=["orders"],
    responses=documented(404),
)
def get_history(customer: CustomerNumber, number: OrderNumber, store: InStore) -> History:
    """What happened to an order."""
    with store.reading() as db:
        order = order_or_problem(db, customer, number)
        events = repository.events_of(db, order["id"])
    return History(events=[OrderEvent(zh=each["text_zh"], en=each["text_en"], at=each["at"]) for each in events])


@router.post(
    "/customers/{customer}/orders",
    operation_id="placeOrder",
    tags=["orders"],
    status_code=201,
    responses=documented(404, 409),
    response_model=Order,
)
def place_order(customer: CustomerNumber, body: PlaceOrder, once: Once) -> Response:
    """Buys something for a customer, who has paid with that."""
    return once(201, body, lambda db: effects.place_order(db, customer, body))


@router.post(
    "/customers/{customer}/orders/{number}/refund",
    operation_id="refundOrder",
    tags=["orders"],
    status_code=201,
    responses=documented(404, 409),
    response_model=Refund,
)
def refund_order(customer: CustomerNumber, number: OrderNumber, body: RefundOrder, once: Once) -> Response:
    """Gives the money of an order back, all of it and at once."""
    return once(201, body, lambda db: effects.refund_order(db, customer, number, body))


@router.post(
    "/customers/{customer}/orders/{number}/cancellation",
    operation_id="cancelOrder",
    tags=["orders"],
    status_code=201,
    responses=documented(404, 409),
    response_model=Order,
)
def cancel_order(customer: CustomerNumber, number: OrderNumber, once: Once) -> Response:
    """Cancels an order that has not left, and gives the money back."""
    return once(201, None, lambda db: effects.cancel_order(db, customer, number))


@router.put(
    "/customers/{customer}/orders/{number}/address",
    operation_id="changeAddress",
    tags=["orders"],
    responses=documented(404, 409),
    response_model=Order,
)
def change_address(customer: CustomerNumber, number: OrderNumber, body: ChangeAddress, once: Once) -> Response:
    """Sends an order that has not left somewhere else."""
    return once(200, body, lambda db: effects.change_address(db, customer, number, body))


@router.post(
    "/customers/{customer}/orders/{number}/invoice",
    operation_id="requestInvoice",
    tags=["orders"],
    status_code=201,
    responses=documented(404, 409),
    response_model=Invoice,
)
def request_invoice(customer: CustomerNumber, number: OrderNumber, body: RequestInvoice, once: Once) -> Response:
    """Issues the invoice of an order; there is one an order."""
    return once(201, body, lambda db: effects.request_invoice(db, customer, number, body))


@router.post(
    "/complaints",
    operation_id="complain",
    tags=["cases"],
    status_code=201,
    responses=documented(409),
    response_model=Complaint,
)
def complain(body: Complain, once: Once, request: Request) -> Response:
    """Takes a complaint, of a customer or of anybody."""
    most_open = request.app.state.shop.most_complaints
    return once(201, body, lambda db: effects.complain(db, body, most_open))


@router.get("/customers/{customer}/cases", operation_id="listCases", tags=["cases"], responses=documented(404))
def list_cases(customer: CustomerNumber, store: InStore, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> CaseList:
    """A customer's newest refunds and complaints, and how far each has come."""
    with store.reading() as db:
        if repository.customer_id(db, customer) is None:
            raise _no_customer()
        return CaseList(cases=[case_view(each) for each in repository.cases_of(db, customer, limit)])


@router.get("/customers/{customer}/cases/{number}", operation_id="getCase", tags=["cases"], responses=documented(404))
def get_case(customer: CustomerNumber, number: CaseNumber, store: InStore) -> Case:
    """One of a customer's refunds or complaints; somebody else's is not found."""
    key = parse_case_number(number.strip())
    with store.reading() as db:
        case = None if key is None else repository.case_of(db, customer, *key)
    if case is None:
        raise Problem(404, "case_not_found", "this customer has no such refund or complaint")
    return case_view(case)


@router.post(
    "/customers/{customer}/cases/{number}/withdrawal",
    operation_id="withdrawCase",
    tags=["cases"],
    status_code=201,
    responses=documented(404, 409),
    response_model=Case,
)
def withdraw_case(customer: CustomerNumber, number: CaseNumber, once: Once) -> Response:
    """Takes back a complaint that is open."""
    return once(201, None, lambda db: effects.withdraw_case(db, customer, number))


@router.post("/checks/address", operation_id="checkAddress", tags=["checks"], responses=documented(404))
def check_address(body: CheckAddress, store: InStore) -> AddressChecked:
    """Whether a parcel could get to an address, and the order that it is for; changes nothing."""
    order = _order_asked_about(store, body.customer, body.order_number)
    return AddressChecked(order=order, address=None if body.address is None else address_answer(body.address))


@router.post("/checks/invoice", operation_id="checkInvoice", tags=["checks"], responses=documented(404))
def check_invoice(body: CheckInvoice, store: InStore) -> InvoiceChecked:
    """Whether an invoice could have these details, and the order that it is for; changes nothing."""
    order = _order_asked_about(store, body.customer, body.order_number)
    asked = body.title is not None or body.tax_id is not None
    return InvoiceChecked(order=order, details=invoice_check(body.title, body.tax_id) if asked else None)


def _order_asked_about(store: Store, customer: str | None, number: str | None) -> Order | None:
    if number is None:
        return None
    with store.reading() as db:
        return order_view(order_or_problem(db, customer, number))


def _no_customer() -> Problem:
    return Problem(404, "customer_not_found", "there is no such customer")


def create_app(settings: Settings) -> FastAPI:
    """The shop with its data, ready to be served."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store(settings.data)
        forget_old(store)
        if settings.seed:
            seed(store)
        app.state.store = store
        try:
            yield
        finally:
            store.close()

    app = FastAPI(title="Shop", version=VERSION, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.shop = settings
    app.state.fault = None

    @app.get("/health", operation_id="getHealth", tags=["health"])
    def get_health(store: InStore) -> Health:
        """Whether the shop can be reached and reads its data."""
        with store.reading() as db:
            repository.customer_id(db, "")
        return Health()

    app.include_router(router)
    if settings.faults:
        app.add_middleware(Faults)

        @app.put("/faults", operation_id="putFaults", tags=["faults"], dependencies=[Depends(_allowed)])
        async def put_faults(body: Faulty) -> Faulty:
            """What goes wrong next; only where the shop was started for that."""
            app.state.fault = body
            return body

        @app.get("/faults", operation_id="getFaults", tags=["faults"], dependencies=[Depends(_allowed)])
        async def get_faults() -> Faulty:
            """What is still to go wrong."""
            left: Faulty = app.state.fault or Faulty(fault="error", times=0)
            return left

    app.add_middleware(SizeLimit)
    speak_problems(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    document = app.openapi

    def described() -> dict[str, object]:
        found = document()
        schemas = found["components"]["schemas"]
        if "Problem" not in schemas:
            schema = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs")
            schemas["Problem"] = schema
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return found

    app.openapi = described  # type: ignore[method-assign]
