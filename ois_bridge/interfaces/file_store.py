"""Files on disk that appear whole or not at all."""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from common.errors import BadInput
from common.files import sync

STAGED = ".staged-"


class DiskFiles:
    """A directory of published files, with staged ones beside them until they get their name."""

    def __init__(self, root: Path) -> None:
        """Open or create the directory, readable by its owner only."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def stage(self, content: bytes) -> Path:
        """Write durably under a temporary name. Raises OSError; nothing is left then."""
        handle, name = tempfile.mkstemp(dir=self.root, prefix=STAGED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def publish(self, staged: Path, path: str) -> None:
        """Give a staged file its name, durably."""
        target = self._at(path)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged.replace(target)
        sync(target.parent)

    def discard(self, staged: Path) -> None:
        """Remove a staged file; one that is gone is no error."""
        staged.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """Remove a published file; one that is gone is no error."""
        self._at(path).unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        """Content of a published file. Raises OSError."""
        return self._at(path).read_bytes()

    def sweep(self, known: Collection[str]) -> int:
        """Remove temporary files and files that no row knows; returns how many."""
        removed = 0
        for file in sorted(self.root.rglob("*")):
            if file.is_file() and str(file.relative_to(self.root)) not in known:
                file.unlink()
                removed += 1
        return removed

    def _at(self, path: str) -> Path:
        target = (self.root / path).resolve()
        if self.root.resolve() not in target.parents:
            raise BadInput("a file name leaves its directory")
        return target
