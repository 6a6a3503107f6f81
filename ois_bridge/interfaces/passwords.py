"""Argon2id hashes of passwords."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Argon2:
    """19 MiB, 2 passes, 1 lane: the OWASP Password Storage Cheat Sheet's configuration for log-in servers."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
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
