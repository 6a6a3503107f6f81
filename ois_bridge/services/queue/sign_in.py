"""Signing in: which of today's visits is meant, and its number in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.choice import Answer, Choice, Visit, choose
from ois_bridge.domain.queue.day import bounds, clock, date_and_clock, day_of
from ois_bridge.domain.queue.masking import masked_name
from ois_bridge.domain.queue.told import SignInRefused, Told
from ois_bridge.domain.state_table import step
from ois_bridge.domain.words import N_
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Patient
from ois_bridge.models.queue import BiometricTemplate, QueueCounter, QueueEntry
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import listing, people
from ois_bridge.services.queue.settings import Both, settings, title

UNKNOWN_FEATURE = N_("The reader does not know you yet. Please use your barcode, or ask at the front desk.")
NO_VISIT = N_("You have no appointment today. Your next one is on {time}, {place}.")
NO_VISIT_AT_ALL = N_("You have no appointment. Please go to the front desk.")
CANCELLED = N_("Your appointment today was cancelled. Please ask at the front desk.")
TOO_EARLY = N_("Your appointment is at {time}, {place}. You can sign in from {first}.")
TOO_LATE = N_("Your appointment at {time}, {place}, is too long ago. Please go to the front desk.")
ALL_DONE = N_("Your visit of today is done. Your next appointment is on {time}, {place}.")
ALL_DONE_NO_MORE = N_("Your visit of today is done. You have no further appointment.")
NOT_ACTIVE = N_("Your treatment is not going on at the moment. Please go to the front desk.")


@dataclass(frozen=True)
class Possible:
    """A visit that may be meant: its key, time, and where it is."""

    key: str
    time: str
    place: Both


@dataclass(frozen=True)
class SignedIn:
    """`again`: it was signed in before. `ahead`: how many are before; `minutes`: the wait as expected."""

    key: str
    name: str
    number: int
    time: str
    place: Both
    again: bool
    state: AppointmentState
    ahead: int
    minutes: int
    others: tuple[Possible, ...] = ()


@dataclass(frozen=True)
class Asked:
    """More than one visit may be meant."""

    name: str
    visits: tuple[Possible, ...]


def by_code(
    context: Context, caller: Caller, code: str, way: str, device: str = "", wanted: str = ""
) -> SignedIn | Asked:
    """Sign in by what was scanned or typed. `device`: where; `wanted`: the visit that was chosen when asked.

    Raises SignInRefused with words for the patient, Unauthorised.
    """
    with context.permitted(caller, Action.SIGN_IN, code[:64], way) as session:
        patient = people.find(session, code, context.desk.barcodes, context.now().astimezone().date())
        return _sign_in(context, session, caller, patient, way, device, wanted)


def by_feature(
    context: Context, caller: Caller, template: str, device: str = "", wanted: str = ""
) -> SignedIn | Asked:
    """Sign in by what a face or fingerprint reader answered. Raises SignInRefused, Unauthorised."""
    with context.permitted(caller, Action.SIGN_IN, template, "biometric") as session:
        known = session.get(BiometricTemplate, template)
        if known is None:
            raise SignInRefused(Told(UNKNOWN_FEATURE))
        patient = must(session.get(Patient, known.patient_key))
        return _sign_in(context, session, caller, patient, "biometric", device, wanted)


def of_visit(context: Context, caller: Caller, key: str) -> SignedIn:
    """A therapist or the front desk signs in one visit of today, whatever its time.

    Raises NotFound, SignInRefused, Unauthorised.
    """
    with context.permitted(caller, Action.SIGN_IN_FOR, key, "therapist") as session:
        visit = must(session.get(Appointment, key))
        patient = must(visit.patient)
        done = _sign_in(context, session, caller, patient, "therapist", visit.device, key)
        assert isinstance(done, SignedIn), "a chosen visit is not asked about"
        return done


def _sign_in(
    context: Context, session: Session, caller: Caller, patient: Patient, way: str, device: str, wanted: str
) -> SignedIn | Asked:
    now = context.now()
    rows = {row.key: row for row in _of_today(session, patient, now)}
    visits = [Visit(row.key, row.device, row.start, row.state) for row in rows.values()]
    staff = caller.may(Action.SIGN_IN_FOR)
    choice = choose(visits, now, settings().sign_in, device, wanted, staff)
    if choice.answer is Answer.ASK:
        return Asked(masked_name(patient.name), _possible(session, choice.others))
    if choice.answer not in (Answer.TAKE, Answer.ALREADY) or choice.visit is None:
        raise SignInRefused(_why(session, patient, choice, now))
    row = rows[choice.visit.key]
    if choice.answer is Answer.TAKE:
        _take(session, row, way, now)
    others = _possible(session, choice.others)
    place = listing.place_of(session, row, now)
    return SignedIn(
        row.key,
        masked_name(patient.name),
        row.queue_number or 0,
        clock(row.start),
        title(session, row.device),
        choice.answer is Answer.ALREADY,
        row.state,
        place.ahead,
        place.minutes,
        others,
    )


def _of_today(session: Session, patient: Patient, now: datetime) -> Sequence[Appointment]:
    """The patient's visits of today, locked, so that a second scan at the same moment sees the first."""
    first, last = bounds(now)
    return session.scalars(
        select(Appointment)
        .where(Appointment.patient_key == patient.key, Appointment.start >= first, Appointment.start < last)
        .order_by(Appointment.start, Appointment.key)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _take(session: Session, row: Appointment, way: str, now: datetime) -> None:
    if row.course is not None and row.course.state is not CourseState.ACTIVE:
        raise SignInRefused(Told(NOT_ACTIVE))
    row.state = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.SIGN_IN)
    row.signed_in, row.signed_in_by = now, way
    if row.queue_number is None:
        row.queue_number = next_number(session, row.device, day_of(now))
    if session.get(QueueEntry, row.key) is None:
        session.add(QueueEntry(appointment_key=row.key))
    session.flush()
    events.announce(session, "queue", row.device)


def next_number(session: Session, device: str, day: str) -> int:
    """The next queue number of a device and day; the counter's row stays locked until the commit."""
    mine = (QueueCounter.device == device, QueueCounter.day == day)
    counted = update(QueueCounter).where(*mine).values(last=QueueCounter.last + 1)
    counted = counted.returning(QueueCounter.last)
    number = session.scalar(counted)
    if number is None:
        try:
            with session.begin_nested():
                session.add(QueueCounter(device=device, day=day, last=1))
            return 1
        except IntegrityError:  # somebody else made the row between the two statements
            number = session.scalar(counted)
    assert number is not None
    return number


def _possible(session: Session, visits: Sequence[Visit]) -> tuple[Possible, ...]:
    return tuple(Possible(one.key, clock(one.start), title(session, one.device)) for one in visits)


def _why(session: Session, patient: Patient, choice: Choice, now: datetime) -> Told:
    """Words for the patient."""
    visit = choice.visit
    if choice.answer is Answer.EARLY and visit is not None:
        first = visit.start - timedelta(minutes=settings().sign_in.early)
        values: dict[str, str | Both] = {
            "time": clock(visit.start),
            "first": clock(first),
            "place": title(session, visit.device),
        }
        return Told(TOO_EARLY, values)
    if choice.answer is Answer.LATE and visit is not None:
        return Told(TOO_LATE, {"time": clock(visit.start), "place": title(session, visit.device)})
    following = session.scalar(
        select(Appointment)
        .where(
            Appointment.patient_key == patient.key,
            Appointment.start >= bounds(now)[1],
            Appointment.state == AppointmentState.BOOKED,
        )
        .order_by(Appointment.start)
        .limit(1)
    )
    done = choice.answer is Answer.DONE
    if following is None:
        if not done and _cancelled_today(session, patient, now):
            return Told(CANCELLED)
        return Told(ALL_DONE_NO_MORE if done else NO_VISIT_AT_ALL)
    values = {"time": date_and_clock(following.start), "place": title(session, following.device)}
    return Told(ALL_DONE if done else NO_VISIT, values)


def _cancelled_today(session: Session, patient: Patient, now: datetime) -> bool:
    return any(row.state is AppointmentState.CANCELLED for row in _of_today(session, patient, now))
