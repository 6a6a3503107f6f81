"""What a therapist does with the queue: call, call again, pass over, in the room, finished, put forward."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _, language
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.day import bounds, day_of
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.queue import QueueCall, QueueEntry
from ois_bridge.services import events, notices
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import listing
from ois_bridge.services.queue.settings import settings, title
from ois_bridge.services.workflow import guards

TWICE = timedelta(seconds=3)
"""A second call of the same patient within this time is the same click."""

HIGHEST = 9

NIGHT = {
    AppointmentState.BOOKED: AppointmentEvent.MISS,
    AppointmentState.SIGNED_IN: AppointmentEvent.MISS,
    AppointmentState.CALLED: AppointmentEvent.MISS,
    AppointmentState.IN_ROOM: AppointmentEvent.FINISH,
}
"""What becomes of the visits of a day when it is over."""
HERE = (AppointmentState.CALLED, AppointmentState.IN_ROOM)
UNDER_WAY = timedelta(hours=8)


def call(context: Context, caller: Caller, key: str) -> None:
    """Call a patient, or call again. Raises NotFound, Refused for one who has not signed in."""
    with context.permitted(caller, Action.CALL_PATIENTS, key, "call") as session:
        visit, entry = _locked(session, key)
        now = context.now()
        # a clock that was set back must not swallow calls
        if visit.state is AppointmentState.CALLED and visit.called and abs(now - visit.called) < TWICE:
            return
        _require_free(session, visit, now)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.CALL)
        visit.called = now
        entry.calls += 1
        session.add(
            QueueCall(
                appointment_key=key, device=visit.device, time=now, count=entry.calls, called_by=caller.user
            )
        )
        _moved_up(context, session, caller, visit)


def pass_over(context: Context, caller: Caller, key: str) -> None:
    """The patient did not come: back into the queue, a while later. Raises NotFound, Refused."""
    with context.permitted(caller, Action.CALL_PATIENTS, key, "pass over") as session:
        visit, entry = _locked(session, key)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.PASS_OVER)
        visit.entered = None
        entry.passed += 1
        entry.passed_at = context.now()
        events.announce(session, "queue", visit.device)


def enter(context: Context, caller: Caller, key: str) -> None:
    """The patient is in the room, and is the right one. Raises NotFound, Refused; for a treatment also
    what the guard `treat` misses (a treatment sheet that was withdrawn since the visit was booked).
    """
    with context.permitted(caller, Action.CALL_PATIENTS, key, "in the room, identity checked") as session:
        visit, _entry = _locked(session, key)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.ENTER)
        if visit.kind == Kind.TREATMENT and visit.course_key:
            guards.may_treat(session, visit.course_key)
        visit.entered = context.now()
        _moved_up(context, session, caller, visit)


def finish(context: Context, caller: Caller, key: str) -> None:
    """The visit is done. Raises NotFound, Refused."""
    with context.permitted(caller, Action.CALL_PATIENTS, key, "finish") as session:
        visit, _entry = _locked(session, key)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.FINISH)
        visit.finished = context.now()
        events.announce(session, "queue", visit.device)
        events.announce(session, "appointments", visit.device)


def miss(context: Context, caller: Caller, key: str) -> None:
    """The patient will not come today. Raises NotFound, Refused."""
    with context.permitted(caller, Action.CALL_PATIENTS, key, "missed") as session:
        visit, _entry = _locked(session, key)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.MISS)
        _moved_up(context, session, caller, visit)
        events.announce(session, "appointments", visit.device)


def close_days(context: Context) -> int:
    """Visits of earlier days that nobody came to, or went away from, are missed; who was in the room had
    the visit, whoever forgot to end it. Called by a chore.
    """
    now = context.now()
    today = bounds(now)[0]
    past = (
        Appointment.start < today,
        Appointment.state.in_(NIGHT),
        Appointment.patient_key.is_not(None),
        # a visit of the late evening may be under way
        or_(Appointment.state.not_in(HERE), Appointment.start < now - UNDER_WAY),
    )
    with context.database.reading() as session:
        if session.scalar(select(Appointment.key).where(*past).limit(1)) is None:
            return 0
    with context.deed("chore", "close days", day_of(now)) as session:
        rows = session.scalars(select(Appointment).where(*past).with_for_update()).all()
        for row in rows:
            row.state = step(APPOINTMENT_TABLE, row.state, NIGHT[row.state])
        return len(rows)


def leave(context: Context, caller: Caller, key: str) -> None:
    """Take a sign-in back; the number is not given again. Raises NotFound, Refused."""
    with context.permitted(caller, Action.SIGN_IN_FOR, key, "take back") as session:
        visit, _entry = _locked(session, key)
        visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.LEAVE)
        visit.signed_in, visit.signed_in_by, visit.queue_number = None, "", None
        visit.priority = 0
        _moved_up(context, session, caller, visit)


def put_forward(context: Context, caller: Caller, key: str, priority: int, reason: str) -> None:
    """Give a patient a priority (0 takes it back), with the reason. Raises BadInput, NotFound."""
    reason = reason.strip()
    if not 0 <= priority <= HIGHEST:
        raise BadInput(_("A priority from 0 to {n} is needed.").format(n=HIGHEST))
    if not (priority == 0 or 1 <= len(reason) <= 200):
        raise BadInput(_("A reason of 1 to 200 characters is needed."))
    detail = f"priority {priority}"
    with context.permitted(caller, Action.PUT_FORWARD, key, detail) as session:
        visit, entry = _locked(session, key)
        visit.priority, entry.reason, entry.reason_by = priority, reason, caller.user
        _moved_up(context, session, caller, visit)


def _locked(session: Session, key: str) -> tuple[Appointment, QueueEntry]:
    visit = must(session.get(Appointment, key, with_for_update=True, populate_existing=True))
    entry = session.get(QueueEntry, key)
    if entry is None:
        entry = QueueEntry(appointment_key=key, calls=0, passed=0)
        session.add(entry)
    return visit, entry


def _require_free(session: Session, visit: Appointment, now: datetime) -> None:
    """Nobody is called to two rooms at once."""
    first, last = bounds(now)
    other = session.scalar(
        select(Appointment)
        .where(
            Appointment.patient_key == visit.patient_key,
            Appointment.key != visit.key,
            Appointment.start >= first,
            Appointment.start < last,
            Appointment.state.in_(HERE),
        )
        .limit(1)
    )
    if other is not None:
        raise Refused(
            _("This patient is {state} at another device now: {place}. Call somebody else first.").format(
                state=_(other.state.value), place=title(session, other.device)[language()]
            )
        )


def _moved_up(context: Context, session: Session, caller: Caller, visit: Appointment) -> None:
    """The queue moved: tell the screens, and the patient whose turn comes soon."""
    session.flush()
    events.announce(session, "queue", visit.device)
    for row in listing.of_device(session, visit.device, context.now()).waiting:
        if row.ahead <= settings().soon_before:
            notices.queue_soon(session, row.visit, row.ahead, caller.user, context.now())
