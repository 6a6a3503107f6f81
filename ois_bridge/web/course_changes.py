"""The page that changes what was registered of a course: inpatient or not, ward, bed, doctor in charge."""

from collections.abc import Mapping
from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import CourseEntry
from ois_bridge.domain.rules import SOURCE
from ois_bridge.models.clinical import Course
from ois_bridge.services import access, course_changes, registration
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.patients import must
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/courses/{key}/edit")
def edit_page(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """The form."""
    return _page(request, context, user, key, None)


@router.post("/courses/{key}/edit")
def edit(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Change the course; what was typed stays where it is refused."""
    entry = CourseEntry(**{name: form.get(name, "") for name in course_changes.FIELDS})
    try:
        course_changes.change(context, user.caller, key, entry, form.get("seen", ""))
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _page(request, context, user, key, form, 422, error=str(why))
    with context.reading(user.caller, Action.EDIT_PATIENT) as session:
        patient = must(session.get(Course, key)).patient_key
    return RedirectResponse(f"/patients/{patient}?done=acted#course-{key}", 303)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str] | None,
    status: int = 200,
    **messages: str,
) -> HTMLResponse:
    with context.reading(user.caller, Action.EDIT_PATIENT) as session:
        course = must(session.get(Course, key))
        access.check(session, user.caller, course.patient_key, context)
        content = {
            "course": course,
            "form": form or asdict(course_changes.entry_of(course)),
            # after a refusal the page shows what is there now: keeping again is then meant
            "seen": course_changes.stamp(course),
            "now": course_changes.entry_of(course) if form else None,
            "physicians": registration.physicians(session),
            "sources": SOURCE,
        }
        return page(request, "patient/course_edit.html", status, **content, **messages)
