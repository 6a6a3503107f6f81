"""Holidays, make-up working days, closed and open periods, hours of the devices."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.calendar import text_of
from ois_bridge.domain.scheduling.plan import EFFECT_TEXT, PURPOSE_TEXT
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book, booking, days, replan, sheet
from ois_bridge.services.appointments.days import PeriodText
from ois_bridge.services.context import Caller, Context
from ois_bridge.web.appointments import means
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/appointments/calendar")
def calendar(request: Request, context: Means, user: User, year: int = 0) -> HTMLResponse:
    """The tables, for everybody who sees the sheet; with forms for those who may edit them."""
    return _page(request, context, user, year)


@router.post("/appointments/calendar/{step}")
def edit(request: Request, context: Means, user: User, step: str, form: Form) -> Response:
    """One change; what was typed stays where it is refused."""
    year = int(form["year"]) if form.get("year", "").isdigit() else 0
    try:
        _edit(context, user.caller, step, form)
    except (Refused, BadInput) as why:
        return _page(request, context, user, year, 422 if isinstance(why, BadInput) else 409, str(why), form)
    return RedirectResponse(f"/appointments/calendar?year={year}", 303)


def _edit(context: Context, caller: Caller, step: str, form: Mapping[str, str]) -> None:
    """Raises BadInput, Refused."""
    if step == "day":
        day = sheet.parse_day(form.get("day", ""), booking.today(context))
        days.set_day(context, caller, day, form.get("kind", ""), form.get("name", ""))
    elif step == "remove-day":
        days.remove_day(context, caller, form.get("day", ""))
    elif step == "public":
        days.take_in_year(context, caller, int(form["year"]) if form.get("year", "").isdigit() else 0)
    elif step == "period":
        days.add_period(context, caller, _period(form))
    elif step == "remove-period":
        days.remove_period(context, caller, form.get("key", ""))
    elif step == "device":
        hours = {day: form.get(f"hours{day}", "") for day in range(1, 8)}
        capacity = int(form["capacity"]) if form.get("capacity", "").isdigit() else 0
        days.set_device(context, caller, form.get("device", ""), hours, bool(form.get("active")), capacity)
    else:
        raise BadInput(_("There is no such step."))


def _period(form: Mapping[str, str]) -> PeriodText:
    """The period that a form says. Raises BadInput."""
    once = bool(form.get("start") or form.get("finish"))
    hours = f"{form.get('from', '')}-{form.get('to', '')}"
    return PeriodText(
        device=form.get("device", ""),
        effect=form.get("effect", ""),
        purpose=form.get("purpose", ""),
        kind=form.get("kind", ""),
        particle=form.get("particle", ""),
        weekdays="" if once else "".join(day for day in "1234567" if form.get(f"weekday{day}")),
        hours="" if once else hours,
        first_day=form.get("first", ""),
        last_day=form.get("last", ""),
        start=sheet.parse_moment(form.get("start", "")) if once else None,
        finish=sheet.parse_moment(form.get("finish", "")) if once else None,
        note=form.get("note", ""),
    )


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    year: int,
    status: int = 200,
    error: str = "",
    form: Mapping[str, str] | None = None,
) -> HTMLResponse:
    year = year if 2000 <= year <= 2199 else booking.today(context).year
    may_edit = user.caller.may(Action.EDIT_CALENDAR)
    right = Action.EDIT_CALENDAR if may_edit else Action.READ_APPOINTMENTS
    with context.reading(user.caller, right) as session:
        first, last = days.horizon(context)
        return means.show(
            request,
            "calendar.html",
            status,
            year=year,
            rows=days.of_year(session, year),
            periods=days.periods(session),
            devices=book.devices(session),
            conflicts=len(replan.conflicts(session, first, last, context.now())),
            form=form or {},
            error=error,
            may_edit=may_edit,
            may_plan=user.caller.may(Action.PLAN_SHEET),
            effects=EFFECT_TEXT,
            purposes=PURPOSE_TEXT,
            text_of=text_of,
            day_names=means.DAY_NAMES,
        )
