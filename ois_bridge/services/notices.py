"""Notices to patients and staff: texts by template, to the phone or WeChat account that they want.

Every function puts messages into the caller's transaction; they leave with it or not at all. A text holds
places and times, never a diagnosis: the schema of the templates allows no such place.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.site import CONFIG
from common.yaml_file import load_checked
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.queue.day import date_and_clock
from ois_bridge.domain.queue.masking import masked_name
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Patient
from ois_bridge.models.queue import Contact, ScreenNotice
from ois_bridge.services import events, outbox
from ois_bridge.services.queue.settings import title

NOTICES_FILE = CONFIG / "department" / "notices.yaml"
FAULT_ROLES = ("therapist", "physicist")

_TOLD, _ROWS = "visits told of", "messages about visits"
"""What a transaction put so far, by kind and patient."""


@cache
def texts(path: Path = NOTICES_FILE) -> dict[str, Any]:
    """The templates. Raises BadConfig."""
    return load_checked(path, "notices")


def text(kind: str, language: str, **values: str) -> str:
    """A notice in a language."""
    content = texts()
    return str(content["texts"][kind][language]).format(sender=content["sender"][language], **values)


def appointment_made(session: Session, visit: Appointment, user: str, now: datetime) -> None:
    """Tell the patient of a new appointment; of several in one transaction by one message."""
    _of_visit(session, "appointment-made", visit, user, now)


def appointment_moved(
    session: Session, visit: Appointment, old_start: datetime, user: str, now: datetime
) -> None:
    """Tell the patient of another time or device."""
    _of_visit(session, "appointment-moved", visit, user, now, old_time=date_and_clock(old_start))


def appointment_cancelled(session: Session, visit: Appointment, user: str, now: datetime) -> None:
    """Tell the patient that an appointment will not be."""
    _of_visit(session, "appointment-cancelled", visit, user, now)


def queue_soon(session: Session, visit: Appointment, before: int, user: str, now: datetime) -> None:
    """Tell the patient, once a visit, that few are before them."""
    if not outbox.known(session, "queue-soon", visit.key):
        number = str(visit.queue_number or "")
        _of_visit(session, "queue-soon", visit, user, now, number=number, before=str(before))


def device_fault(session: Session, device: str, until: datetime, user: str, now: datetime) -> int:
    """Tell patients booked on a device until then, and the staff concerned; put it on the screens.

    Returns the number of appointments concerned.
    """
    visits = _booked(session, device, now, until)
    end = date_and_clock(until)
    words = {
        code: text("device-fault-screen", code, place=title(session, device)[code], until=end)
        for code in ("zh", "en")
    }
    same = (ScreenNotice.text_zh == words["zh"], ScreenNotice.finish == until, ScreenNotice.finish > now)
    if session.scalar(select(ScreenNotice.key).where(*same).limit(1)) is not None:
        return len(visits)  # a colleague was quicker: nobody is told twice
    for visit in _first_of_each_patient(visits):
        _of_visit(session, "device-fault", visit, user, now, until=end)
    count = str(len(visits))
    for account, contact in _staff(session, visits):
        place = title(session, device)[contact.language]
        content = text("device-fault-staff", contact.language, place=place, until=end, count=count)
        _put_staff(session, "device-fault-staff", account.user, contact, content, user, now)
    session.add(
        ScreenNotice(
            text_zh=words["zh"], text_en=words["en"], start=now, finish=until, created=now, created_by=user
        )
    )
    events.announce(session, "screens", device)
    return len(visits)


def tasks_due(session: Session, user: str, count: int, by: str, now: datetime) -> None:
    """Remind one of the staff of tasks, when they have given a way to be told."""
    contact = session.get(Contact, ("staff", user))
    if contact is not None:
        content = text("task-due", contact.language, count=str(count))
        _put_staff(session, "task-due", user, contact, content, by, now)


def reach(patient: Patient, contact: Contact | None) -> tuple[str, str, str] | None:
    """(channel, recipient, language) of a patient: WeChat where known, else SMS; None: an opt-out."""
    language = contact.language if contact else "zh"
    if contact and contact.wechat and contact.wechat_on:
        return "wechat", contact.wechat, language
    if patient.phone and (contact is None or contact.sms):
        return "sms", patient.phone, language
    return None


def _of_visit(
    session: Session, kind: str, visit: Appointment, user: str, now: datetime, **values: str
) -> None:
    patient = session.get(Patient, visit.patient_key) if visit.patient_key else None
    if patient is None:
        return
    way = reach(patient, session.get(Contact, ("patient", patient.key)))
    if way is None:
        return
    channel, recipient, language = way
    told = session.info.setdefault(_TOLD, {}).setdefault((kind, patient.key), [])
    told.append(visit)
    first = min(told, key=lambda one: one.start)
    places = {
        "name": masked_name(patient.name),
        "time": date_and_clock(first.start),
        "place": title(session, first.device)[language],
        "count": str(len(told)),
        **values,
    }
    if len(told) == 1 or f"{kind}-many" not in texts()["texts"]:
        row = outbox.put(
            session, channel, kind, recipient, text(kind, language, **places), user, now, visit.key
        )
        session.info[_ROWS] = {**session.info.get(_ROWS, {}), (kind, patient.key): row}
    else:
        # a course has thirty visits: one message tells of all that this transaction made
        session.info[_ROWS][kind, patient.key].content = text(f"{kind}-many", language, **places)


def _put_staff(
    session: Session, kind: str, whom: str, contact: Contact, content: str, user: str, now: datetime
) -> None:
    if contact.wechat and contact.wechat_on:
        outbox.put(session, "wechat", kind, contact.wechat, content, user, now, whom)
    elif contact.phone and contact.sms:
        outbox.put(session, "sms", kind, contact.phone, content, user, now, whom)


def _booked(session: Session, device: str, now: datetime, until: datetime) -> Sequence[Appointment]:
    open_states = (AppointmentState.BOOKED, AppointmentState.SIGNED_IN)
    return session.scalars(
        select(Appointment)
        .where(
            Appointment.device == device,
            Appointment.start >= now,
            Appointment.start < until,
            Appointment.state.in_(open_states),
            Appointment.patient_key.is_not(None),
        )
        .order_by(Appointment.start)
    ).all()


def _first_of_each_patient(visits: Iterable[Appointment]) -> list[Appointment]:
    first: dict[str | None, Appointment] = {}
    for visit in visits:
        first.setdefault(visit.patient_key, visit)
    return list(first.values())


def _staff(session: Session, visits: Iterable[Appointment]) -> list[tuple[Account, Contact]]:
    """Therapists, physicists and the physicians of these patients who have given a way to be told."""
    physicians = {visit.course.physician for visit in visits if visit.course and visit.course.physician}
    concerned = select(AccountRole.account_key).where(AccountRole.role.in_(FAULT_ROLES))
    rows = session.execute(
        select(Account, Contact)
        .join(Contact, (Contact.subject == Account.user) & (Contact.kind == "staff"))
        .where(Account.active, Account.key.in_(concerned) | Account.user.in_(physicians))
        .order_by(Account.user)
    )
    return [(account, contact) for account, contact in rows]
