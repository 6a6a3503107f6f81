"""Accounts as an administrator keeps them, and as their owners see them."""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from common.authority import ROLES
from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain import lockout, passwords
from ois_bridge.domain.permissions import Action
from ois_bridge.models.accounts import Account, AccountRole, WebSession
from ois_bridge.services import accounts
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound
from ois_bridge.services.workflow import assigning

_USER = re.compile(r"[a-z][a-z0-9._-]{1,31}")


@dataclass(frozen=True)
class Line:
    """One account in the list. `locked`: until when no password is taken; `sessions`: open ones."""

    account: Account
    locked: datetime | None
    sessions: int
    last_seen: datetime | None


def all_accounts(context: Context, caller: Caller) -> list[Line]:
    """Every account, by name. Raises Unauthorised."""
    with context.reading(caller, Action.MANAGE_ACCOUNTS) as session:
        rows = session.scalars(select(Account).order_by(Account.user)).all()
        return [_line(context, session, account) for account in rows]


def _line(context: Context, session: Session, account: Account) -> Line:
    now = context.now()
    found = session.scalars(select(WebSession).where(WebSession.account_key == account.key)).all()
    live = [one for one in found if now - one.last_seen <= accounts.IDLE]
    closed = account.locked_until if lockout.closed(account.locked_until, now) else None
    locked = closed or context.attempts.locked_until(account.key, now)
    return Line(
        account, locked, len(live), max((one.last_seen for one in found), default=account.last_log_in)
    )


def create(context: Context, caller: Caller, user: str, full_name: str, roles: Iterable[str]) -> str:
    """A new account; returns its first password, which must be changed at the first log-in.

    Raises BadInput for a name or role that is not allowed, Refused for a name that is taken.
    """
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user) as session:
        if not _USER.fullmatch(user):
            raise BadInput(_("User name: 2 to 32 of a-z, 0-9, dot, dash; it begins with a letter."))
        named = _full_name(full_name)
        if session.scalar(select(Account.key).where(Account.user == user)) is not None:
            raise Refused(_("An account with this name exists already."))
        first = secrets.token_urlsafe(12)
        account = Account(
            user=user,
            full_name=named,
            password_hash=context.hasher.hash(first),
            must_change=True,
            created=context.now(),
        )
        account.role_rows = [_given(context, caller, role) for role in _roles(roles)]
        session.add(account)
    return first


def set_roles(context: Context, caller: Caller, user: str, roles: Iterable[str], active: bool) -> None:
    """Give an account its roles, open or close it; its sessions end, and tasks that it can no longer do
    are given to somebody else or go back to their role.

    Raises Refused for the last administrator, BadInput, NotFound.
    """
    wanted = _roles(roles)
    detail = ", ".join(sorted(wanted)) + ("" if active else "; closed")
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user, detail) as session:
        account = _by_name(session, user)
        kept = [row for row in account.role_rows if row.role in wanted]
        new = set(wanted) - {row.role for row in kept}
        account.role_rows = [*kept, *(_given(context, caller, role) for role in sorted(new))]
        account.active = active
        session.flush()
        assigning.gone(session, context, user, wanted if active else ())
        if not _administrators(session):
            raise Refused(_("This is the last administrator; give another account that role first."))
        _end_sessions(session, account)


def rename(context: Context, caller: Caller, user: str, full_name: str) -> None:
    """Another full name, as pages and papers show it. Raises BadInput, NotFound."""
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user, "renamed") as session:
        _by_name(session, user).full_name = _full_name(full_name)


def reset_password(context: Context, caller: Caller, user: str) -> str:
    """A new password for somebody who forgot theirs; it must be changed at the next log-in.

    Opens a locked account. Raises NotFound.
    """
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user, "password reset") as session:
        account = _by_name(session, user)
        fresh = secrets.token_urlsafe(12)
        account.password_hash, account.must_change = context.hasher.hash(fresh), True
        account.failures, account.locked_until = 0, None
        context.attempts.open(account.key)
        _end_sessions(session, account)
    return fresh


def unlock(context: Context, caller: Caller, user: str) -> None:
    """Open an account that wrong passwords locked."""
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user, "unlocked") as session:
        account = _by_name(session, user)
        account.failures, account.locked_until = 0, None
        context.attempts.open(account.key)


def end_sessions(context: Context, caller: Caller, user: str) -> None:
    """Log a user out of all pages."""
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, user, "sessions ended") as session:
        _end_sessions(session, _by_name(session, user))


def change_password(context: Context, caller: Caller, old: str, new: str) -> None:
    """The caller's own new password; other sessions end. Raises Unauthorised, BadInput."""
    account = accounts.authenticate(context, caller.user, old, "change password")
    passwords.checked(new, caller.user)
    if new == old:
        raise BadInput(_("The new password is the old one."))
    with context.deed(caller.user, "change password", caller.user) as session:
        row = _by_name(session, account.user)
        if row.password_hash != account.password_hash:
            raise Unauthorised(_("The password was changed meanwhile; log in again."))
        row.password_hash, row.must_change = context.hasher.hash(new), False
        row.password_changed = context.now()
        _end_sessions(session, row)


def _full_name(text: str) -> str:
    if not text.strip() or len(text.strip()) > 64:
        raise BadInput(_("A full name of at most 64 characters is needed."))
    return text.strip()


def _given(context: Context, caller: Caller, role: str) -> AccountRole:
    return AccountRole(role=role, since=context.now(), given_by=caller.user)


def _roles(roles: Iterable[str]) -> Sequence[str]:
    wanted = sorted(set(roles))
    if not wanted or set(wanted) - set(ROLES):
        raise BadInput(_("At least one role is needed; allowed are {roles}.").format(roles=", ".join(ROLES)))
    return wanted


def _administrators(session: Session) -> bool:
    rows = session.scalars(select(Account).where(Account.active)).all()
    return any("administrator" in account.roles for account in rows)


def _end_sessions(session: Session, account: Account) -> None:
    session.execute(delete(WebSession).where(WebSession.account_key == account.key))


def _by_name(session: Session, user: str) -> Account:
    found = session.scalar(select(Account).where(Account.user == user))
    if found is None:
        raise NotFound(_("There is no such account."))
    return found
