"""What the use cases need from outside; interfaces implement it."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol


class Hasher(Protocol):
    """Passwords."""

    @property
    def decoy(self) -> str:
        """A hash that no password fits: an unknown name then takes as long as a wrong password."""
        ...

    def hash(self, password: str) -> str:
        """An encoded hash with its own salt and parameters."""
        ...

    def verify(self, encoded: str, password: str) -> bool:
        """Whether the password fits. False for a damaged hash too."""
        ...


class FileStore(Protocol):
    """Files of the archive, by a path relative to it."""

    def stage(self, content: bytes) -> Path:
        """Write durably under a temporary name. Raises OSError; nothing is left then."""
        ...

    def publish(self, staged: Path, path: str) -> None:
        """Give a staged file its name, durably."""
        ...

    def discard(self, staged: Path) -> None:
        """Remove a staged file; one that is gone is no error."""
        ...

    def remove(self, path: str) -> None:
        """Remove a published file; one that is gone is no error."""
        ...

    def read(self, path: str) -> bytes:
        """Content of a published file. Raises OSError."""
        ...

    def sweep(self, known: Collection[str]) -> int:
        """Remove temporary files and files that no row knows; returns how many."""
        ...


class Composer(Protocol):
    """Irradiation reports."""

    def compose(self, facts: Mapping[str, Any], pictures: Mapping[str, bytes], language: str) -> bytes:
        """The report as PDF."""
        ...
