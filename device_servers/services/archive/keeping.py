"""Housekeeping in a process of its own: low priority, memory that goes back to the system, safe to kill.

`python -m device_servers.services.archive.keeping` reads one order, a JSON object, from its standard input:
{"folder", "close": [names of open segments], "now", "retention": {...}}. It ends with 0 when all is done.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from common.text import _
from device_servers.services.archive.catalogue import Catalogue
from device_servers.services.archive.keeper import Keeper, Retention

log = logging.getLogger(__name__)

PERIOD_S = 600.0
"""Housekeeping runs at least this often; a closed segment makes it run at once."""
RETRY_S = 30.0
NICE = 19
SHARE = 0.5
"""Of one core, at most, while it merges."""


class Keeping:
    """Starts housekeeping when it is due, one run at a time. One thread calls it."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.folder = folder
        self.retention = retention
        self.trouble = ""
        """Why the last run failed; empty while all is well."""
        self.low = False
        """Whether the disk is nearly full: the oldest days go before their time."""
        self._full: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 0.0

    @property
    def busy(self) -> bool:
        """Whether it runs now."""
        return self._process is not None

    def full(self, segment: Path) -> None:
        """Have a segment closed that is no longer written."""
        self._full.append(segment)
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Start what is due, and see what has ended. now: s since the epoch. Raises OSError."""
        most = self.retention.free_bytes
        self.low = most > 0 and shutil.disk_usage(self.folder).free < most
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process.returncode)
        if self._process is None and time.monotonic() >= self._next:
            self._full = [path for path in self._full if path.exists()]
            self._process = self._start(now)

    def stop(self) -> None:
        """End a run that is under way; the next one does it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ended(self, code: int) -> None:
        self._process = None
        self.trouble = "" if code == 0 else _("segments could not be closed or merged; see the log")
        left = any(path.exists() for path in self._full)
        self._next = time.monotonic() + (RETRY_S if code or self.low else 0.0 if left else PERIOD_S)

    def _start(self, now: float) -> "subprocess.Popen[bytes]":
        order = {
            "folder": str(self.folder),
            "close": [path.name for path in self._full],
            "now": now,
            "retention": asdict(self.retention),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
        return process


class _Pace:
    """Yields the processor between blocks, and ends this process when its parent has gone."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._used = time.process_time()

    def __call__(self) -> None:
        """Sleep for as long as was worked."""
        if os.getppid() != self._parent:
            raise SystemExit(1)
        used = time.process_time()
        time.sleep((used - self._used) * (1.0 - SHARE) / SHARE)
        self._used = used


def main() -> int:
    """Do what the order says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.nice(NICE)
    order = json.load(sys.stdin)
    folder = Path(order["folder"])
    try:
        closed = Catalogue(folder).close(folder / name for name in order["close"])
        Keeper(folder, _Pace()).keep(order["now"], Retention(**order["retention"]))
    except OSError as why:
        log.error("housekeeping of the archive: %s", why)
        return 1
    return 0 if closed else 1


if __name__ == "__main__":
    sys.exit(main())
