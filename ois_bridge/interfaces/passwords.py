"""Argon2id hashes of passwords."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Argon2:
    """RFC 9106, second recommended option of argon2-cffi (64 MiB, 3 passes, 4 lanes)."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._decoy = self._hasher.hash(secrets.token_urlsafe(32))

    @property
    def decoy(self) -> str:
        """A hash that no password fits."""
        return self._decoy

    def hash(self, password: str) -> str:
        """An encoded hash with its own salt and parameters."""
        return self._hasher.hash(password)

    def verify(self, encoded: str, password: str) -> bool:
        """Whether the password fits. False for a damaged hash too."""
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False
