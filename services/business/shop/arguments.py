"""The arguments of look-ups and actions: one model each, every field with a limit."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.contracts.approvals import printable
from shared.contracts.base import unknown_as

__all__ = [
    "AddressTerms",
    "CancelOrder",
    "ChangeAddress",
    "InvoiceTerms",
    "NoArguments",
    "OneOrder",
    "OneRequest",
    "OpenTicket",
    "OrderEffect",
    "RefundOrder",
    "RequestInvoice",
    "Withdraw",
]


def _nothing(value: object) -> object:
    """An optional field that was left empty was not given."""
    return None if isinstance(value, str) and not value.strip() else value


# The cleaning stands behind the limits and is done before them.
OrderNumber = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    BeforeValidator(printable),
    Field(description="The order's number, such as 20261103001"),
]
RequestNumber = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16),
    BeforeValidator(printable),
    Field(description="The number of a refund or a complaint, such as R000012 or T000001"),
]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), BeforeValidator(printable)
]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), BeforeValidator(printable)
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$"),
    BeforeValidator(printable),
]
OptionalNumber = Annotated[OrderNumber | None, BeforeValidator(_nothing)]
OptionalText = Annotated[Text | None, BeforeValidator(_nothing)]
OptionalEmail = Annotated[Email | None, BeforeValidator(_nothing)]


class _Arguments(BaseModel):
    # They come from dialogue, which may be of the next release and say more.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Effect(_Arguments):
    # What is not known may limit the effect, so that one which ignores it is another than was asked for.
    model_config = ConfigDict(extra="forbid")


class OrderEffect(_Effect):
    """What is to be done with one order."""

    order_number: OrderNumber


class NoArguments(_Arguments):
    """No arguments."""


class OneOrder(_Arguments):
    """A question about one order."""

    order_number: OrderNumber


class OneRequest(_Arguments):
    """A question about one refund or complaint, by its number."""

    request: RequestNumber


class AddressTerms(_Arguments):
    """May the order's address change, and could a parcel get to the new one; either may be asked alone."""

    order_number: OptionalNumber = None
    address: OptionalText = None


class InvoiceTerms(_Arguments):
    """May the order have an invoice, and are these its title and tax number; either may be asked alone."""

    order_number: OptionalNumber = None
    title: OptionalText = None
    tax_id: OptionalText = None


class RefundOrder(OrderEffect):
    """Give the money of an order back."""

    reason: Reason


class CancelOrder(OrderEffect):
    """Cancel an order that is not on its way yet."""


class ChangeAddress(OrderEffect):
    """Send an order somewhere else."""

    address: Text


class RequestInvoice(OrderEffect):
    """Issue the invoice of an order; without a tax number it is a person's."""

    title: Text
    tax_id: OptionalText = None
    email: OptionalEmail = None


class Withdraw(_Effect):
    """Take back a refund that waits for approval, or a complaint."""

    request: RequestNumber


class OpenTicket(_Effect):
    """Have people look at something."""

    subject: Reason
    order_number: OptionalNumber = None
    sentiment: Annotated[Literal["negative", "neutral", "positive"] | None, unknown_as(None)] = None
