"""Courses: their diagnosis and stage, and what a physician does with them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select, union_all
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain import staging
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.course_states import COURSE_TABLE, CourseEvent, CourseState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Prescription
from ois_bridge.models.plans import Plan
from ois_bridge.models.record import CourseStage, CourseStep, Diagnosis
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.models.treatment import Fraction, FractionPart
from ois_bridge.models.workflow import Task
from ois_bridge.services import events, notices, patients
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import happenings, processes, rights

STOPS_APPOINTMENTS = frozenset({CourseEvent.INTERRUPT, CourseEvent.CANCEL, CourseEvent.END})
STOPS_TASKS = frozenset({CourseEvent.CANCEL, CourseEvent.END})
"""An interrupted course keeps its tasks: it goes on from there when it is resumed."""


@dataclass(frozen=True)
class StageChoice:
    """A staging table and what was chosen in it (axis -> value)."""

    table: str
    choice: Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """What became of a course and of what hung on it."""

    course: Course
    appointments: int
    tasks: int


def must_be_active(session: Session, course_key: str) -> Course:
    """The course, when it may be scheduled and treated. Raises NotFound, Refused otherwise."""
    course = must(session.get(Course, course_key))
    if course.state is not CourseState.ACTIVE:
        raise Refused(
            _("The course is {state}: only an active one can be planned, booked or treated.").format(
                state=_(course.state.value)
            )
        )
    return course


def add(context: Context, caller: Caller, patient_id: str, name: str, diagnosis: str) -> Course:
    """A new course of a patient, with the processes that begin with it. Raises NotFound, Refused without a
    name.
    """
    with context.permitted(caller, Action.ADD_COURSE, patient_id) as session:
        patient = must(patients.by_id(session, patient_id))
        if not name.strip() or len(name) > 120 or len(diagnosis) > 500:
            raise Refused(
                _("Course: a name of at most 120 and a diagnosis of at most 500 characters are needed.")
            )
        course = Course(
            patient_key=patient.key,
            name=name.strip(),
            diagnosis=diagnosis.strip(),
            created=context.now(),
            created_by=caller.user,
        )
        session.add(course)
        session.flush()
        happenings.course_made(session, context, caller.user, course)
    return course


def diagnosis_stamp(course: Course) -> str:
    """A digest of diagnosis and stage: a form that carries an old one would overwrite another's work."""
    text = "\x1f".join((course.diagnosis_code, course.diagnosis, course.stage))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def diagnose(
    context: Context,
    caller: Caller,
    course_key: str,
    code: str,
    text: str,
    stage: StageChoice | None,
    seen: str = "",
) -> Course:
    """Set a course's diagnosis (from the table, or in words where the code is empty) and its stage.

    `seen`: the stamp of what the caller saw, where they saw something. Raises BadInput for an unknown
    diagnosis or a choice that the staging table does not allow, Refused when somebody else was quicker.
    """
    with context.permitted(caller, Action.EDIT_DIAGNOSIS, course_key) as session:
        course = rights.check(session, context, caller, course_key)
        if seen and seen != diagnosis_stamp(course):
            there = " · ".join(filter(None, (course.diagnosis_text, course.stage))) or "–"
            said = _("Someone else changed diagnosis or stage meanwhile (now: {text}); look and keep again.")
            raise Refused(said.format(text=there))
        set_diagnosis(session, course, code, text)
        if stage is None:
            course.stage = ""
        else:
            _set_stage(context, session, caller, course, stage)
        course.changed = context.now()
    return course


def set_diagnosis(session: Session, course: Course, code: str, text: str = "") -> None:
    """Write a diagnosis into a course, in the caller's transaction. Raises BadInput."""
    text = readable(text.strip(), _("Diagnosis"))
    if len(text) > 500:
        raise BadInput(_("Diagnosis: at most 500 characters are allowed."))
    if not code.strip():
        course.diagnosis_code, course.icd11, course.icd10 = "", "", ""
        course.diagnosis, course.diagnosis_en = text, ""
        return
    found = session.get(Diagnosis, readable(code.strip(), _("Diagnosis")))
    if found is None or not found.active:
        raise BadInput(_("Diagnosis {code} is not in the table; choose one that is.").format(code=code[:32]))
    course.diagnosis_code, course.icd11, course.icd10 = found.code, found.icd11, found.icd10
    course.diagnosis, course.diagnosis_en = (text, "") if text else (found.name, found.name_en)


def _set_stage(
    context: Context, session: Session, caller: Caller, course: Course, wanted: StageChoice
) -> None:
    table = context.record.staging.get(wanted.table)
    if table is None:
        raise BadInput(_("There is no staging table {name}.").format(name=wanted.table[:40]))
    stage = staging.staged(table, wanted.choice)
    course.stage = stage.text[:80]
    session.add(
        CourseStage(
            course_key=course.key,
            staging=stage.table,
            choice=dict(stage.choice),
            group=stage.group,
            time=context.now(),
            user=caller.user,
        )
    )


def stages(session: Session, course_key: str) -> list[CourseStage]:
    """Stages of a course, newest first."""
    return list(
        session.scalars(
            select(CourseStage)
            .where(CourseStage.course_key == course_key)
            .order_by(CourseStage.time.desc(), CourseStage.key)
        )
    )


def act(context: Context, caller: Caller, course_key: str, event: CourseEvent, reason: str) -> Done:
    """Take a step with a course; appointments to come and open tasks follow in the same transaction.

    Raises Refused for a step that the table does not have, or without a reason.
    """
    with context.permitted(caller, Action.ACT_ON_COURSE, course_key, event.name) as session:
        course = rights.check(session, context, caller, course_key)
        state = step(COURSE_TABLE, course.state, event)
        if not 1 <= len(readable(reason.strip(), _("Reason"))) <= 500:
            raise Refused(_("A reason of at most 500 characters is needed."))
        now = context.now()
        course.state, course.state_reason, course.changed = state, reason.strip(), now
        stops = event in STOPS_APPOINTMENTS
        appointments = _cancel_appointments(session, course, caller.user, now) if stops else 0
        waiting = _drop_waiting(session, course) if stops else 0
        tasks = _stop_processes(context, session, caller, course) if event in STOPS_TASKS else 0
        if event is CourseEvent.RESUME:
            _move_dues(session, course, now)
        elif event is CourseEvent.REOPEN:
            processes.go_on_of_course(session, context, caller.user, course.key, course.state_reason)
        session.add(
            CourseStep(
                course_key=course.key,
                event=event,
                reason=reason.strip(),
                effects={"appointments": appointments + waiting, "tasks": tasks},
                time=now,
                user=caller.user,
            )
        )
    return Done(course, appointments + waiting, tasks)


def _cancel_appointments(session: Session, course: Course, user: str, now: datetime) -> int:
    """Cancel what is still to come, and who waits since earlier; who is called or in the room stays."""
    ahead = or_(Appointment.start >= now, Appointment.state == AppointmentState.SIGNED_IN)
    rows = session.scalars(select(Appointment).where(Appointment.course_key == course.key, ahead))
    count = 0
    for row in rows:
        if AppointmentEvent.CANCEL in APPOINTMENT_TABLE[row.state]:
            row.state = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.CANCEL)
            row.revision += 1
            count += 1
            events.announce(session, "queue", row.device)
            notices.appointment_cancelled(session, row, user, now)
    if count:
        events.announce(session, "appointments")
    return count


def _drop_waiting(session: Session, course: Course) -> int:
    """Take visits that wait for a time off the list: one of a course that is not active would keep all
    others of its day from the sheet.
    """
    rows = session.scalars(select(WaitingVisit).where(WaitingVisit.course_key == course.key)).all()
    for row in rows:
        session.delete(row)
    if rows:
        events.announce(session, "appointments")
    return len(rows)


def _move_dues(session: Session, course: Course, now: datetime) -> None:
    """Nobody is late for the time in which the course was interrupted."""
    since = session.scalar(
        select(func.max(CourseStep.time)).where(
            CourseStep.course_key == course.key, CourseStep.event == CourseEvent.INTERRUPT
        )
    )
    if since is None or since >= now:
        return
    open_tasks = select(Task).where(Task.course_key == course.key, Task.state.in_(processes.OPEN))
    for task in session.scalars(open_tasks.where(Task.due.is_not(None))):
        assert task.due is not None
        late_before = task.due < since
        task.due += now - since
        task.reminded = task.reminded if late_before else None
    events.announce(session, "tasks")


def _stop_processes(context: Context, session: Session, caller: Caller, course: Course) -> int:
    """End the course's processes; returns how many open tasks were cancelled with them."""
    waiting = select(func.count(Task.key)).where(
        Task.course_key == course.key, Task.state.in_(processes.OPEN)
    )
    before = session.scalar(waiting) or 0
    processes.stop_of_course(session, context, caller.user, course.key, course.state_reason)
    session.flush()
    return before - (session.scalar(waiting) or 0)


def steps(session: Session, course_key: str) -> list[CourseStep]:
    """What was done with a course, oldest first."""
    return list(
        session.scalars(
            select(CourseStep)
            .where(CourseStep.course_key == course_key)
            .order_by(CourseStep.time, CourseStep.key)
        )
    )


def first_beams(keys: Sequence[str] | None = None) -> Select[str, datetime]:
    """(course, start of its first beam) of the given courses, or of all that got one.

    A record tells it, or a treatment visit that took place: not every machine sends its records here.
    """
    recorded = (
        select(Prescription.course_key.label("course"), FractionPart.started.label("at"))
        .join(Plan, Plan.prescription_key == Prescription.key)
        .join(Fraction, Fraction.plan_uid == Plan.sop_uid)
        .join(FractionPart, FractionPart.fraction_key == Fraction.key)
    )
    visited = select(Appointment.course_key, Appointment.start).where(
        Appointment.kind == Kind.TREATMENT,
        Appointment.state == AppointmentState.DONE,
        Appointment.course_key.is_not(None),
    )
    if keys is not None:
        recorded = recorded.where(Prescription.course_key.in_(keys))
        visited = visited.where(Appointment.course_key.in_(keys))
    both = union_all(recorded, visited).subquery()
    return select(both.c.course.label("course_key"), func.min(both.c.at).label("first_beam")).group_by(
        both.c.course
    )


def possible(course: Course) -> tuple[CourseEvent, ...]:
    """Steps that the table has from a course's state."""
    return tuple(COURSE_TABLE[course.state])
