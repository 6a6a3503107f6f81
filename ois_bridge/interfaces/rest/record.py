"""The patient's record: diagnoses, course actions, alerts, time line, reviews, follow-up, studies."""

from datetime import date
from typing import Any

from fastapi import APIRouter

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest import record_schemas as bodies
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.models.clinical import Patient
from ois_bridge.services import (
    access,
    alerts,
    courses,
    diagnoses,
    follow_up,
    patients,
    plan_line,
    record_views,
    reviews,
)
from ois_bridge.services.courses import StageChoice
from ois_bridge.services.reviews import Written
from ois_bridge.services.workflow import rights

router = APIRouter(tags=["record"])


@router.get("/diagnoses", response_model=list[bodies.Diagnosis])
def list_diagnoses(context: Means, caller: By, search: str = "") -> Any:
    """Diagnoses by name, pinyin, initials or code (at most 200)."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        return [record_views.diagnosis(row) for row in diagnoses.search(session, search, 200)]


@router.post("/diagnosis-table")
def import_diagnoses(context: Means, caller: By, body: bodies.TableBody) -> bodies.Taken:
    """Take the hospital's own table in (physician); all of it or nothing."""
    return bodies.Taken(rows=diagnoses.import_table(context, caller, body.table.encode()))


@router.get("/courses/{course_id}", response_model=bodies.CourseState)
def one_course(context: Means, caller: By, course_id: str) -> Any:
    """One course: state, diagnosis, stage."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        return record_views.course(rights.check(session, context, caller, course_id))


@router.put("/courses/{course_id}/diagnosis", response_model=bodies.CourseState)
def diagnose(context: Means, caller: By, course_id: str, body: bodies.DiagnosisBody) -> Any:
    """Set diagnosis and stage (physician)."""
    stage = StageChoice(body.stage.table, body.stage.choice) if body.stage else None
    return record_views.course(courses.diagnose(context, caller, course_id, body.code, body.text, stage))


@router.post("/courses/{course_id}/actions")
def act(context: Means, caller: By, course_id: str, body: bodies.ActionBody) -> bodies.ActionDone:
    """Cancel, interrupt, resume, end, reopen a course or send it to history (physician)."""
    done = courses.act(context, caller, course_id, CourseEvent[body.event], body.reason)
    return bodies.ActionDone(state=done.course.state.name, appointments=done.appointments, tasks=done.tasks)


@router.get("/patients/{patient_id}/alerts")
def read_alerts(context: Means, caller: By, patient_id: str) -> bodies.Alerts:
    """The alerts that follow a patient."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        patient = patients.must(patients.by_id(session, patient_id))
        access.check(session, caller, patient.key, context)
        return bodies.Alerts(alerts=[alert.code for alert in alerts.of(patient)])


@router.put("/patients/{patient_id}/alerts")
def change_alerts(context: Means, caller: By, patient_id: str, body: bodies.Alerts) -> bodies.Alerts:
    """Set the alerts of a patient (physician, receptionist)."""
    with context.reading(caller, Action.EDIT_ALERTS) as session:
        key = patients.must(patients.by_id(session, patient_id)).key
    patient: Patient = alerts.change(context, caller, key, body.alerts)
    return bodies.Alerts(alerts=[alert.code for alert in alerts.of(patient)])


@router.get("/patients/{patient_id}/timeline", response_model=bodies.TimeLine)
def time_line(context: Means, caller: By, patient_id: str) -> Any:
    """Every fraction planned and treated, ours and other systems'."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        caller.check(Action.READ_PLAN)
        patient = patients.must(patients.by_id(session, patient_id))
        return record_views.time_line(plan_line.of_patient(context, session, caller, patient))


@router.get("/reviews/due", response_model=list[bodies.ReviewDue])
def reviews_due(context: Means, caller: By) -> Any:
    """Courses under treatment and when their weekly review is due."""
    days, now = context.record.settings.review_days, context.now()
    with context.reading(caller, Action.READ_REVIEWS) as session:
        return [
            record_views.due(one, now)
            for one in reviews.under_treatment(session, days, access.visible(caller, context))
        ]


@router.post("/courses/{course_id}/reviews", status_code=201)
def review(context: Means, caller: By, course_id: str, body: bodies.ReviewBody) -> schemas.Created:
    """Sign a weekly review (physician)."""
    weight = "" if body.weight is None else str(body.weight)
    found = [(one.term, str(one.grade)) for one in body.toxicities]
    row = reviews.write(context, caller, course_id, Written(weight, found, body.note), body.password)
    return schemas.Created(id=row.key)


@router.post("/courses/{course_id}/follow-ups", status_code=201, response_model=list[bodies.FollowUp])
def plan_follow_up(context: Means, caller: By, course_id: str, body: bodies.FollowUpBody) -> Any:
    """Plan follow-ups of a course (physician)."""
    try:
        start = date.fromisoformat(body.start)
    except ValueError as why:
        raise BadInput(_("Follow-up: the day it is counted from is needed, as YYYY-MM-DD.")) from why
    rows = follow_up.plan(context, caller, course_id, start, body.months)
    return [record_views.follow_up(row) for row in rows]


@router.get("/follow-ups/overdue", response_model=list[bodies.FollowUp])
def follow_ups_overdue(context: Means, caller: By) -> Any:
    """Follow-ups whose day has passed without a result (physician)."""
    today = context.now().astimezone().date()
    with context.reading(caller, Action.FOLLOW_UP) as session:
        return [
            record_views.follow_up(row)
            for row in follow_up.overdue(session, today, access.visible(caller, context))
        ]


@router.post("/follow-ups/{follow_up_id}", response_model=bodies.FollowUp)
def enter_result(context: Means, caller: By, follow_up_id: str, body: bodies.ResultBody) -> Any:
    """Write what a follow-up found (physician)."""
    return record_views.follow_up(follow_up.enter(context, caller, follow_up_id, body.outcome, body.note))


@router.get("/studies", response_model=list[bodies.Study])
def list_studies(context: Means, caller: By) -> Any:
    """All studies (physician)."""
    with context.reading(caller, Action.FOLLOW_UP) as session:
        return [record_views.study(line) for line in follow_up.studies(session)]


@router.post("/studies", status_code=201)
def add_study(context: Means, caller: By, body: bodies.StudyBody) -> schemas.Created:
    """Add a study (physician)."""
    return schemas.Created(id=follow_up.add_study(context, caller, body.name, body.criteria).key)


@router.post("/courses/{course_id}/studies", status_code=201)
def enrol(context: Means, caller: By, course_id: str, body: bodies.EnrolBody) -> schemas.Created:
    """Put a course into a study (physician)."""
    return schemas.Created(id=follow_up.enrol(context, caller, body.study_id, course_id).key)
