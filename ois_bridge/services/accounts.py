"""Logging in: passwords, lock-out, tokens, and the sessions of the web pages."""

import hashlib
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from common import authority
from common.errors import Unauthorised
from common.logs import opaque
from common.text import _
from ois_bridge.domain import lockout
from ois_bridge.models.accounts import Account, AccountRole, WebSession
from ois_bridge.services import attempts, kept_forms
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotLoggedIn, PasswordMustChange

IDLE = timedelta(minutes=30)
"""A web session ends after this time without a page."""


_SITTING = (
    select(
        WebSession.account_key,
        WebSession.csrf_token,
        WebSession.created,
        WebSession.last_seen,
        Account.user,
        Account.full_name,
        Account.active,
        Account.must_change,
        AccountRole.role,
    )
    .join(Account, Account.key == WebSession.account_key)
    .outerjoin(AccountRole, AccountRole.account_key == Account.key)
    .where(WebSession.secret_hash == bindparam("secret"))
)
"""Who a cookie belongs to, one row a role: asked with every page, so a right taken away is gone at once."""


@dataclass(frozen=True)
class LogIn:
    """A token and when it expires."""

    token: str
    expires: datetime


@dataclass(frozen=True)
class WebUser:
    """Who sits before a page."""

    caller: Caller
    full_name: str
    csrf_token: str
    must_change: bool = False
    account_key: str = ""


_noted: deque[str] = deque(maxlen=1000)
"""Digests of tokens whose refusal is on record."""


def log_in(context: Context, user: str, password: str, origin: str = attempts.HERE) -> LogIn:
    """A token for a user; `origin`: the address that asks.

    Raises Unauthorised for a wrong name or password, or a locked account.
    """
    account = authenticate(context, user, password, "log in", origin)
    if account.must_change:
        raise PasswordMustChange(
            _("This password was set by somebody else: log in to the pages and change it.")
        )
    now = context.now()
    token = authority.issue(context.signing_key, account.user, account.roles, now)
    return LogIn(token, now + authority.LIFETIME)


def authenticate(
    context: Context, user: str, password: str, action: str, origin: str = attempts.HERE
) -> Account:
    """The account that a name and password belong to; right or wrong, it is counted and audited.

    `origin`: the address that asks; HERE for somebody who is logged in and confirms a deed.
    Raises Unauthorised with the same text for an unknown name and a wrong password.
    """
    with context.database.reading() as session:
        found = _by_name(session, user)
    right = context.hasher.verify(found.password_hash if found else context.hasher.decoy, password)
    failure: Unauthorised | None = None
    with context.database.writing() as session:
        account = _by_name(session, user)
        if account is not None:
            failure = _count(context, account, right, origin)
        elif failure is None:
            failure = _wrong()
        name = account.user if account else "unknown " + opaque(user)
        outcome = "refused" if failure else "done"
        context.audit.note(session, context.now(), name, action, opaque(user), outcome, str(failure or ""))
    context.audit.flush()
    if failure is not None or account is None:
        raise failure or _wrong()
    return account


def _count(context: Context, account: Account, right: bool, origin: str) -> Unauthorised | None:
    now, tried = context.now(), context.attempts
    for_all = lockout.closed(account.locked_until, now)
    if tried.closed(account.key, origin, now) or (for_all and not tried.known(account.key, origin, now)):
        return Unauthorised(
            _("This account is locked after {n} wrong passwords; try again in {m} minutes.").format(
                n=lockout.LIMIT, m=int(lockout.CLOSED_FOR.total_seconds() // 60)
            )
        )
    if right and account.active:
        if not for_all:
            account.failures, account.locked_until = 0, None
        tried.right(account.key, origin, now)
        account.last_log_in = now
        return None
    tried.failed(account.key, origin, now)
    if not for_all:
        after = lockout.after_failure(account.failures, now, lockout.LIMIT_OF_ALL)
        account.failures, account.locked_until = after
    return _wrong()


def _wrong() -> Unauthorised:
    return Unauthorised(_("User name or password is wrong."))


def bearer(context: Context, token: str) -> Caller:
    """The caller whom a token names, with the roles that the account still has. Raises NotLoggedIn."""
    user = ""
    try:
        identity = authority.read(context.signing_key.public_key(), token)
        user = identity.user
        authority.check_time(identity, context.now())
    except Unauthorised as why:
        raise _refused_token(context, user, token, str(why)) from why
    with context.database.reading() as session:
        account = _by_name(session, user)
        if account is not None and account.active:
            return Caller(account.user, identity.roles & account.roles)
    raise _refused_token(context, user, token, _("This account is closed."))


def _refused_token(context: Context, user: str, token: str, why: str) -> NotLoggedIn:
    """Why a token is refused; recorded once a token: a page that goes on asking is no new attempt."""
    mark, refusal = _digest(token), NotLoggedIn(why)
    if mark not in _noted:
        _noted.append(mark)
        context.refused(user, "use a token", mark[:16], refusal)
    return refusal


def open_web_session(context: Context, user: str, password: str, origin: str = attempts.HERE) -> str:
    """Log in to the pages; returns the cookie's secret. Raises Unauthorised."""
    account = authenticate(context, user, password, "log in to the pages", origin)
    secret, now = secrets.token_urlsafe(32), context.now()
    with context.database.writing() as session:
        session.execute(delete(WebSession).where(WebSession.last_seen < now - IDLE))
        session.add(
            WebSession(
                secret_hash=_digest(secret),
                account_key=account.key,
                csrf_token=kept_forms.new_token(context, account.key),
                created=now,
                last_seen=now,
            )
        )
    return secret


def web_user(context: Context, secret: str, awake: bool = True) -> WebUser:
    """Who a cookie belongs to; keeps the session awake unless told not to. Raises NotLoggedIn."""
    now = context.now()
    rows = context.database.glance(_SITTING, {"secret": _digest(secret)}) if secret else ()
    if not rows:
        raise NotLoggedIn(_("Please log in."))
    found = rows[0]
    over = now - found.last_seen > IDLE or now - found.created > authority.LIFETIME
    if over or not found.active:
        raise NotLoggedIn(_("Please log in."))
    roles = frozenset(row.role for row in rows if row.role is not None)
    caller = Caller(found.user, roles)
    who = WebUser(caller, found.full_name, found.csrf_token, found.must_change, found.account_key)
    if awake and now - found.last_seen > timedelta(minutes=1):
        with context.database.writing() as session:
            kept = session.get(WebSession, _digest(secret))
            if kept is not None:
                kept.last_seen = now
    return who


def close_web_session(context: Context, secret: str) -> None:
    """Log out of the pages."""
    with context.database.writing() as session:
        session.execute(delete(WebSession).where(WebSession.secret_hash == _digest(secret)))


def user_name(context: Context, account_key: str) -> str:
    """The user name of an account; empty for one that is gone."""
    with context.database.reading() as session:
        return session.scalar(select(Account.user).where(Account.key == account_key)) or ""


def none_yet(context: Context) -> bool:
    """Whether this OIS has no account."""
    with context.database.reading() as session:
        return session.scalar(select(Account.key).limit(1)) is None


def create_accounts(context: Context, rows: Sequence[Mapping[str, Any]], passwords: Mapping[str, str]) -> int:
    """Put accounts (user, full_name, roles) into an OIS that has none; returns how many were made."""
    with context.database.writing() as session:
        if session.scalar(select(Account.key).limit(1)) is not None:
            return 0
        for row in rows:
            account = Account(
                user=row["user"],
                full_name=row["full_name"],
                password_hash=context.hasher.hash(passwords[row["user"]]),
                created=context.now(),
            )
            account.role_rows = [AccountRole(role=role, since=context.now()) for role in row["roles"]]
            session.add(account)
            context.audit.note(session, context.now(), "start", "create account", opaque(row["user"]), "done")
    context.audit.flush()
    return len(rows)


def _by_name(session: Session, user: str) -> Account | None:
    return session.scalar(select(Account).where(Account.user == user))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
