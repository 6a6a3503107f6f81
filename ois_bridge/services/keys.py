"""Keys of other systems: each may do what its scopes name, until it expires or is withdrawn."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import select

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.accounts import ApiKey
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound, NotLoggedIn

PREFIX = "ptcs_"
LONGEST = timedelta(days=366)
_NOTED = timedelta(minutes=1)

NEVER = frozenset({Action.APPROVE_PLAN, Action.PRESCRIBE, Action.SIGN_RECORD, Action.MANAGE_ACCOUNTS})
"""What only a person may do."""


def offered() -> list[Action]:
    """The scopes that a key may have."""
    return [action for action in Action if action not in NEVER]


def create(context: Context, caller: Caller, name: str, scopes: Iterable[str], days: int) -> str:
    """A new key; its secret is told once, here. Raises BadInput, Unauthorised."""
    wanted = sorted(set(scopes))
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, name, " ".join(wanted)[:300]) as session:
        allowed = {action.name for action in offered()}
        if not wanted:
            raise BadInput(_("At least one scope is needed: tick what this system may do, and no more."))
        if set(wanted) - allowed:
            raise BadInput(
                _("At least one scope is needed; allowed are {scopes}.").format(
                    scopes=", ".join(sorted(allowed))
                )
            )
        if not name.strip() or len(name) > 64:
            raise BadInput(_("A name of at most 64 characters is needed: which system uses this key?"))
        if not 1 <= days <= LONGEST.days:
            raise BadInput(_("A key is good for 1 to {most} days.").format(most=LONGEST.days))
        secret = PREFIX + secrets.token_urlsafe(32)
        now = context.now()
        session.add(
            ApiKey(
                secret_hash=_digest(secret),
                name=name.strip(),
                scopes=" ".join(wanted),
                created=now,
                created_by=caller.user,
                expires=now + timedelta(days=days),
            )
        )
    return secret


def end(context: Context, caller: Caller, key: str) -> None:
    """Withdraw a key at once. Raises NotFound."""
    with context.permitted(caller, Action.MANAGE_ACCOUNTS, key, "key withdrawn") as session:
        row = session.get(ApiKey, key)
        if row is None:
            raise NotFound(_("There is no such key."))
        row.ended = row.ended or context.now()


def all_keys(context: Context, caller: Caller) -> Sequence[ApiKey]:
    """Every key, the newest first."""
    with context.reading(caller, Action.MANAGE_ACCOUNTS) as session:
        return session.scalars(select(ApiKey).order_by(ApiKey.created.desc())).all()


def caller_of(context: Context, secret: str) -> Caller:
    """The system that a secret belongs to, with the rights of its scopes. Raises NotLoggedIn."""
    now = context.now()
    with context.database.reading() as session:
        row = session.scalar(select(ApiKey).where(ApiKey.secret_hash == _digest(secret)))
        if row is None or row.ended is not None or now >= row.expires:
            raise NotLoggedIn(_("This key is unknown, expired or withdrawn."))
        found, noted = row, row.last_used is not None and now - row.last_used < _NOTED
    if not noted:
        with context.database.writing() as session:
            kept = session.get(ApiKey, found.key)
            if kept is not None:
                kept.last_used = now
    return Caller(f"key {found.name}"[:64], scopes=frozenset(Action[name] for name in found.scopes.split()))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
