"""Forms for other systems: designs, content, state."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body, Line
from ois_bridge.models.forms import FormRecord
from ois_bridge.services.forms import designs, records
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import rights

router = APIRouter(tags=["forms"])


class FormView(BaseModel):
    """A filled form. `hash`: what its signature is bound to."""

    id: str
    course_id: str
    kind: str
    version: int
    revision: int
    state: str
    content: dict[str, Any]
    changed: str
    changed_by: str
    decided_by: str
    hash: str
    signature: str


class FormBody(Body):
    """What is filled in, and the revision of the form that it was filled from."""

    content: dict[str, Any] = Field(max_length=200)
    revision: int = Field(ge=1, le=1_000_000)


class DesignView(BaseModel):
    """The active design of a kind of form."""

    kind: str
    version: int
    content: dict[str, Any]


@router.get("/form-designs")
def form_designs(context: Means, caller: By) -> list[DesignView]:
    """Active designs of all kinds."""
    with context.reading(caller, Action.READ_DESIGNS) as session:
        return [
            DesignView(kind=row.kind, version=row.version, content=row.content)
            for row in designs.active_ones(session)
        ]


@router.get("/courses/{course_id}/forms")
def of_course(context: Means, caller: By, course_id: str) -> list[FormView]:
    """Forms of a course, newest first."""
    with context.reading(caller, Action.READ_FORM) as session:
        rights.check(session, context, caller, course_id)
        return [_view(row) for row in records.of_course(session, course_id)]


@router.post("/courses/{course_id}/forms/{kind}", status_code=201)
def open_form(context: Means, caller: By, course_id: str, kind: Line) -> FormView:
    """The form of a kind that can be filled now; begun where there is none."""
    return _view(records.open_form(context, caller, course_id, kind))


@router.get("/forms/{form_id}")
def one(context: Means, caller: By, form_id: str) -> FormView:
    """One form."""
    with context.reading(caller, Action.READ_FORM) as session:
        row = must(session.get(FormRecord, form_id))
        rights.check(session, context, caller, row.course_key)
        return _view(row)


@router.put("/forms/{form_id}")
def save(context: Means, caller: By, form_id: str, body: FormBody) -> FormView:
    """Keep a draft's content; refused when somebody else changed it meanwhile."""
    return _view(records.save(context, caller, form_id, body.content, body.revision))


def _view(row: FormRecord) -> FormView:
    return FormView(
        id=row.key,
        course_id=row.course_key,
        kind=row.kind,
        version=row.version,
        revision=row.revision,
        state=row.state.name,
        content=row.content,
        changed=row.changed.isoformat(timespec="seconds"),
        changed_by=row.changed_by,
        decided_by=row.decided_by,
        hash=records.digest(row),
        signature=row.signature,
    )
