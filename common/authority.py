"""Who may do what: signed tokens, verified offline, and the table of roles and areas.

A token is a JSON Web Token (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037). The OIS alone holds
the private key; every other process verifies with the public key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.errors import Tampered, Unauthorised
from common.files import write_atomic

ALGORITHM = "EdDSA"
LIFETIME = timedelta(hours=8)
CLOCK_SKEW = timedelta(minutes=2)
"""A token may be so much younger than the clock of who reads it."""
LOCAL_LIFETIME = timedelta(minutes=30)
LOCAL_ROLES = frozenset({"operator", "service"})
LOCAL_PREFIX = "break-glass:"
"""What a token may be that the machine itself signs; its users' names begin so."""

ROLES = ("operator", "physicist", "physician", "therapist", "receptionist", "service", "administrator")
AREAS = ("accelerator", "central", "room", "treatment", "services")

MAY_WRITE: dict[str, frozenset[str]] = {
    "accelerator": frozenset({"operator", "service"}),
    "central": frozenset({"operator", "service", "therapist"}),
    "room": frozenset({"therapist", "service", "physicist"}),
    "treatment": frozenset({"therapist"}),
    "services": frozenset({"operator", "service", "physicist", "administrator"}),
}
"""Area -> roles that may write in it."""


@dataclass(frozen=True)
class Identity:
    """Whom a verified token names, and until when."""

    user: str
    roles: frozenset[str]
    expires: datetime
    issued: datetime | None = None
    local: bool = False
    """Whether the machine itself vouches (break-glass), not the OIS."""

    def expired(self, now: datetime) -> bool:
        """Whether the token's time is over at `now` (timezone-aware)."""
        return now >= self.expires


def new_key(private_path: Path, public_path: Path) -> None:
    """Make an Ed25519 key pair as PEM files; the private one readable by its owner only."""
    key = Ed25519PrivateKey.generate()
    write_atomic(
        private_path,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        mode=0o600,
    )
    write_atomic(
        public_path,
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def load_private(path: Path) -> Ed25519PrivateKey:
    """Read a private key from PEM. Raises ValueError if it is not Ed25519."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path.name} holds no Ed25519 key")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Read a public key from PEM. Raises ValueError if it is not Ed25519."""
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path.name} holds no Ed25519 key")
    return key


def issue(
    key: Ed25519PrivateKey,
    user: str,
    roles: frozenset[str],
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> str:
    """A signed token for a user. `now` is timezone-aware. Raises ValueError for an unknown role."""
    unknown = roles - set(ROLES)
    if unknown:
        raise ValueError(f"unknown role {sorted(unknown)}: allowed are {', '.join(ROLES)}")
    claims = {"sub": user, "roles": sorted(roles), "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def issue_local(
    key: Ed25519PrivateKey, user: str, roles: frozenset[str], now: datetime, lifetime: timedelta
) -> str:
    """A break-glass token, signed by the machine while the OIS is silent. Raises ValueError for too much."""
    if not roles or roles - LOCAL_ROLES or not timedelta(0) < lifetime <= LOCAL_LIFETIME:
        raise ValueError(
            f"a local token is for {', '.join(sorted(LOCAL_ROLES))}, for at most {LOCAL_LIFETIME}"
        )
    return issue(key, LOCAL_PREFIX + user, roles, now, lifetime)


def read_local(key: Ed25519PublicKey, token: str) -> Identity:
    """Whom a break-glass token names, expired or not. Raises Unauthorised for one that claims too much."""
    found = read(key, token)
    modest = found.issued is not None and found.expires - found.issued <= LOCAL_LIFETIME
    if not modest or found.roles - LOCAL_ROLES or not found.user.startswith(LOCAL_PREFIX):
        raise Unauthorised("token not accepted (more than a local log-in may claim); log in again")
    return replace(found, local=True)


def verify(key: Ed25519PublicKey, token: str, now: datetime) -> Identity:
    """The identity a token names. Raises Unauthorised when it is expired, forged or malformed."""
    identity = read(key, token)
    check_time(identity, now)
    return identity


def check_time(identity: Identity, now: datetime) -> None:
    """Raise Unauthorised unless a token is valid at `now`: neither expired nor from the future."""
    if identity.expired(now):
        raise Unauthorised("token expired; log in again")
    if identity.issued is not None and identity.issued > now + CLOCK_SKEW:
        raise Unauthorised("token is from the future; set the clocks of this computer and of the OIS")


def read(key: Ed25519PublicKey, token: str) -> Identity:
    """Like `verify`, but an expired token is read too (the caller judges its age)."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            options={"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False},
        )
        expires = datetime.fromtimestamp(claims["exp"], tz=UTC)
        issued = datetime.fromtimestamp(claims["iat"], tz=UTC) if "iat" in claims else None
        return Identity(str(claims["sub"]), frozenset(claims.get("roles", ())), expires, issued)
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as why:
        raise Unauthorised(f"token not accepted ({why}); log in again") from why


def check_write(identity: Identity, area: str, now: datetime) -> None:
    """Raise Unauthorised unless the identity may write in an area now."""
    if identity.expired(now):
        raise Unauthorised("token expired; log in again")
    allowed = MAY_WRITE[area]
    if not identity.roles & allowed:
        raise Unauthorised(
            f"{identity.user} may not write in area {area}: allowed are {', '.join(sorted(allowed))}"
        )


def sign(key: Ed25519PrivateKey, statement: Mapping[str, Any]) -> str:
    """A signed statement (an approval, a record digest) as a compact JWS."""
    return jwt.encode(dict(statement), key, algorithm=ALGORITHM)


def read_statement(key: Ed25519PublicKey, signed: str) -> dict[str, Any]:
    """The content of a signed statement. Raises Tampered when the signature does not fit."""
    try:
        return dict(jwt.decode(signed, key, algorithms=[ALGORITHM], options={"verify_exp": False}))
    except jwt.InvalidTokenError as why:
        raise Tampered(f"signed statement not accepted: {why}") from why
