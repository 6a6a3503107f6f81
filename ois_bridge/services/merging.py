"""Two records of one person made one, and made two again: everything that hangs on a patient follows.

What hangs on a patient is read from the tables themselves (every foreign key to `patient`), so a table of
tomorrow follows without a word here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, and_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.logs import opaque
from common.text import _
from ois_bridge.domain.alerts import ALERTS
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_states import PlanState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.archive import DicomSeries
from ois_bridge.models.base import Base, UtcDateTime
from ois_bridge.models.clinical import Course, Patient, Prescription
from ois_bridge.models.merging import PatientMerge
from ois_bridge.models.plans import Plan
from ois_bridge.models.queue import Contact
from ois_bridge.models.treatment import Fraction
from ois_bridge.services import access, events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.search import parts

STAYS = frozenset({"patient_merge", "patient_change", "submission", "search_part"})
"""What tells of one record's own past, or follows from its row."""
FILLED = ("id_card", "hospital_number", "phone", "address", "photo")
"""Taken over where the record that stays has none."""
HERE = (AppointmentState.SIGNED_IN, AppointmentState.CALLED, AppointmentState.IN_ROOM)
CONTACT = "contact.subject"

Keys = list[list[str | int]]


@dataclass(frozen=True)
class Pair:
    """Two records side by side. `differs`: fields in which they contradict each other."""

    kept: Patient
    gone: Patient
    differs: tuple[str, ...]


def pair(session: Session, context: Context, caller: Caller, kept_key: str, gone_key: str) -> Pair:
    """The two records, as far as the caller may see them. Raises NotFound, Refused, RecordClosed."""
    kept, gone = must(session.get(Patient, kept_key)), must(session.get(Patient, gone_key))
    for one in (kept, gone):
        access.check(session, caller, one.key, context)
    if kept.key == gone.key:
        raise Refused(_("This is one and the same record; choose another one."))
    if kept.merged_into or gone.merged_into:
        raise Refused(_("One of these records was merged before; open the record that stayed."))
    fields = ("name", "birth_date", "sex", "id_card")
    differs = tuple(
        field
        for field in fields
        if getattr(kept, field) and getattr(gone, field) and getattr(kept, field) != getattr(gone, field)
    )
    return Pair(kept, gone, differs)


def merge(
    context: Context, caller: Caller, kept_key: str, gone_key: str, reason: str, sure: bool = False
) -> PatientMerge:
    """Put all that belongs to `gone` to `kept`. `sure`: the caller compared persons whose data differ.

    Raises Refused: data differ and nobody is sure, a running treatment or a visit that is going on under the
    other number; BadInput without a reason; NotFound; Unauthorised.
    """
    detail = f"merge with {opaque(gone_key)}"
    with context.permitted(caller, Action.MERGE_PATIENTS, kept_key, detail) as session:
        two = pair(session, context, caller, kept_key, gone_key)
        if not 1 <= len(readable(reason.strip(), _("Reason"))) <= 200:
            raise BadInput(_("A reason of 1 to {n} characters is needed.").format(n=200))
        if {"birth_date", "sex", "id_card"} & set(two.differs) and not sure:
            raise Refused(
                _("Birth date, sex or id card differ: compare the persons, and say that they are the same.")
            )
        _refuse_running(session, two.gone)
        before = _fill(session, two)
        moved = {
            f"{column.table.name}.{column.name}": found
            for column in references()
            if (found := _move(session, column, gone_key, kept_key))
        }
        if _move_contact(session, gone_key, kept_key):
            moved[CONTACT] = []
        two.gone.merged_into = kept_key
        row = PatientMerge(
            kept_key=kept_key,
            gone_key=gone_key,
            reason=reason.strip(),
            moved=moved,
            before=before,
            time=context.now(),
            user=caller.user,
        )
        session.add(row)
        _told(session)
    return row


def undo(context: Context, caller: Caller, merge_key: str) -> PatientMerge:
    """Make two records of one again. What came after the merge goes with the course it belongs to.

    Raises Refused where it was undone before, or a later merge or a running visit is in the way; NotFound.
    """
    with context.permitted(caller, Action.MERGE_PATIENTS, merge_key, "undo a merge") as session:
        row = must(session.get(PatientMerge, merge_key))
        kept, gone = row.kept, row.gone
        for one in (kept, gone):
            access.check(session, caller, one.key, context)
        if row.undone is not None:
            raise Refused(_("This merge was undone before."))
        if kept.merged_into:
            raise Refused(_("The record that stayed was merged itself; undo that merge first."))
        gone.merged_into = ""
        _back(session, row)
        _restore(session, row)
        row.undone, row.undone_by = context.now(), caller.user
        _told(session)
    return row


def of_patient(session: Session, key: str) -> Sequence[PatientMerge]:
    """Merges into a record, the newest first."""
    query = select(PatientMerge).where(PatientMerge.kept_key == key)
    return session.scalars(query.order_by(PatientMerge.time.desc(), PatientMerge.key)).all()


def references() -> Iterator[Column[Any]]:
    """Every column that says whose a row is."""
    for table in Base.metadata.sorted_tables:
        if table.name not in STAYS:
            for column in table.columns:
                if any(key.column.table.name == "patient" for key in column.foreign_keys):
                    yield column


def _refuse_running(session: Session, gone: Patient) -> None:
    """Files of a treatment that goes on carry its number: that record is the one that must stay."""
    running = session.scalar(
        select(Plan.sop_uid)
        .join(Fraction, Fraction.plan_uid == Plan.sop_uid)
        .join(Prescription, Prescription.key == Plan.prescription_key)
        .join(Course, Course.key == Prescription.course_key)
        .where(
            Plan.patient_key == gone.key,
            Plan.state == PlanState.APPROVED,
            Fraction.state != FractionState.DELIVERED,
            Course.state.in_((CourseState.ACTIVE, CourseState.INTERRUPTED)),
        )
        .limit(1)
    )
    if running is not None:
        raise Refused(
            _(
                "Record {id} is under treatment by a plan that carries its number: let that record stay."
            ).format(id=gone.patient_id)
        )
    here = select(Appointment.key).where(Appointment.patient_key == gone.key, Appointment.state.in_(HERE))
    if session.scalar(here.limit(1)) is not None:
        raise Refused(_("This patient is signed in under the other record; finish that visit first."))


def _fill(session: Session, two: Pair) -> dict[str, str]:
    """Give the record that stays what it lacks; returns what it and the other had before."""
    kept, gone = two.kept, two.gone
    before = {"kept.alerts": kept.alerts}
    both = {*kept.alerts.split(), *gone.alerts.split()}
    kept.alerts = " ".join(code for code in ALERTS if code in both)
    taken = {name: getattr(gone, name) for name in FILLED if getattr(gone, name) and not getattr(kept, name)}
    pieces = {one.key: parts.of(one) for one in (kept, gone)}
    for name, value in taken.items():
        before[f"gone.{name}"] = value
        setattr(gone, name, "")
    session.flush()  # an id card belongs to one record at any moment
    for name, value in taken.items():
        setattr(kept, name, value)
    for one in (kept, gone):
        parts.put(session, one, pieces[one.key])
    session.flush()
    return before


def _restore(session: Session, row: PatientMerge) -> None:
    """Put back the values that the merge changed and nobody changed since."""
    pieces = {one.key: parts.of(one) for one in (row.kept, row.gone)}
    back = {}
    for name in FILLED:
        value = row.before.get(f"gone.{name}", "")
        if value and getattr(row.kept, name) == value:
            setattr(row.kept, name, "")
            back[name] = value
    session.flush()
    for name, value in back.items():
        setattr(row.gone, name, value)
    came = set(row.gone.alerts.split()) - set(row.before["kept.alerts"].split())
    row.kept.alerts = " ".join(code for code in row.kept.alerts.split() if code not in came)
    for one in (row.kept, row.gone):
        parts.put(session, one, pieces[one.key])


def _move(session: Session, column: Column[Any], old: str, new: str) -> Keys:
    """Point rows from one patient to another; returns their keys. A row that the other has too stays."""
    table = column.table
    assert isinstance(table, Table)
    own = [one for one in table.primary_key.columns if one is not column]
    moved: Keys = []
    for found in session.execute(
        select(*own).where(column == old) if own else select(column).where(column == old)
    ):
        key = list(found) if own else []
        try:
            with session.begin_nested():
                session.execute(update(table).where(_is(column, own, key, old)).values({column: new}))
        except IntegrityError:
            continue
        moved.append([part if isinstance(part, str | int) else part.isoformat() for part in key])
    return moved


def _is(column: Column[Any], own: Sequence[Column[Any]], key: Sequence[Any], whose: str) -> Any:
    return and_(column == whose, *(one == value for one, value in zip(own, key, strict=True)))


def _back(session: Session, row: PatientMerge) -> None:
    """Exactly the rows that were moved go back, then what came since with the courses among them."""
    kept, gone = row.kept_key, row.gone_key
    for column in references():
        table = column.table
        assert isinstance(table, Table)
        own = [one for one in table.primary_key.columns if one is not column]
        for stored in row.moved.get(f"{table.name}.{column.name}", ()):
            key = [_typed(one, value) for one, value in zip(own, stored, strict=True)]
            session.execute(update(table).where(_is(column, own, key, kept)).values({column: gone}))
    if CONTACT in row.moved:
        _move_contact(session, kept, gone)
    session.expire_all()
    courses = [str(key[0]) for key in row.moved.get("course.patient_key", ())]
    for column in references():
        if "course_key" in column.table.columns:
            mine = and_(column == kept, column.table.columns["course_key"].in_(courses))
            session.execute(update(column.table).where(mine).values({column: gone}))
    wishes = select(Prescription.key).where(Prescription.course_key.in_(courses))
    session.execute(
        update(Plan)
        .where(Plan.patient_key == kept, Plan.prescription_key.in_(wishes))
        .values(patient_key=gone)
    )
    number = must(session.get(Patient, gone)).patient_id
    session.execute(
        update(DicomSeries)
        .where(DicomSeries.patient_key == kept, DicomSeries.stated_id == number)
        .values(patient_key=gone)
    )


def _typed(column: Column[Any], value: str | int) -> Any:
    """A key from JSON as its column takes it."""
    return datetime.fromisoformat(str(value)) if isinstance(column.type, UtcDateTime) else value


def _move_contact(session: Session, old: str, new: str) -> bool:
    """How the person wants to be told, unless the other record says it."""
    found = session.get(Contact, ("patient", old))
    if found is None or session.get(Contact, ("patient", new)) is not None:
        return False
    session.execute(
        update(Contact).where(Contact.kind == "patient", Contact.subject == old).values(subject=new)
    )
    session.expire_all()
    return True


def _told(session: Session) -> None:
    for topic in ("tasks", "appointments", "queue"):
        events.announce(session, topic)
