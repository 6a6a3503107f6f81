"""Whom a token names: the OIS vouches with its key, the machine itself for local log-ins with its own."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common import authority
from common.errors import Unauthorised
from common.text import _


class Tokens:
    """The keys of one facility; both may appear later. Any thread."""

    def __init__(self, public_key: Path, machine_key: Path | None) -> None:
        """machine_key: None for a site without local log-ins."""
        self._public_key, self._machine_key = public_key, machine_key

    def signed(self, token: str) -> authority.Identity:
        """Whom a token names that one of the two has signed, expired or not. Raises Unauthorised."""
        try:
            identity = authority.read(self._key(), token)
        except Unauthorised as why:
            local = self._local(token)
            if local is None:
                raise why from None
            return local
        if identity.user.startswith(authority.LOCAL_PREFIX):
            raise Unauthorised(_("the OIS vouches for no local log-in; log in again"))
        return identity

    def _local(self, token: str) -> authority.Identity | None:
        if self._machine_key is None or not self._machine_key.exists():
            return None
        try:
            return authority.read_local(authority.load_public(self._machine_key), token)
        except (Unauthorised, OSError, ValueError):
            return None

    def _key(self) -> Ed25519PublicKey:
        try:
            return authority.load_public(self._public_key)
        except (OSError, ValueError) as why:
            raise Unauthorised(
                _("no public key of the OIS yet; start the OIS, then open the session again")
            ) from why
