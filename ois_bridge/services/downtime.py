"""When the OIS is away: lists of the day that lie ready to print, and the paper taken back in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.plan import KIND_TEXT
from ois_bridge.domain.state_table import step
from ois_bridge.domain.words import N_
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Prescription
from ois_bridge.models.delivery import PaperEntry
from ois_bridge.services import alerts, deliveries, events
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

OUTCOME: Mapping[str, str] = {
    "done": N_("done"),
    "partial": N_("begun, not finished"),
    "missed": N_("did not come"),
}
"""What the paper may say of a visit."""
EVENT = {
    "done": AppointmentEvent.GIVEN,
    "partial": AppointmentEvent.PART_GIVEN,
    "missed": AppointmentEvent.MISS,
}
WAY = "paper"
LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Said:
    """What the paper says of one visit. Times as HH:MM of the visit's day, or empty."""

    key: str
    outcome: str
    arrived: str = ""
    ended: str = ""
    note: str = ""


def printed(context: Context, caller: Caller, day: date, language: str) -> bytes:
    """The lists of a day as PDF."""
    with context.permitted(
        caller, Action.READ_APPOINTMENTS, day.isoformat(), "lists for a downtime"
    ) as session:
        context.hide_closed(session, caller)
        content = _content(session, day, context.now(), context.person(caller.user))
    return context.record.printer.pdf("downtime.html", content, language)


def keep_lists(context: Context) -> int:
    """Write the lists of today and tomorrow beside the database, for any browser; called by a chore.

    Returns how many files were written: those whose content changed.
    """
    now = context.now()
    today = book.day_of(now)
    wanted: dict[str, str] = {}
    with context.database.reading() as session:
        context.hide_closed(session, Caller(""))
        for day in (today, today + timedelta(days=1)):
            content = _content(session, day, None)
            for language in LANGUAGES:
                html = context.record.printer.html("downtime.html", content, language)
                wanted[f"{day.isoformat()}-{language}.html"] = html
    return context.record.downtime.keep(wanted)


def of_day(session: Session, day: date) -> list[tuple[Appointment, PaperEntry | None]]:
    """Visits of patients on a day, missed ones too, with what the paper said of them."""
    query = (
        select(Appointment, PaperEntry)
        .outerjoin(PaperEntry, PaperEntry.appointment_key == Appointment.key)
        .where(
            Appointment.start >= settings.midnight(day),
            Appointment.start < settings.midnight(day + timedelta(days=1)),
            Appointment.patient_key.is_not(None),
            Appointment.state != AppointmentState.CANCELLED,
        )
        .order_by(Appointment.device, Appointment.start, Appointment.key)
    )
    return [(row, said) for row, said in session.execute(query)]


def take_in(context: Context, caller: Caller, day: date, said: Sequence[Said]) -> int:
    """Enter what the paper of a day says, all of it or nothing; returns how many visits were entered.

    Raises BadInput naming the visit whose time or word cannot be, Refused for a visit that is over already.
    """
    if not said:
        raise BadInput(_("Nothing was entered: choose for each visit what the paper says."))
    with context.permitted(caller, Action.TAKE_PAPER, day.isoformat(), f"{len(said)} visits") as session:
        for one in said:
            row = must(session.get(Appointment, one.key, with_for_update=True, populate_existing=True))
            if row.patient is None or book.day_of(row.start) != day:
                raise BadInput(_("This visit is of another day; open the list of its day."))
            _enter(session, row, one, caller.user, context.now())
        for topic in ("queue", "appointments"):
            events.announce(session, topic)
    return len(said)


def _enter(session: Session, row: Appointment, said: Said, user: str, now: datetime) -> None:
    who = f"{row.start.astimezone(settings.rules().zone):%H:%M} {row.device}"
    if said.outcome not in OUTCOME:
        raise BadInput(_("{visit}: what the paper says is one of the list.").format(visit=who))
    if len(readable(said.note, _("Note"))) > 200:
        raise BadInput(_("{visit}: a note has at most {n} characters.").format(visit=who, n=200))
    if session.get(PaperEntry, row.key) is not None:
        raise Refused(_("{visit}: the paper of this visit was entered before.").format(visit=who))
    arrived, ended = (_clock(row, text, who, now) for text in (said.arrived, said.ended))
    if arrived and ended and ended < arrived:
        raise BadInput(_("{visit}: it ended before the patient came.").format(visit=who))
    row.state = step(APPOINTMENT_TABLE, row.state, EVENT[said.outcome])
    if said.outcome != "missed":
        if row.signed_in is None and arrived is not None:
            row.signed_in, row.signed_in_by = arrived, WAY
        row.entered = row.entered or arrived or row.start
        if said.outcome == "done":
            row.finished = row.finished or ended
    row.revision += 1
    session.add(
        PaperEntry(
            appointment_key=row.key,
            outcome=said.outcome,
            arrived=arrived,
            ended=ended,
            note=said.note.strip(),
            entered=now,
            entered_by=user,
        )
    )


def _clock(row: Appointment, text: str, who: str, now: datetime) -> datetime | None:
    if not text.strip():
        return None
    zone = settings.rules().zone
    try:
        at = datetime.combine(book.day_of(row.start), time.fromisoformat(text.strip()), zone)
    except ValueError as why:
        raise BadInput(_("{visit}: a time is written as HH:MM.").format(visit=who)) from why
    if at > now:
        raise BadInput(_("{visit}: {time} is still to come.").format(visit=who, time=f"{at:%H:%M}"))
    return at


def _content(session: Session, day: date, now: datetime | None, by: str = "") -> dict[str, Any]:
    """What the lists show: each device of the day with its visits by time."""
    rows = book.between(session, day, day)
    named = deliveries.named(session, rows)
    doses = _doses(session, {row.course_key for row in rows if row.course_key})
    devices = book.devices(session)
    lists = [
        {
            "device": {code: _title(devices, name, code) for code in LANGUAGES},
            "visits": [_line(row, named.get(row.key), doses) for row in rows if row.device == name],
        }
        for name in sorted({row.device for row in rows}, key=list(devices).index)
    ]
    return {"day": day.isoformat(), "lists": lists, "now": now, "by": by, "kinds": KIND_TEXT}


def _title(devices: Mapping[str, Any], name: str, code: str) -> str:
    device = devices.get(name)
    return name if device is None else str(device.title.get(code, name))


def _line(row: Appointment, given: deliveries.Named | None, doses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "time": f"{row.start.astimezone(settings.rules().zone):%H:%M}",
        "minutes": row.minutes,
        "kind": row.kind,
        "patient": row.patient,
        "alerts": alerts.of(row.patient) if row.patient else [],
        "plan": given.label if given else "",
        "fraction": f"{given.number} / {given.total}" if given else str(row.fraction or ""),
        "dose": doses.get(row.course_key or "", ""),
        "particle": row.particle,
        "note": row.note,
    }


def _doses(session: Session, courses: set[str]) -> dict[str, str]:
    query = select(Prescription).where(Prescription.course_key.in_(courses)).order_by(Prescription.created)
    return {
        row.course_key: f"{row.target} {row.dose_per_fraction:g} Gy (RBE) × {row.fractions}"
        for row in session.scalars(query)
    }
