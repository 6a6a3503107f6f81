"""The weekly physician review: who is due, and the form."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from ois_bridge.domain import toxicity
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Course
from ois_bridge.services import access, reviews
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.patients import must
from ois_bridge.services.reviews import Written
from ois_bridge.services.workflow import rights
from ois_bridge.web import record
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
FREE_ROWS = 2
"""Rows of the form for side effects that the department does not list."""


@router.get("/reviews")
def due(request: Request, context: Means, user: User, mine: str = "") -> HTMLResponse:
    """Patients under treatment, those whose review is due first."""
    with context.reading(user.caller, Action.READ_REVIEWS) as session:
        rows = reviews.under_treatment(
            session, context.record.settings.review_days, access.visible(user.caller, context)
        )
    if mine:
        rows = [row for row in rows if row.course.physician == user.caller.user]
    return page(request, "patient/reviews.html", rows=rows, mine=mine, now=context.now())


@router.get("/courses/{key}/review")
def review_form(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """The form, with what the last review said beside it."""
    return _form_page(request, context, user, key, {})


@router.post("/courses/{key}/review")
def write(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Sign and keep a review; what was typed stays where it is refused."""
    terms = [row["en"] for row in context.record.settings.toxicities]
    found = [(term, form.get(f"grade-{place}", "")) for place, term in enumerate(terms)]
    found += [(form.get(f"term-{row}", ""), form.get(f"free-{row}", "")) for row in range(FREE_ROWS)]
    graded = [(term, grade) for term, grade in found if term.strip() and grade]
    try:
        written = Written(form.get("weight", ""), graded, form.get("note", ""))
        reviews.write(context, user.caller, key, written, form.get("password", ""))
    except (BadInput, Refused) as why:
        return _form_page(request, context, user, key, form, 422, str(why))
    with context.reading(user.caller, Action.READ_REVIEWS) as session:
        patient = must(session.get(Course, key)).patient_key
    return RedirectResponse(f"/patients/{patient}?done=review#s-reviews", 303)


def _form_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.REVIEW_PATIENT) as session:
        course = rights.check(session, context, user.caller, key)
        last = reviews.of_course(session, key)[:3]
        return page(
            request,
            "patient/review.html",
            status,
            course=course,
            last=last,
            form=form,
            grades=toxicity.GRADES,
            terms=context.record.settings.toxicities,
            free_rows=range(FREE_ROWS),
            error=error,
            toxicity_word=record.frame(context)["toxicity_word"],
        )
