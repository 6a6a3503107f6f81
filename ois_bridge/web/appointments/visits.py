"""Booking, looking at, moving and cancelling one appointment."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.models.delivery import PaperEntry
from ois_bridge.services import alerts, deliveries, downtime
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book, booking, finding, sheet
from ois_bridge.services.appointments.booking import Wanted
from ois_bridge.services.context import Context
from ois_bridge.web.appointments import means
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/appointments/new")
def form(
    request: Request,
    context: Means,
    user: User,
    day: str = "",
    device: str = "",
    start: str = "",
    course: str = "",
) -> HTMLResponse:
    """The booking form, for the time that was clicked."""
    wanted = sheet.parse_day(day, booking.today(context))
    filled = {"device": device, "start": start or means.next_quarter(wanted, context.now(), "09:00")}
    filled["course"] = course
    return _form_page(request, context, user, filled)


@router.post("/appointments/courses")
def courses(request: Request, context: Means, user: User, form: Form) -> HTMLResponse:
    """Courses that the search text means: posted, because a name has no place in an address."""
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        return means.show(
            request, "courses.html", found=finding.courses_of(session, form.get("search", "")), form=form
        )


@router.post("/appointments")
def make(request: Request, context: Means, user: User, form: Form) -> Response:
    """Book; what was typed stays where it is refused. Wishes of the patient are asked about once."""
    try:
        wanted = _wanted(context, user, form)
        if not form.get("anyway"):
            with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
                visit = booking.checked(session, wanted)
                found = booking.findings(session, visit, context.now())
            soft = [one.text for one in found if not one.hard]
            if soft and all(not one.hard for one in found):
                return _form_page(request, context, user, form, 409, warnings=soft)
        row = booking.make(context, user.caller, wanted)
    except (Refused, BadInput) as why:
        return _form_page(request, context, user, form, _status(why), error=str(why))
    return _done(request, f"/appointments?day={book.day_of(row.start).isoformat()}")


@router.get("/appointments/{key}")
def one(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """One appointment, with what may be done to it."""
    return _visit_page(request, context, user, key, {})


@router.post("/appointments/{key}/move")
def move(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Move it."""
    try:
        start = sheet.parse_moment(form.get("start", ""))
        row = booking.move(context, user.caller, key, form.get("device", ""), start, _revision(form))
    except (Refused, BadInput) as why:
        return _visit_page(request, context, user, key, form, _status(why), str(why))
    return _done(request, f"/appointments?day={book.day_of(row.start).isoformat()}")


@router.post("/appointments/{key}/cancel")
def cancel(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Cancel it."""
    try:
        row = booking.cancel(context, user.caller, key, form.get("reason", ""), _revision(form))
    except (Refused, BadInput) as why:
        return _visit_page(request, context, user, key, form, _status(why), str(why))
    return _done(request, f"/appointments?day={book.day_of(row.start).isoformat()}")


def _revision(form: Mapping[str, str]) -> int | None:
    text = form.get("revision", "")
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _wanted(context: Context, user: WebUser, form: Mapping[str, str]) -> Wanted:
    """The visit that a form says. Raises BadInput."""
    try:
        minutes = int(form.get("minutes", ""))
        fraction = int(form["fraction"]) if form.get("fraction", "").strip() else None
    except ValueError as why:
        raise BadInput(_("Minutes and fraction must be whole numbers.")) from why
    kind, course = form.get("kind", ""), form.get("course", "")
    if kind != Kind.QA and not course:
        raise BadInput(_("Choose the patient's course first."))
    if kind == Kind.TREATMENT and fraction is None:
        with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
            fraction = finding.next_fraction(session, course)
    return Wanted(
        device=form.get("device", ""),
        kind=kind,
        start=sheet.parse_moment(form.get("start", "")),
        minutes=minutes,
        course_key=course,
        particle=form.get("particle", ""),
        fraction=fraction,
        note=form.get("note", ""),
    )


def _form_page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
    warnings: list[str] | None = None,
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        found, _chosen = finding.with_chosen(session, form.get("search", ""), form.get("course", ""))
        devices = list(means.devices_of(session).values())
        return means.show(
            request,
            "new.html",
            status,
            form=form,
            found=found,
            devices=devices,
            error=error,
            warnings=warnings,
        )


def _visit_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        row = booking.one(session, key)
        may_move = user.caller.may(booking.action_for(row.kind))
        return means.show(
            request,
            "visit.html",
            status,
            row=row,
            form=form,
            error=error,
            alerts=alerts.of(row.patient) if row.patient else [],
            given=deliveries.named(session, [row]).get(row.key),
            paper=session.get(PaperEntry, row.key),
            paper_words=downtime.OUTCOME,
            devices=book.devices(session),
            may_move=may_move,
            may_change=may_move and AppointmentEvent.MOVE in APPOINTMENT_TABLE[row.state],
        )


def _status(why: Exception) -> int:
    return 422 if isinstance(why, BadInput) else 409


def _done(request: Request, path: str) -> Response:
    """To a dialog: done, close; to a page: the sheet."""
    return Response(status_code=204) if means.is_fragment(request) else RedirectResponse(path, 303)
