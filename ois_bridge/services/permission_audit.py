"""The audit of permissions: who holds which role since when, what that allows, and what other systems may."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from common.authority import ROLES
from common.text import _
from ois_bridge.domain import lockout
from ois_bridge.domain.permissions import MAY, Action
from ois_bridge.domain.words import ROLE
from ois_bridge.models.accounts import Account, ApiKey
from ois_bridge.services.context import Caller, Context


@dataclass(frozen=True)
class Held:
    """One role of a person. `given_by`: empty for what was given at the first start."""

    role: str
    since: datetime | None
    given_by: str


@dataclass(frozen=True)
class Person:
    """One account and what it may do."""

    user: str
    full_name: str
    state: str
    created: datetime
    last_log_in: datetime | None
    password_changed: datetime | None
    roles: Sequence[Held]
    rights: Sequence[Action]


@dataclass(frozen=True)
class System:
    """One key of another system. `state`: in use, expired or withdrawn."""

    name: str
    state: str
    created: datetime
    created_by: str
    expires: datetime
    last_used: datetime | None
    scopes: Sequence[Action]


@dataclass(frozen=True)
class PermissionAudit:
    """Everything that is permitted at one moment."""

    time: datetime
    by: str
    people: Sequence[Person]
    systems: Sequence[System]


def taken(context: Context, caller: Caller) -> PermissionAudit:
    """The audit of this moment; that it was taken stands in the audit trail. Raises Unauthorised."""
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, "permissions", "permission audit") as session:
        now = context.now()
        accounts = session.scalars(select(Account).order_by(Account.user)).all()
        keys = session.scalars(select(ApiKey).order_by(ApiKey.name, ApiKey.created)).all()
        return PermissionAudit(
            now, caller.user, [_person(row, now) for row in accounts], [_system(row, now) for row in keys]
        )


def lines(audit: PermissionAudit) -> list[list[str]]:
    """The audit as rows of one table: roles of people, scopes of systems, then which role has which right."""
    found = [
        [
            _("Kind"), _("Name"), _("Full name"), _("State"), _("Role or right"), _("Since"), _("Given by"),
            _("Until"), _("Last seen"),
        ]
    ]  # fmt: skip
    for person in audit.people:
        first = [_("Account"), person.user, person.full_name, _(person.state)]
        found += [
            [*first, _(ROLE[one.role]), _text(one.since), one.given_by, "", _text(person.last_log_in)]
            for one in person.roles
        ]
    for system in audit.systems:
        first = [_("Key"), system.name, "", _(system.state)]
        found += [
            [
                *first,
                _(scope.value),
                _text(system.created),
                system.created_by,
                _text(system.expires),
                _text(system.last_used),
            ]
            for scope in system.scopes
        ]
    for role in ROLES:
        rights = [action for action in Action if role in MAY[action]]
        found += [
            [_("Right of a role"), _(ROLE[role]), "", "", _(one.value), "", "", "", ""] for one in rights
        ]
    return found


def _person(account: Account, now: datetime) -> Person:
    held = sorted(account.role_rows, key=lambda row: row.role)
    return Person(
        account.user,
        account.full_name,
        _state(account, now),
        account.created,
        account.last_log_in,
        account.password_changed,
        [Held(row.role, row.since, row.given_by) for row in held],
        [action for action in Action if account.roles & MAY[action]] if account.active else [],
    )


def _state(account: Account, now: datetime) -> str:
    if not account.active:
        return "closed"
    if lockout.closed(account.locked_until, now):
        return "locked"
    return "must change the password" if account.must_change else "in use"


def _system(key: ApiKey, now: datetime) -> System:
    state = "withdrawn" if key.ended is not None else "expired" if now >= key.expires else "in use"
    names = key.scopes.split()
    return System(
        key.name,
        state,
        key.created,
        key.created_by,
        key.expires,
        key.last_used,
        [Action[name] for name in names if name in Action.__members__],
    )


def _text(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time is not None else ""
