"""Courses booked as a whole, the optimiser, device faults: everything that ends in a proposal."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _, language
from ois_bridge.domain.identity import readable_name
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import calendar
from ois_bridge.domain.scheduling import series as patterns
from ois_bridge.models.clinical import Course
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import (
    booking,
    days,
    filling,
    finding,
    proposals,
    replan,
    series,
    sheet,
    waiting,
)
from ois_bridge.services.context import Context
from ois_bridge.services.patients import must
from ois_bridge.web.appointments import means
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/appointments/course")
def course_form(request: Request, context: Means, user: User, course: str = "") -> HTMLResponse:
    """The form for a whole course."""
    return _course_page(request, context, user, {"course": course})


@router.post("/appointments/course")
def course_proposal(request: Request, context: Means, user: User, form: Form) -> Response:
    """Compute a course's appointments; what was typed stays where it is refused."""
    try:
        row = series.propose(context, user.caller, _asked(context, form))
    except (Refused, BadInput) as why:
        return _course_page(request, context, user, form, _status(why), str(why))
    return RedirectResponse(f"/appointments/proposals/{row.key}", 303)


@router.get("/appointments/day/{day}")
def day_page(request: Request, context: Means, user: User, day: str, added: str = "") -> HTMLResponse:
    """The waiting visits of a day, and the button that fills it. `added`: how many were gathered just now."""
    done = _gathered(int(added)) if added.isdecimal() and len(added) < 5 else ""
    return _day_page(request, context, user, day, {}, done=done)


@router.post("/appointments/day/{day}/{step}")
def day_step(request: Request, context: Means, user: User, day: str, step: str, form: Form) -> Response:
    """Put visits onto the day's list, take one off, or compute the day."""
    wanted = sheet.parse_day(day, booking.today(context))
    try:
        if step == "fill":
            key = filling.begin(context, user.caller, wanted, bool(form.get("rearrange")))
            return RedirectResponse(f"/appointments/proposals/{key}", 303)
        if step == "gather":
            added = waiting.gather(context, user.caller, wanted)
            return RedirectResponse(f"/appointments/day/{wanted.isoformat()}?added={added}", 303)
        if step == "remove":
            waiting.remove(context, user.caller, form.get("key", ""))
        else:
            minutes = form.get("minutes", "")
            if not minutes.isdigit():
                raise BadInput(_("Minutes and fraction must be whole numbers."))
            waiting.add(
                context, user.caller, wanted, form.get("course", ""), form.get("device", ""), int(minutes),
                form.get("particle", ""),
            )  # fmt: skip
    except (Refused, BadInput) as why:
        return _day_page(request, context, user, day, form, _status(why), str(why))
    return RedirectResponse(f"/appointments/day/{wanted.isoformat()}", 303)


@router.get("/appointments/fault")
def fault_form(request: Request, context: Means, user: User, day: str = "", device: str = "") -> HTMLResponse:
    """The form for a device that is down, and visits that the rules forbid by now."""
    wanted = sheet.parse_day(day, booking.today(context))
    start = means.next_quarter(wanted, context.now(), "08:00")
    finish = datetime.fromisoformat(start) + timedelta(hours=4)
    form = {"device": device, "start": start, "finish": f"{finish:%Y-%m-%dT%H:%M}"}
    return _fault_page(request, context, user, form)


@router.post("/appointments/fault")
def fault(request: Request, context: Means, user: User, form: Form) -> Response:
    """Compute where the visits of a device that is down can go."""
    try:
        if form.get("conflicts"):
            first, last = days.horizon(context)
            row = replan.for_conflicts(context, user.caller, first, last)
        else:
            start, finish = (
                sheet.parse_moment(form.get("start", "")),
                sheet.parse_moment(form.get("finish", "")),
            )
            down = replan.Fault(form.get("device", ""), start, finish, form.get("note", ""))
            row = replan.propose(context, user.caller, down)
    except (Refused, BadInput) as why:
        return _fault_page(request, context, user, form, _status(why), str(why))
    return RedirectResponse(f"/appointments/proposals/{row.key}", 303)


@router.get("/appointments/proposals/{key}")
def proposal(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """A proposal: its progress, then what it would make and move, and what it leaves over."""
    return _proposal_page(request, context, user, key)


@router.post("/appointments/proposals/{key}/{step}")
def decide(request: Request, context: Means, user: User, key: str, step: str, form: Form) -> Response:
    """Keep a proposal or throw it away."""
    try:
        if step == "keep":
            proposals.keep(context, user.caller, key)
        else:
            proposals.discard(context, user.caller, key)
    except (Refused, BadInput) as why:
        return _proposal_page(request, context, user, key, _status(why), str(why))
    return RedirectResponse(f"/appointments?day={form.get('day', '')}", 303)


def _gathered(count: int) -> str:
    if not count:
        return _("No course was added: each one under treatment has its visit, or may not be booked yet.")
    return _("{n} courses are on the list now.").format(n=count)


def _asked(context: Context, form: Mapping[str, str]) -> series.Asked:
    """The course that a form says. Raises BadInput."""
    try:
        minutes, count, fraction = (int(form.get(name, "")) for name in ("minutes", "count", "fraction"))
    except ValueError as why:
        raise BadInput(_("Minutes, number and fraction must be whole numbers.")) from why
    if not form.get("course"):
        raise BadInput(_("Choose the patient's course first."))
    return series.Asked(
        course_key=form["course"],
        device=form.get("device", ""),
        particle=form.get("particle", ""),
        minutes=minutes,
        first=sheet.parse_day(form.get("first", ""), booking.today(context)),
        count=count,
        fraction=fraction,
        pattern=form.get("pattern", ""),
        preferred=_minute(form.get("preferred", "")),
        earliest=_minute(form.get("earliest", "")),
        latest=_minute(form.get("latest", "")),
        weekdays="".join(day for day in "1234567" if form.get(f"weekday{day}")),
    )


def _minute(text: str) -> int:
    """Minute of the day of HH:MM; 0 for nothing. Raises BadInput."""
    return calendar.spans_of(f"{text}-24:00")[0][0] if text else 0


def _course_page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.BOOK_APPOINTMENT) as session:
        found, chosen = finding.with_chosen(session, form.get("search", ""), form.get("course", ""))
        filled = {"first": booking.today(context).isoformat(), **form}
        if chosen is not None and "fraction" not in form:
            filled["fraction"] = str(finding.next_fraction(session, chosen.key))
        return means.show(
            request, "course.html", status, form=filled, found=found, error=error,
            devices=list(means.devices_of(session).values()), patterns=patterns.PATTERNS,
        )  # fmt: skip


def _day_page(
    request: Request,
    context: Context,
    user: WebUser,
    day: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
    done: str = "",
) -> HTMLResponse:
    wanted = sheet.parse_day(day, booking.today(context))
    with context.reading(user.caller, Action.PLAN_SHEET) as session:
        return means.show(
            request,
            "fill.html",
            status,
            day=wanted,
            rows=waiting.of_day(session, wanted),
            booked=len(booking.of_day(session, wanted)),
            form=form,
            found=finding.courses_of(session, form.get("search", "")),
            devices=list(means.devices_of(session).values()),
            may_book=user.caller.may(Action.BOOK_APPOINTMENT),
            error=error,
            done=done,
        )


def _fault_page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    first, last = days.horizon(context)
    with context.reading(user.caller, Action.PLAN_SHEET) as session:
        found = replan.conflicts(session, first, last, context.now())
        rows = [(booking.one(session, visit.key), why) for visit, why in found[:50]]
        return means.show(
            request, "fault.html", status, form=form, error=error, conflicts=rows, count=len(found),
            devices=list(means.devices_of(session).values()),
        )  # fmt: skip


def _proposal_page(
    request: Request, context: Context, user: WebUser, key: str, status: int = 200, error: str = ""
) -> HTMLResponse:
    with context.reading(user.caller, Action.PLAN_SHEET) as session:
        row, content = proposals.one(session, key)
        keys = {one.course for one in content.moves} | {one.course for one in content.left}
        courses = {key: must(session.get(Course, key)) for key in keys - {""}}
        names = {
            key: readable_name(course.patient.name, chinese=language() == "zh")
            for key, course in courses.items()
        }
        return means.show(
            request, "proposal.html", status, row=row, content=content, names=names, error=error,
            devices=means.devices_of(session), moment_of=means.moment_of,
        )  # fmt: skip


def _status(why: Exception) -> int:
    return 422 if isinstance(why, BadInput) else 409
