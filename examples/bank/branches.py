"""Branches with their hours, free times for a visit, and appointments."""

from datetime import date, datetime, time, timedelta
from sqlite3 import Connection
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from examples.bank.accounts import Text
from examples.bank.calls import Customer, Key, TheDatabase, the_customer
from examples.bank.database import ZONE, Row, now, once
from examples.bank.problems import Refused, problems

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["branches"])

AHEAD = 14
"""Days for which there are times."""
HOURS = (time(9, 30), time(10, 30), time(11, 30), time(14, 0), time(15, 0), time(16, 0))
WEEKEND_HOURS = HOURS[:3]
SLOT = "%Y%m%dT%H%M"
MOST_BOOKED = 3
NUMBER = r"^A[0-9]{6,12}$"

BranchId = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$")]
AppointmentId = Annotated[str, Path(pattern=NUMBER)]
Reference = Annotated[str, Field(min_length=1, max_length=128)]


class Branch(BaseModel):
    """A branch."""

    id: str
    city: Text
    name: Text
    address: Text
    phone: str
    hours: Text


class Branches(BaseModel):
    """Branches by city and name."""

    branches: list[Branch]


class Slot(BaseModel):
    """A time at a branch; nobody else has it when it is `free`."""

    id: str
    starts_at: str
    free: bool


class Slots(BaseModel):
    """Free times, the next first."""

    slots: list[Slot]


class NewAppointment(BaseModel):
    """What is booked; `reference` is the caller's own, by which the appointment can be found again."""

    branch: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    slot: Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{4}$")]
    topic: Annotated[str, Field(min_length=1, max_length=100)]
    reference: Reference


class Appointment(BaseModel):
    """A visit to a branch."""

    id: str
    branch: Branch
    starts_at: str
    topic: str
    reference: str
    status: Literal["booked", "cancelled"]


class Appointments(BaseModel):
    """A customer's appointments that are to come, the next first; with a reference, that one whatever its state."""

    appointments: list[Appointment]


@router.get("/branches", operation_id="list_branches", responses=problems(401))
def branches(
    database: TheDatabase,
    city: Annotated[str | None, Query(max_length=60, description="In Chinese or English, with or without 市.")] = None,
) -> Branches:
    """The branches of a city, or all."""
    wanted = (city or "").strip().removesuffix("市").casefold()
    with database.read() as connection:
        rows = connection.execute("SELECT * FROM branches ORDER BY city_en, id").fetchall()
    found = [row for row in rows if not wanted or wanted in (row["city_zh"], row["city_en"].casefold())]
    return Branches(branches=[branch_of(row) for row in found])


@router.get("/branches/{branch}", operation_id="get_branch", responses=problems(401, 404, 422))
def one_branch(branch: BranchId, database: TheDatabase) -> Branch:
    """One branch."""
    with database.read() as connection:
        return branch_of(the_branch(connection, branch))


@router.get("/branches/{branch}/slots", operation_id="list_slots", responses=problems(401, 404, 422))
def slots(
    branch: BranchId,
    database: TheDatabase,
    day: Annotated[date | None, Query(alias="date", description="Of this day only.")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Slots:
    """The next free times at a branch."""
    with database.read() as connection:
        found = the_branch(connection, branch)
        free = [at for at in times(found) if day in (None, at.date()) and is_free(connection, branch, at)]
    return Slots(slots=[Slot(id=at.strftime(SLOT), starts_at=at.isoformat(), free=True) for at in free[:limit]])


@router.get("/branches/{branch}/slots/{slot}", operation_id="get_slot", responses=problems(401, 404, 422))
def one_slot(branch: BranchId, slot: str, database: TheDatabase) -> Slot:
    """One time at a branch."""
    with database.read() as connection:
        at = the_time(the_branch(connection, branch), slot)
        return Slot(id=slot, starts_at=at.isoformat(), free=is_free(connection, branch, at))


@router.get("/customers/{customer}/appointments", operation_id="list_appointments", responses=problems(401, 404))
def appointments(
    customer: Customer, database: TheDatabase, reference: Annotated[str | None, Query(max_length=128)] = None
) -> Appointments:
    """What a customer has booked."""
    with database.read() as connection:
        the_customer(connection, customer)
        if reference is not None:
            found = connection.execute(
                "SELECT * FROM appointments WHERE customer = ? AND reference = ?", (customer, reference)
            )
        else:
            found = connection.execute(
                "SELECT * FROM appointments WHERE customer = ? AND status = 'booked' AND slot > ? ORDER BY slot",
                (customer, now().strftime(SLOT)),
            )
        return Appointments(appointments=[appointment_of(connection, row) for row in found.fetchall()])


@router.get(
    "/customers/{customer}/appointments/{appointment}", operation_id="get_appointment", responses=problems(401, 404)
)
def one_appointment(customer: Customer, appointment: AppointmentId, database: TheDatabase) -> Appointment:
    """One appointment."""
    with database.read() as connection:
        return appointment_of(connection, the_appointment(connection, customer, appointment))


@router.post(
    "/customers/{customer}/appointments",
    operation_id="book_appointment",
    status_code=201,
    responses=problems(401, 404, 409, 422),
)
def book(customer: Customer, new: NewAppointment, database: TheDatabase) -> Appointment:
    """Books a time. Codes: `slot_taken`, `slot_unknown`, `too_many_appointments`, `reference_used`."""
    with database.change() as connection:
        the_customer(connection, customer)
        known = connection.execute(
            "SELECT 1 FROM appointments WHERE customer = ? AND reference = ?", (customer, new.reference)
        ).fetchone()
        if known:
            raise Refused(409, "reference_used", "there is an appointment with this reference")
        at = the_time(the_branch(connection, new.branch), new.slot)
        if not is_free(connection, new.branch, at):
            raise Refused(409, "slot_taken", "somebody else has that time")
        booked = connection.execute(
            "SELECT count(*) FROM appointments WHERE customer = ? AND status = 'booked' AND slot > ?",
            (customer, now().strftime(SLOT)),
        ).fetchone()[0]
        if booked >= MOST_BOOKED:
            raise Refused(409, "too_many_appointments", f"nobody has more than {MOST_BOOKED}")
        number = connection.execute(
            "INSERT INTO appointments (customer, branch, slot, topic, reference, status)"
            " VALUES (?, ?, ?, ?, ?, 'booked')",
            (customer, new.branch, new.slot, new.topic, new.reference),
        ).lastrowid
        return appointment_of(connection, the_appointment(connection, customer, f"A{number:06d}"))


@router.post(
    "/customers/{customer}/appointments/{appointment}/cancel",
    operation_id="cancel_appointment",
    responses=problems(401, 404, 409, 422),
)
def cancel(customer: Customer, appointment: AppointmentId, key: Key, database: TheDatabase) -> Appointment:
    """Gives a time free again. Codes: `appointment_cancelled`, `appointment_over`."""

    def effect(connection: Connection) -> dict[str, Any]:
        found = the_appointment(connection, customer, appointment)
        if found["status"] != "booked":
            raise Refused(409, "appointment_cancelled", "it was cancelled before")
        if found["slot"] <= now().strftime(SLOT):
            raise Refused(409, "appointment_over", "its time is over")
        connection.execute("UPDATE appointments SET status = 'cancelled' WHERE number = ?", (found["number"],))
        return appointment_of(connection, the_appointment(connection, customer, appointment)).model_dump()

    return Appointment.model_validate(once(database, key, ["cancel", customer, appointment], effect))


def times(branch: Row) -> list[datetime]:
    """All times at a branch that are to come, whether somebody has them or not."""
    this = now()
    found: list[datetime] = []
    for ahead in range(AHEAD + 1):
        day = this.date() + timedelta(days=ahead)
        hours = HOURS if day.weekday() < 5 else WEEKEND_HOURS if branch["weekend"] else ()
        found += [datetime.combine(day, hour, ZONE) for hour in hours]
    return [at for at in found if at > this]


def the_time(branch: Row, slot: str) -> datetime:
    """A time that the branch has; raises `Refused` for any other."""
    found = next((at for at in times(branch) if at.strftime(SLOT) == slot), None)
    if found is None:
        raise Refused(404, "slot_unknown", f"the branch has no such time: {slot}")
    return found


def is_free(connection: Connection, branch: str, at: datetime) -> bool:
    """Whether nobody has the time."""
    taken = connection.execute(
        "SELECT 1 FROM appointments WHERE branch = ? AND slot = ? AND status = 'booked'", (branch, at.strftime(SLOT))
    ).fetchone()
    return taken is None


def the_branch(connection: Connection, branch: str) -> Row:
    """A branch; raises `Refused` where there is none."""
    row: Row | None = connection.execute("SELECT * FROM branches WHERE id = ?", (branch,)).fetchone()
    if row is None:
        raise Refused(404, "branch_not_found", f"there is no branch {branch}")
    return row


def the_appointment(connection: Connection, customer: str, appointment: str) -> Row:
    """An appointment of the customer; raises `Refused` where there is none."""
    row: Row | None = connection.execute(
        "SELECT * FROM appointments WHERE customer = ? AND number = ?", (customer, int(appointment[1:]))
    ).fetchone()
    if row is None:
        raise Refused(404, "appointment_not_found", f"customer {customer} has no appointment {appointment}")
    return row


def branch_of(row: Row) -> Branch:
    """A branch as the API has it."""
    weekend_zh, weekend_en = ("，周末 9:00–12:30", ", Sat–Sun 9:00–12:30") if row["weekend"] else ("", "")
    return Branch(
        id=row["id"],
        city=Text(zh=row["city_zh"], en=row["city_en"]),
        name=Text(zh=row["name_zh"], en=row["name_en"]),
        address=Text(zh=row["address_zh"], en=row["address_en"]),
        phone=row["phone"],
        hours=Text(zh=f"周一至周五 9:00–17:00{weekend_zh}", en=f"Mon–Fri 9:00–17:00{weekend_en}"),
    )


def appointment_of(connection: Connection, row: Row) -> Appointment:
    """An appointment as the API has it."""
    return Appointment(
        id=f"A{row['number']:06d}",
        branch=branch_of(the_branch(connection, row["branch"])),
        starts_at=datetime.strptime(row["slot"], SLOT).replace(tzinfo=ZONE).isoformat(),
        topic=row["topic"],
        reference=row["reference"],
        status=row["status"],
    )
