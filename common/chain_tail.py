"""Following a tamper-evident log that another process writes."""

import os
from pathlib import Path
from typing import BinaryIO

from common.chain_lines import GENESIS, closed_file, is_bare, parsed, require
from common.errors import Tampered


class Tail:
    """Follows a log that another process writes: reads and checks what is new. One thread."""

    def __init__(self, path: Path) -> None:
        """Begin at the log's first entry."""
        self._path = path
        self._part, self._offset, self._line = 1, 0, 0
        self._last = GENESIS
        self.entries, self.head = 0, GENESIS
        """Entries so far, and the digest of the last."""

    def read(self) -> None:
        """Take in what was appended since. Raises Tampered, OSError."""
        while True:
            closed = closed_file(self._path, self._part)
            with (closed if closed.exists() else self._path).open("rb") as lines:
                # The file may have been closed before it was opened here: then this is the one after it.
                over = closed.exists()
                if over and not os.path.samestat(os.fstat(lines.fileno()), closed.stat()):
                    continue
                self._take(lines)
            if not over:
                return
            self._part, self._offset, self._line = self._part + 1, 0, 0

    def _take(self, lines: BinaryIO) -> None:
        if lines.seek(0, os.SEEK_END) < self._offset:
            raise Tampered(f"{self._path.name} has become shorter: its end was cut off")
        lines.seek(self._offset)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._line += 1
            digest, body = parsed(self._path, self._line, line)
            require(self._path, self._line, digest, self._last, body)
            self._last, self._offset = digest, self._offset + len(line)
            if not is_bare(self._line, body):
                self.entries, self.head = self.entries + 1, digest
