"""Lines that run over the screens, and the ways in which patients and staff want to be told."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import LANGUAGES, _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.models.queue import Contact, ScreenNotice
from ois_bridge.services import access, events, notices
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

LONGEST_NOTICE = timedelta(days=366)
_PHONE = re.compile(r"\+?[0-9]{6,20}")
_WECHAT = re.compile(r"[A-Za-z0-9_-]{6,64}")


def to_come(session: Session, now: datetime) -> Sequence[ScreenNotice]:
    """Notices that are shown now or later."""
    return session.scalars(
        select(ScreenNotice).where(ScreenNotice.finish > now).order_by(ScreenNotice.start)
    ).all()


def write(
    context: Context, caller: Caller, text_zh: str, text_en: str, start: datetime, finish: datetime
) -> ScreenNotice:
    """A line for the screens. A language that is left empty shows the other's text. Raises BadInput."""
    text_zh, text_en = " ".join(text_zh.split()), " ".join(text_en.split())
    now = context.now()
    if not (text_zh or text_en) or max(len(text_zh), len(text_en)) > 300:
        raise BadInput(_("A text of 1 to 300 characters is needed."))
    if not now < finish or not start < finish or finish - start > LONGEST_NOTICE:
        raise BadInput(_("A notice ends after it begins, in the future, and lasts at most a year."))
    with context.permitted(caller, Action.WRITE_NOTICES, "screen notice") as session:
        row = ScreenNotice(
            text_zh=text_zh or text_en,
            text_en=text_en or text_zh,
            start=start,
            finish=finish,
            created=now,
            created_by=caller.user,
        )
        session.add(row)
        events.announce(session, "screens", "notices")
    return row


def take_down(context: Context, caller: Caller, key: str) -> None:
    """Remove a notice. Raises NotFound."""
    with context.permitted(caller, Action.WRITE_NOTICES, "screen notice", "remove") as session:
        session.delete(must(session.get(ScreenNotice, key)))
        events.announce(session, "screens", "notices")


def announce_fault(context: Context, caller: Caller, device: str, until: datetime) -> int:
    """Tell patients and staff of a fault; returns how many appointments it concerns. Raises BadInput."""
    now = context.now()
    if not now < until <= now + timedelta(days=30):
        raise BadInput(_("The expected end must be in the future, within 30 days."))
    with context.permitted(caller, Action.ANNOUNCE_FAULT, device) as session:
        return notices.device_fault(session, device, until, caller.user, now)


def patient_contact(
    session: Session, context: Context, caller: Caller, patient_key: str
) -> tuple[Patient, Contact | None]:
    """A patient and how they are told. Raises NotFound, RecordClosed."""
    access.check(session, caller, patient_key, context)
    return must(session.get(Patient, patient_key)), session.get(Contact, ("patient", patient_key))


def set_patient_contact(
    context: Context, caller: Caller, patient_key: str, wechat: str, sms: bool, wechat_on: bool, language: str
) -> None:
    """How a patient wants to be told; both ways off is an opt-out. Raises BadInput, NotFound."""
    with context.permitted(caller, Action.EDIT_NOTICE_WAYS, patient_key) as session:
        must(session.get(Patient, patient_key))
        access.check(session, caller, patient_key, context)
        _set(context, session, caller, ("patient", patient_key), "", wechat, sms, wechat_on, language)


def set_own_contact(
    context: Context, caller: Caller, phone: str, wechat: str, sms: bool, wechat_on: bool, language: str
) -> None:
    """How one of the staff wants to be told. Raises BadInput."""
    with context.deed(caller.user, "set own contact", caller.user) as session:
        _set(context, session, caller, ("staff", caller.user), phone, wechat, sms, wechat_on, language)


def _set(
    context: Context,
    session: Session,
    caller: Caller,
    whom: tuple[str, str],
    phone: str,
    wechat: str,
    sms: bool,
    wechat_on: bool,
    language: str,
) -> None:
    phone, wechat = re.sub(r"[\s-]", "", phone), wechat.strip()
    if phone and not _PHONE.fullmatch(phone):
        raise BadInput(_("Phone: 6 to 20 digits are needed, with a + before them at most."))
    if wechat and not _WECHAT.fullmatch(wechat):
        raise BadInput(_("WeChat id: 6 to 64 letters, digits, - and _ are needed."))
    if language not in LANGUAGES:
        raise BadInput(_("Language: allowed are {names}.").format(names=", ".join(LANGUAGES)))
    row = session.get(Contact, whom)
    if row is None:
        row = Contact(kind=whom[0], subject=whom[1])
        session.add(row)
    row.phone, row.wechat, row.sms, row.wechat_on, row.language = phone, wechat, sms, wechat_on, language
    row.changed, row.changed_by = context.now(), caller.user
