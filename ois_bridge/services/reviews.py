"""The weekly physician review of patients under treatment."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session, contains_eager

from common import authority
from common.errors import BadInput, Unauthorised
from common.text import _
from ois_bridge.domain import toxicity
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import Happening
from ois_bridge.models.clinical import Course
from ois_bridge.models.record import PhysicianReview
from ois_bridge.services import accounts, courses, deliveries
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import happenings, rights

PURPOSE = "physician-review"
"""Keeps these signatures apart from all others."""
LIGHTEST_KG, HEAVIEST_KG = 1.0, 400.0


@dataclass(frozen=True)
class Written:
    """A review as typed. `toxicities`: (term, grade) pairs; weight in kg or empty."""

    weight: str
    toxicities: Sequence[tuple[str, str]]
    note: str


@dataclass(frozen=True)
class Due:
    """A course under treatment: its first beam, its last review (None: never) and since when it is due."""

    course: Course
    first_beam: datetime
    last: datetime | None
    due: datetime

    def late(self, now: datetime) -> bool:
        """Whether the review is overdue."""
        return now > self.due


def under_treatment(session: Session, days: int, seen: ColumnElement[bool] | None = None) -> list[Due]:
    """Active courses that got a beam, the longest due first. `days`: between two reviews; `seen`: a
    condition on Patient (access.visible).
    """
    first = courses.first_beams().subquery()
    last = (
        select(PhysicianReview.course_key, func.max(PhysicianReview.time).label("last"))
        .group_by(PhysicianReview.course_key)
        .subquery()
    )
    rows = session.execute(
        select(Course, first.c.first_beam, last.c.last)
        .join(first, first.c.course_key == Course.key)
        .outerjoin(last, last.c.course_key == Course.key)
        .join(Course.patient)
        .where(Course.state == CourseState.ACTIVE, true() if seen is None else seen)
        .options(contains_eager(Course.patient))
    )
    found = [
        Due(course, begun, reviewed, max(begun, reviewed or begun) + timedelta(days=days))
        for course, begun, reviewed in rows
    ]
    return sorted(found, key=lambda one: (one.due, one.course.key))


def overdue(session: Session, now: datetime, days: int = 7) -> list[Due]:
    """Courses under treatment whose last review, or first beam, is longer ago than `days`."""
    return [one for one in under_treatment(session, days) if one.late(now)]


def of_course(session: Session, course_key: str) -> Sequence[PhysicianReview]:
    """Reviews of a course, newest first."""
    return session.scalars(
        select(PhysicianReview)
        .where(PhysicianReview.course_key == course_key)
        .order_by(PhysicianReview.time.desc())
    ).all()


def write(
    context: Context, caller: Caller, course_key: str, written: Written, password: str
) -> PhysicianReview:
    """Keep a signed review; the password is asked again.

    Raises BadInput for a weight or grade that cannot be used, Refused unless the course is active,
    Unauthorised.
    """
    weight, found = _weight(written.weight), toxicity.checked(written.toxicities)
    if len(readable(written.note, _("Note"))) > 2000:
        raise BadInput(_("Note: at most 2000 characters are allowed."))
    try:
        accounts.authenticate(context, caller.user, password, "confirm a review")
    except Unauthorised as why:
        context.refused(caller.user, Action.REVIEW_PATIENT.value, course_key, why)
        raise
    with context.permitted(caller, Action.REVIEW_PATIENT, course_key) as session:
        rights.check(session, context, caller, course_key)
        course = courses.must_be_active(session, course_key)
        row = PhysicianReview(
            course_key=course.key,
            time=context.now(),
            physician=caller.user,
            weight=weight,
            toxicities=[asdict(one) for one in found],
            note=written.note.strip(),
            signature="",
        )
        row.signature = authority.sign(
            context.signing_key,
            {"purpose": PURPOSE, "hash": digest(row), "user": caller.user, "time": row.time.isoformat()},
        )
        session.add(row)
        over = deliveries.delivered(session, course_key)
        happenings.happened(session, context, caller.user, course_key, Happening.REVIEWED, over)
    return row


def digest(row: PhysicianReview) -> str:
    """SHA-256 of what a review says, hex."""
    said = {
        "course": row.course_key,
        "physician": row.physician,
        "time": row.time.isoformat(),
        "weight": row.weight,
        "toxicities": row.toxicities,
        "note": row.note,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _weight(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not LIGHTEST_KG <= weight <= HEAVIEST_KG:
        raise BadInput(_("Weight: {a:g} to {b:g} kg, or nothing.").format(a=LIGHTEST_KG, b=HEAVIEST_KG))
    return weight
