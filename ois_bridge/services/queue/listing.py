"""A device's queue as people see it: who is called, who waits and in which order, who is expected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from ois_bridge.domain.appointment_states import AppointmentState as S
from ois_bridge.domain.queue.day import bounds
from ois_bridge.domain.queue.masking import masked_name
from ois_bridge.domain.queue.order import Waiting, ordered
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.queue import QueueEntry
from ois_bridge.services.queue.settings import Both, active_rule, settings, title

_CHILD, _ELDERLY = 14, 75


@dataclass(frozen=True)
class Row:
    """One visit. `late`: minutes that the sign-in was after the time; `early`: its time has not come.

    `fractions`: of the course in all. `ahead`: how many are before; `minutes`: the wait as expected.
    """

    visit: Appointment
    entry: QueueEntry | None
    fractions: int
    late: int
    early: bool
    ahead: int = 0
    minutes: int = 0

    @property
    def masked(self) -> str:
        """The name as strangers may read it."""
        return masked_name(self.visit.patient.name) if self.visit.patient else ""


@dataclass(frozen=True)
class Queue:
    """One device's day. `current`: called or in the room; `waiting`: the next one first."""

    device: str
    title: Both
    current: tuple[Row, ...]
    waiting: tuple[Row, ...]
    expected: tuple[Row, ...]
    finished: tuple[Row, ...]
    missed: tuple[Row, ...]


@dataclass(frozen=True)
class Place:
    """Where one visit stands."""

    ahead: int
    minutes: int


def of_device(session: Session, device: str, now: datetime) -> Queue:
    """The queue of a device today, by the active rule."""
    visits = _visits(session, (device,), now)
    return _queue(session, device, visits, now)


def of_devices(session: Session, devices: Sequence[str], now: datetime) -> list[Queue]:
    """The queues of several devices, in the given order."""
    visits = _visits(session, devices, now)
    return [
        _queue(session, device, [visit for visit in visits if visit.device == device], now)
        for device in devices
    ]


def place_of(session: Session, visit: Appointment, now: datetime) -> Place:
    """How many are before a visit, and for how long."""
    queue = of_device(session, visit.device, now)
    found = next((row for row in queue.waiting if row.visit.key == visit.key), None)
    return Place(found.ahead, found.minutes) if found else Place(0, 0)


def waiting_rows(session: Session, device: str, now: datetime) -> list[tuple[Waiting, Appointment]]:
    """Those who wait, unordered, as the rules see them."""
    visits = [visit for visit in _visits(session, (device,), now) if visit.state is S.SIGNED_IN]
    entries = _entries(session, visits)
    return [(_waiting(visit, entries.get(visit.key), now), visit) for visit in visits]


def _visits(session: Session, devices: Sequence[str], now: datetime) -> Sequence[Appointment]:
    first, last = bounds(now)
    return session.scalars(
        select(Appointment)
        .where(
            Appointment.device.in_(devices),
            Appointment.start >= first,
            Appointment.start < last,
            Appointment.patient_key.is_not(None),
            Appointment.state != S.CANCELLED,
        )
        .options(
            selectinload(Appointment.patient),
            selectinload(Appointment.course).selectinload(Course.prescriptions),
        )
        .order_by(Appointment.start, Appointment.key)
    ).all()


def _entries(session: Session, visits: Iterable[Appointment]) -> dict[str, QueueEntry]:
    keys = [visit.key for visit in visits if visit.signed_in is not None]
    rows = session.scalars(select(QueueEntry).where(QueueEntry.appointment_key.in_(keys)))
    return {row.appointment_key: row for row in rows}


def _queue(session: Session, device: str, visits: Sequence[Appointment], now: datetime) -> Queue:
    entries = _entries(session, visits)
    rows = {visit.key: _row(visit, entries.get(visit.key), now) for visit in visits}

    def of(*states: S) -> tuple[Row, ...]:
        return tuple(row for row in rows.values() if row.visit.state in states)

    waiting = [_waiting(row.visit, row.entry, now) for row in of(S.SIGNED_IN)]
    line = [rows[one.key] for one in ordered(waiting, active_rule(session), now)]
    current = sorted(of(S.CALLED, S.IN_ROOM), key=lambda row: row.visit.state is not S.CALLED)
    return Queue(
        device,
        title(session, device),
        tuple(current),
        tuple(_with_waits(line, current)),
        of(S.BOOKED),
        of(S.DONE),
        of(S.MISSED),
    )


def _row(visit: Appointment, entry: QueueEntry | None, now: datetime) -> Row:
    signed = visit.signed_in or visit.start
    late = max(0, int((signed - visit.start).total_seconds() // 60))
    fractions = sum(one.fractions for one in visit.course.prescriptions) if visit.course else 0
    return Row(visit, entry, fractions, late if late > settings().order.grace_min else 0, now < visit.start)


def _with_waits(line: Sequence[Row], current: Sequence[Row]) -> Iterable[Row]:
    """Rows with how many are before each, and the sum of the lengths of their visits."""
    minutes = sum(row.visit.minutes for row in current)
    for place, row in enumerate(line):
        yield Row(row.visit, row.entry, row.fractions, row.late, row.early, place, minutes)
        minutes += row.visit.minutes


def _waiting(visit: Appointment, entry: QueueEntry | None, now: datetime) -> Waiting:
    return Waiting(
        key=visit.key,
        number=visit.queue_number or 0,
        start=visit.start,
        signed_in=visit.signed_in or visit.start,
        priority=visit.priority,
        passed=entry.passed if entry else 0,
        passed_at=entry.passed_at if entry else None,
        facts=_facts(visit, now),
    )


def _facts(visit: Appointment, now: datetime) -> dict[str, float]:
    patient, course = visit.patient, visit.course
    age = _age(patient, now) if patient else 0
    return {
        "anaesthesia": float(patient is not None and "anaesthesia" in patient.alerts.split()),
        "child": float(age < _CHILD),
        "elderly": float(age >= _ELDERLY),
        "inpatient": float(course is not None and course.source == "inpatient"),
        "first_visit": float(visit.fraction == 1),
        "minutes": float(visit.minutes),
    }


def _age(patient: Patient, now: datetime) -> int:
    born, today = patient.birth_date, f"{now.astimezone():%Y%m%d}"
    return (int(today) - int(born)) // 10000 if len(born) == 8 else 0
