"""Lists for a downtime, as files that any browser opens and prints."""

from collections.abc import Mapping
from pathlib import Path

from common.files import write_atomic


class DiskLists:
    """A folder of its owner alone: the files hold patients' data."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, files: Mapping[str, str]) -> int:
        """Have exactly these files (name -> content); returns how many were written. Raises OSError."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        written = 0
        for name, text in files.items():
            path, content = self._root / name, text.encode()
            if not path.exists() or path.read_bytes() != content:
                write_atomic(path, content, mode=0o600)
                written += 1
        for path in self._root.glob("*.html"):
            if path.name not in files:
                path.unlink()
        return written
