"""Searching patients and forms by rules, registering a course, photos: what other systems use."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ois_bridge.domain import rules
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import CourseEntry
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.services import patients, photos, registration, views
from ois_bridge.services.search import find, text

router = APIRouter(tags=["patients"])
Short = schemas.Line


class RuleBody(schemas.Body):
    """One condition; fields and operators are those of the list of patients."""

    field: Short
    op: Short
    value: Short = ""


class InnerGroup(schemas.Body):
    """Conditions of which all or any must hold."""

    match: Literal["all", "any"]
    rules: list[RuleBody] = Field(default_factory=list, max_length=rules.MOST_RULES)


class GroupBody(schemas.Body):
    """Conditions and, one level deep, groups of them."""

    match: Literal["all", "any"] = "all"
    rules: list[RuleBody | InnerGroup] = Field(default_factory=list, max_length=rules.MOST_RULES)


class SearchBody(schemas.Body):
    """`text`: pieces of names or numbers, a sex, a birth date. `after`: of the former page."""

    text: str = Field(default="", max_length=120)
    group: GroupBody = Field(default_factory=GroupBody)
    after: str = Field(default="", max_length=400)
    limit: int = Field(default=50, ge=1, le=200)


class Found(BaseModel):
    """One page of patients; `after` is empty at the end."""

    patients: list[schemas.PatientWithCourses]
    after: str


class TextBody(schemas.Body):
    """Words that must all stand in a form. `after`: of the former page."""

    text: str = Field(min_length=1, max_length=120)
    after: int = Field(default=0, ge=0, le=2**53)


class FormHit(BaseModel):
    """A form that holds the words, and their surroundings."""

    form_id: str
    kind: str
    snippet: str


class PatientHits(schemas.Patient):
    """A patient and the forms that hold the words."""

    forms: list[FormHit]


class FormsFound(BaseModel):
    """One page of patients, newest forms first; `after` is 0 at the end."""

    patients: list[PatientHits]
    after: int


class VisitBody(schemas.Body):
    """A new course of a known patient; `diagnosis`: a code or name of the department's, or free words."""

    name: Short = ""
    diagnosis: Short = ""
    technique: Short = ""
    source: Short = "outpatient"
    ward: Short = ""
    bed: Short = ""
    physician: Short = ""


@router.post("/patients/search")
def search_patients(context: Means, caller: By, body: SearchBody) -> Found:
    """Patients by text and rules, page by page (nothing of it stands in an address)."""
    group = rules.read(body.group.model_dump())
    with context.reading(caller, Action.READ_PATIENTS) as session:
        page = find.page(session, find.Query(body.text, group), body.after, body.limit)
        rows: list[Any] = [views.patient_with_courses(row) for row in page.patients]
        return Found(patients=rows, after=page.after)


@router.post("/forms/search")
def search_forms(context: Means, caller: By, body: TextBody) -> FormsFound:
    """Patients whose approved forms hold all the words; any two Chinese characters are enough."""
    with context.reading(caller, Action.SEARCH_FORMS) as session:
        page = text.find(session, body.text, body.after)
        rows = [
            PatientHits(
                **views.patient(row.patient),
                forms=[
                    FormHit(
                        form_id=form.subject_key, kind=form.kind, snippet="".join(p for p, _ in form.snippet)
                    )
                    for form in row.forms
                ],
            )
            for row in page.patients
        ]
        return FormsFound(patients=rows, after=page.after)


def _told(form: text.FormHit) -> FormHit:
    snippet = "".join(piece for piece, _hit in form.snippet)
    return FormHit(form_id=form.subject_key, kind=form.kind, snippet=snippet)


@router.post("/patients/{patient_id}/visits", status_code=201, response_model=schemas.PatientWithCourses)
def add_visit(context: Means, caller: By, patient_id: str, body: VisitBody) -> Any:
    """Register one more course of a known patient (front desk, physician, physicist)."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        key = patients.must(patients.by_id(session, patient_id)).key
    registration.return_visit(context, caller, key, CourseEntry(**body.model_dump()))
    with context.reading(caller, Action.READ_PATIENTS) as session:
        return views.patient_with_courses(patients.must(patients.by_id(session, patient_id)))


@router.get("/patients/{patient_id}/photo", response_class=Response)
def photo(context: Means, caller: By, patient_id: str) -> Response:
    """A patient's photo (JPEG)."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        key = patients.must(patients.by_id(session, patient_id)).key
    return Response(photos.of_patient(context, caller, key), media_type="image/jpeg")
