"""Least privilege by record: a restricted patient is seen by the care team, and by others only in need."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.access import CareTeamMember, Restriction
from ois_bridge.models.accounts import Account
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound

IN_NEED = timedelta(hours=8)
"""How long a record opened in need stays open to who opened it."""


@dataclass(frozen=True)
class Standing:
    """Whether a record is restricted, its care team (`until`: opened in need), physicians in charge."""

    restriction: Restriction | None
    team: list[CareTeamMember]
    in_charge: list[str]


class RecordClosed(Unauthorised):
    """The role has the right, but this record is restricted and the caller is not of its care team."""


def restrict(context: Context, caller: Caller, patient_key: str, reason: str) -> None:
    """Open a record to its care team only; who does it becomes a member. Raises BadInput without a reason."""
    with context.permitted(caller, Action.RESTRICT_RECORD, patient_key) as session:
        if session.get(Patient, patient_key) is None:
            raise NotFound(_("There is no such entry in the OIS."))
        check(session, caller, patient_key, context)
        now, why = context.now(), _stated(reason)
        session.merge(Restriction(patient_key=patient_key, reason=why, since=now, set_by=caller.user))
        _join(session, patient_key, caller.user, context)


def release(context: Context, caller: Caller, patient_key: str) -> None:
    """Open a record to everybody whose role may read it."""
    with context.permitted(caller, Action.RESTRICT_RECORD, patient_key) as session:
        check(session, caller, patient_key, context)
        found = session.get(Restriction, patient_key)
        if found is not None:
            session.delete(found)


def add_member(context: Context, caller: Caller, patient_key: str, user: str) -> None:
    """Take somebody into the care team. Raises BadInput for nobody of the house."""
    with context.permitted(caller, Action.RESTRICT_RECORD, patient_key, f"member {user}") as session:
        check(session, caller, patient_key, context)
        if user not in {account.user for account in colleagues(session)}:
            raise BadInput(_("Choose a colleague from the list."))
        _join(session, patient_key, user, context)


def remove_member(context: Context, caller: Caller, patient_key: str, user: str) -> None:
    """Let somebody leave the care team, and end what they opened in need; nobody removes themselves."""
    with context.permitted(caller, Action.RESTRICT_RECORD, patient_key, f"no member {user}") as session:
        check(session, caller, patient_key, context)
        if user == caller.user:
            raise Refused(_("You cannot take yourself out of the care team; a colleague of it can."))
        for row in _team(session, patient_key, context.now()):
            if row.user == user:
                row.until = context.now()


def standing(session: Session, context: Context, patient_key: str) -> Standing:
    """Who may open a record now."""
    found = session.get(Restriction, patient_key)
    team = _team(session, patient_key, context.now()) if found is not None else []
    charge = select(Course.physician).where(Course.patient_key == patient_key, Course.physician != "")
    return Standing(found, team, sorted({*session.scalars(charge)} - {row.user for row in team}))


def colleagues(session: Session) -> list[Account]:
    """People of the house, by name."""
    return list(session.scalars(select(Account).where(Account.active).order_by(Account.full_name)))


def open_in_need(context: Context, caller: Caller, patient_key: str, reason: str) -> None:
    """Open a restricted record for some hours; the reason is kept.

    Raises BadInput without one.
    """
    with context.permitted(caller, Action.READ_PATIENTS, patient_key, "opened in need") as session:
        now = context.now()
        row = CareTeamMember(
            patient_key=patient_key, user=caller.user, until=now + IN_NEED, reason=_stated(reason), since=now
        )
        if session.get(Restriction, patient_key) is not None and not _open(
            session, caller, patient_key, context
        ):
            session.add(row)


def check(session: Session, caller: Caller, patient_key: str, context: Context) -> None:
    """Raise RecordClosed unless the record is open to the caller."""
    if session.get(Restriction, patient_key) is not None and not _open(session, caller, patient_key, context):
        raise RecordClosed(
            _("This record is open to its care team only. In need it can be opened with a reason.")
        )


def visible(caller: Caller, context: Context) -> ColumnElement[bool]:
    """The condition on `Patient` that leaves out what is closed to the caller: for lists and searches."""
    closed = exists().where(Restriction.patient_key == Patient.key)
    return or_(~closed, _member(caller, context).exists(), _in_charge(caller).exists())


def _open(session: Session, caller: Caller, patient_key: str, context: Context) -> bool:
    mine = select(Patient.key).where(Patient.key == patient_key)
    open_to = or_(_member(caller, context).exists(), _in_charge(caller).exists())
    return session.scalar(mine.where(open_to)) is not None


def _member(caller: Caller, context: Context) -> Select[str]:
    found = select(CareTeamMember.user).where(
        CareTeamMember.patient_key == Patient.key,
        CareTeamMember.user == caller.user,
        or_(CareTeamMember.until.is_(None), CareTeamMember.until > context.now()),
    )
    return found.correlate(Patient)


def _in_charge(caller: Caller) -> Select[str]:
    # the query around it may hold courses of its own
    found = select(Course.key).where(Course.patient_key == Patient.key, Course.physician == caller.user)
    return found.correlate(Patient)


def _join(session: Session, patient_key: str, user: str, context: Context) -> None:
    if all(row.user != user or row.until for row in _team(session, patient_key, context.now())):
        session.add(CareTeamMember(patient_key=patient_key, user=user, until=None, since=context.now()))


def _team(session: Session, patient_key: str, now: datetime) -> list[CareTeamMember]:
    found = select(CareTeamMember).where(
        CareTeamMember.patient_key == patient_key,
        or_(CareTeamMember.until.is_(None), CareTeamMember.until > now),
    )
    return list(session.scalars(found.order_by(CareTeamMember.since)))


def _stated(reason: str) -> str:
    stated = " ".join(reason.split())
    # a Chinese character says what two letters say
    said = sum(2 if letter >= "\u2e80" else 1 for letter in stated)
    if said < 5 or len(stated) > 200:
        raise BadInput(_("A reason is needed: at least 5 letters or 3 Chinese characters, at most 200."))
    return stated
