"""What the front desk said of a course at its registration, changed later: ward, bed, doctor in charge."""

import hashlib
from dataclasses import fields

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import Refused
from common.text import _
from ois_bridge.domain import registration
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import CourseEntry
from ois_bridge.models.clinical import Course
from ois_bridge.models.registration import PatientChange
from ois_bridge.services import access
from ois_bridge.services import registration as desk
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

FIELDS = tuple(field.name for field in fields(CourseEntry) if field.name != "diagnosis")
"""The diagnosis has its own page, its own right and its own history."""
OPEN = (CourseState.ACTIVE, CourseState.INTERRUPTED)


def entry_of(course: Course) -> CourseEntry:
    """A course's data as the form shows them."""
    return CourseEntry(**{name: getattr(course, name) or "" for name in FIELDS})


def stamp(course: Course) -> str:
    """A digest of the data: a form that carries an old one would overwrite another's work."""
    text = "\x1f".join(str(getattr(course, name)) for name in FIELDS)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def change(context: Context, caller: Caller, key: str, entry: CourseEntry, seen: str) -> list[str]:
    """Write what is different; returns the names of the changed fields. `seen`: the stamp of the data that
    the caller saw. Earlier values stand with those of the patient.

    Raises NotFound, BadInput for a field, Refused when someone else was quicker, for a course that is over,
    or for somebody who is no doctor.
    """
    with context.permitted(caller, Action.EDIT_PATIENT, key, "course") as session:
        course = must(session.get(Course, key))
        access.check(session, caller, course.patient_key, context)
        if course.state not in OPEN:
            raise Refused(
                _("The course is {state}: its data stay as they are.").format(state=_(course.state.value))
            )
        if stamp(course) != seen:
            raise Refused(_("Someone else changed this course meanwhile; look at it and change again."))
        wanted = registration.checked_course(entry)
        doctors = {row.user for row in desk.physicians(session)} | {"", course.physician}
        if wanted.physician not in doctors:
            raise Refused(_("Doctor in charge: choose one of the list."))
        if not wanted.name:
            raise Refused(_("Course: a name is needed."))
        changed = [name for name in FIELDS if (getattr(course, name) or "") != getattr(wanted, name)]
        for name in changed:
            _note(context, session, caller, course, name, getattr(wanted, name))
        if changed:
            course.changed = context.now()
    return changed


def _note(context: Context, session: Session, caller: Caller, course: Course, name: str, value: str) -> None:
    count = session.scalar(select(func.count(Course.key)).where(Course.patient_key == course.patient_key))
    which = f" ({course.name})" if (count or 0) > 1 and name not in ("physician", "source", "name") else ""
    session.add(
        PatientChange(
            patient_key=course.patient_key,
            field="course" if name == "name" else name,
            old=f"{getattr(course, name) or ''}"[:80] + which[:120],
            new=value[:80] + which[:120],
            changed=context.now(),
            changed_by=caller.user,
        )
    )
    setattr(course, name, value)
