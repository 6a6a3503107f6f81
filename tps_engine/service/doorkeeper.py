"""Who may post a job: tokens of the OIS, verified offline with its public key."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.authority import Identity, load_public, verify
from common.errors import LinkLost, Unauthorised
from common.text import _

PLANNER = "physicist"


class Stranger(Unauthorised):
    """No token, or one that is forged or expired: the caller must log in first."""


def bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises Stranger without one."""
    scheme, _space, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Stranger(_("no token: log in at the OIS and send it as Authorization: Bearer TOKEN"))
    return token.strip()


class Doorkeeper:
    """Checks tokens. The key is read when first needed, and again when its file has changed."""

    def __init__(self, public_key: Path) -> None:
        self._path = public_key
        self._key: tuple[int, Ed25519PublicKey] | None = None

    def admit(self, token: str) -> Identity:
        """Whom a token names. Raises Stranger, or LinkLost while there is no public key."""
        try:
            return verify(self._public(), token, datetime.now(UTC))
        except Unauthorised as why:
            raise Stranger(str(why)) from why

    def must_plan(self, who: Identity) -> None:
        """Raise Unauthorised unless the identity is a physicist's."""
        if PLANNER not in who.roles:
            raise Unauthorised(
                _("{user} may not post planning jobs: allowed is the role {role}").format(
                    user=who.user, role=PLANNER
                )
            )

    def _public(self) -> Ed25519PublicKey:
        try:
            stamp = self._path.stat().st_mtime_ns
            if self._key is None or self._key[0] != stamp:
                self._key = (stamp, load_public(self._path))
            return self._key[1]
        except (OSError, ValueError) as why:
            if self._key is not None:  # the last known key serves while the file is away
                return self._key[1]
            raise LinkLost(_("the OIS has not published its key yet; see whether it runs")) from why
