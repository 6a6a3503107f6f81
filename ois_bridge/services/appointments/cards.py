"""Visits as cards of the sheet: short texts, colours and what these mean."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from textwrap import shorten

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _, language
from ois_bridge.domain.alerts import Alert
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.identity import readable_name
from ois_bridge.domain.scheduling.plan import KIND_TEXT, PARTICLE_SIGN, PARTICLE_TEXT
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Prescription
from ois_bridge.services import alerts, deliveries, staff_names
from ois_bridge.services.appointments import settings

COLOURS = ("disease", "doctor", "state")
HUES = 10
SYMBOL = {
    AppointmentState.BOOKED: "○",
    AppointmentState.SIGNED_IN: "◔",
    AppointmentState.CALLED: "◑",
    AppointmentState.IN_ROOM: "◕",
    AppointmentState.DONE: "●",
}


@dataclass(frozen=True)
class Shown:
    """One card: texts, and which colour it has. `mine`: the looker's own patient, or no filter is on.

    `plan`: its label; `partial`: the fraction was begun and is not whole.
    """

    key: str
    revision: int
    name: str
    time: str
    kind: str
    fraction: str
    particle: str
    particle_text: str
    disease: str
    doctor: str
    state: AppointmentState
    symbol: str
    alerts: Sequence[Alert]
    hue: int
    movable: bool
    mine: bool
    plan: str
    partial: bool


@dataclass(frozen=True)
class Key:
    """A line of the legend."""

    hue: int
    text: str
    count: int


def cards_of(
    session: Session, rows: Sequence[Appointment], colour: str, mine: str
) -> tuple[list[Shown], list[Key]]:
    """A card for each visit, and the legend of their colours. `mine`: see Shown. Raises BadInput."""
    by, names = _colouring(colour), staff_names.read(session)
    meant = [by(row) for row in rows]
    counts = Counter(meant)
    hues = {value: number % HUES for number, value in enumerate(sorted(counts))}
    totals, named = _fractions(session, rows), deliveries.named(session, rows)
    shown = [
        _shown(row, hues[value], totals, mine, named.get(row.key), names)
        for row, value in zip(rows, meant, strict=True)
    ]
    return shown, [Key(hue, names.get(value, value), counts[value]) for value, hue in hues.items()]


def _colouring(colour: str) -> Callable[[Appointment], str]:
    """What the colours mean. Raises BadInput."""
    ways: dict[str, Callable[[Appointment], str]] = {
        "disease": disease,
        "doctor": lambda row: (row.course.physician if row.course else "") or _("no doctor"),
        "state": lambda row: _(row.state.value),
    }
    if colour not in ways:
        raise BadInput(_("Colour: allowed are {names}.").format(names=", ".join(COLOURS)))
    return ways[colour]


def disease(row: Appointment) -> str:
    """Short text of what is treated; the kind of a visit without a course."""
    if row.course is None:
        return _(KIND_TEXT[row.kind])
    return shorten(row.course.diagnosis_text or row.course.name, 32, placeholder="…")


def _fractions(session: Session, rows: Sequence[Appointment]) -> dict[str, int]:
    """Fractions prescribed by course: those of its newest prescription."""
    courses = {row.course_key for row in rows if row.course_key}
    query = (
        select(Prescription.course_key, Prescription.fractions)
        .where(Prescription.course_key.in_(courses))
        .order_by(Prescription.created)
    )
    return {row.course_key: row.fractions for row in session.execute(query)}


def _fraction(row: Appointment, total: int, given: deliveries.Named | None) -> str:
    """Number of the fraction out of so many; the record's where something was delivered."""
    if given is not None:
        return f"{given.number}/{given.total}"
    return f"{row.fraction}/{total}" if row.fraction and total else str(row.fraction or "")


def _shown(
    row: Appointment,
    hue: int,
    totals: dict[str, int],
    mine: str,
    given: deliveries.Named | None,
    names: Mapping[str, str],
) -> Shown:
    zone = settings.rules().zone
    start, end = row.start.astimezone(zone), (row.start + timedelta(minutes=row.minutes)).astimezone(zone)
    total = totals.get(row.course_key or "", 0)
    doctor = row.course.physician if row.course else ""
    return Shown(
        key=row.key,
        revision=row.revision,
        name=_name(row),
        time=f"{start:%H:%M}–{end:%H:%M}",
        kind=_(KIND_TEXT[row.kind]),
        fraction=_fraction(row, total, given),
        plan=given.label if given else "",
        partial=given is not None and given.state == "PARTIAL",
        particle=PARTICLE_SIGN.get(row.particle, ""),
        particle_text=_(PARTICLE_TEXT[row.particle]) if row.particle else "",
        disease=disease(row),
        doctor=names.get(doctor, doctor),
        state=row.state,
        symbol=SYMBOL.get(row.state, "?"),
        alerts=alerts.of(row.patient) if row.patient else [],
        hue=hue,
        movable=row.state in (AppointmentState.BOOKED, AppointmentState.SIGNED_IN),
        mine=not mine or doctor == mine,
    )


def _name(row: Appointment) -> str:
    """The patient as the reader writes them; what else the card is for."""
    if row.patient is None:
        return row.note or _(KIND_TEXT[row.kind])
    return readable_name(row.patient.name, chinese=language() == "zh")
