"""The appointment sheet for other systems: read, book, move, cancel, under the same rules as the pages."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body, Line
from ois_bridge.models.appointments import Appointment
from ois_bridge.services import patients
from ois_bridge.services.appointments import book, booking
from ois_bridge.services.appointments.booking import Wanted

router = APIRouter(tags=["appointments"])

Kind = Literal["treatment", "simulation", "immobilisation", "review", "qa"]
Particle = Literal["", "proton", "carbon", "helium"]
Minutes = Annotated[int, Field(ge=5, le=480)]


class AppointmentBody(Body):
    """A visit to book. `start`: ISO 8601 with its zone. `course_id` stays empty for machine QA alone."""

    device: Line
    kind: Kind
    start: datetime
    minutes: Minutes
    course_id: Line = ""
    particle: Particle = ""
    fraction: Annotated[int, Field(ge=1, le=200)] | None = None
    note: Annotated[str, Field(max_length=200)] = ""


class ChangeBody(Body):
    """Either a move (`start`, and `device` where it changes) or a cancellation (`cancel`: the reason).

    `revision`: as read; another one in the OIS means that somebody was quicker, and refuses.
    """

    start: datetime | None = None
    device: Line = ""
    revision: int | None = None
    cancel: Annotated[str, Field(max_length=200)] = ""


class AppointmentOut(BaseModel):
    """One visit. `state`: BOOKED, SIGNED_IN, CALLED, IN_ROOM, DONE, MISSED, CANCELLED."""

    id: str
    patient_id: str
    course_id: str
    device: str
    kind: str
    start: datetime
    minutes: int
    particle: str
    fraction: int | None
    state: str
    revision: int


@router.get("/appointments")
def list_appointments(
    context: Means,
    caller: By,
    day: Annotated[date | None, Query(description="day of the sheet; today without it")] = None,
    device: Line = "",
    patient_id: Line = "",
) -> list[AppointmentOut]:
    """Appointments of a day (of one device), or all of one patient."""
    with context.reading(caller, Action.READ_APPOINTMENTS) as session:
        if patient_id:
            patient = patients.must(patients.by_id(session, patient_id))
            return [_out(row) for row in booking.of_patient(session, patient.key)]
        wanted = day or booking.today(context)
        if not 2000 <= wanted.year <= 2199:
            raise BadInput(_("Day: a date between 2000 and 2199 is needed."))
        if device and device not in book.devices(session):
            raise BadInput(_("There is no device {name} in use.").format(name=device))
        return [_out(row) for row in booking.of_day(session, wanted, device)]


@router.post("/appointments", status_code=201)
def make(context: Means, caller: By, body: AppointmentBody) -> AppointmentOut:
    """Book a visit (receptionist, therapist; machine QA: physicist, therapist). 409: what is against it."""
    wanted = Wanted(
        device=body.device,
        kind=body.kind,
        start=_in_range(body.start),
        minutes=body.minutes,
        course_key=body.course_id,
        particle=body.particle,
        fraction=body.fraction,
        note=body.note,
    )
    row = booking.make(context, caller, wanted)
    return _read(context, caller, row.key)


@router.patch("/appointments/{appointment_id}")
def change(context: Means, caller: By, appointment_id: str, body: ChangeBody) -> AppointmentOut:
    """Move a visit, or cancel it."""
    if bool(body.cancel) == (body.start is not None):
        raise BadInput(_("Either a new start or the reason of a cancellation is needed."))
    if body.cancel:
        booking.cancel(context, caller, appointment_id, body.cancel, body.revision)
    elif body.start is not None:
        with context.reading(caller, Action.READ_APPOINTMENTS) as session:
            device = body.device or booking.one(session, appointment_id).device
        booking.move(context, caller, appointment_id, device, _in_range(body.start), body.revision)
    return _read(context, caller, appointment_id)


def _in_range(start: datetime) -> datetime:
    """Raises BadInput for a time without a zone, or out of every calendar."""
    if start.tzinfo is None or not 2000 <= start.year <= 2199:
        raise BadInput(_("Start: a time with its zone is needed, like 2026-12-01T09:00:00+08:00."))
    return start


def _read(context: Means, caller: By, key: str) -> AppointmentOut:
    with context.reading(caller, Action.READ_APPOINTMENTS) as session:
        return _out(booking.one(session, key))


def _out(row: Appointment) -> AppointmentOut:
    return AppointmentOut(
        id=row.key,
        patient_id=row.patient.patient_id if row.patient else "",
        course_id=row.course_key or "",
        device=row.device,
        kind=row.kind,
        start=row.start,
        minutes=row.minutes,
        particle=row.particle,
        fraction=row.fraction,
        state=row.state.name,
        revision=row.revision,
    )
