"""The register on disk: a hash chain that only grows, and what it adds up to.

`register.log` is the chain. `head.json` beside it says how long the chain is and how it ends, so that a
chain whose last entries were cut off is found too.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.chain_lines import GENESIS, link
from common.errors import Refused, Tampered
from common.files import read_json, write_json
from common.hashchain import ChainLog, entries
from common.text import _
from device_servers.services.maintenance.view import View

log = logging.getLogger(__name__)


class Book:
    """The register of one facility. Any thread; one entry at a time."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or begin the register in `folder`; one that was altered refuses entries."""
        self._path, self._head = folder / "register.log", folder / "head.json"
        self._now = now
        self.lock = threading.RLock()
        self.view = View()
        self.broken = ""
        """Why the register cannot be trusted; "" while it can."""
        self._chain: ChainLog | None = None
        self._open()

    def _open(self) -> None:
        try:
            self._chain = ChainLog(self._path)
            self.view = _read(self._path, self._head)
        except (Tampered, OSError, UnicodeDecodeError) as why:
            self.broken = _("the maintenance register cannot be trusted: {why}").format(why=why)
            log.error("%s", self.broken)

    def append(self, user: str, kind: str, fields: Mapping[str, Any]) -> str:
        """Keep one entry, on disk before this returns; its digest. Raises Refused when it cannot be kept."""
        with self.lock:
            self.require_sound()
            assert self._chain is not None
            entry = {
                "kind": kind,
                "time": self._now().isoformat(timespec="milliseconds"),
                "user": user,
                **fields,
            }
            try:
                digest = self._chain.append(entry)
            except OSError as why:
                self._again()
                raise Refused(
                    _("the register cannot be written ({why}); free disk space").format(why=why)
                ) from why
            self.view.apply(entry, digest)
            self._note_head()
            return digest

    def require_sound(self) -> None:
        """Raise Refused when the register was altered."""
        if self.broken:
            raise Refused(self.broken)

    def close(self) -> None:
        """Close the file."""
        if self._chain is not None:
            self._chain.close()

    def _again(self) -> None:
        """Read everything again after a failed write: what half of it reached the disk is cut off."""
        assert self._chain is not None
        try:
            self._chain.close()
        except OSError as why:
            log.warning("register: %s", why)
        self._open()

    def _note_head(self) -> None:
        try:
            write_json(self._head, {"length": self.view.length, "last": self.view.last})
        except OSError as why:
            log.warning("%s cannot be written: %s", self._head.name, why)


def _read(path: Path, head: Path) -> View:
    """The view of a chain. Raises Tampered when the chain does not contain what the head knew."""
    try:
        known = read_json(head)
        length, last = int(known["length"]), str(known["last"])
    except FileNotFoundError:
        length, last = 0, GENESIS
    except (ValueError, KeyError, TypeError) as why:
        raise Tampered(f"{head.name} cannot be read: {why}") from why
    view, digest = View(), GENESIS
    for entry in entries(path):
        digest = link(digest, entry)
        try:
            view.apply(entry, digest)
        except (KeyError, ValueError, TypeError) as why:
            raise Tampered(f"{path.name} line {view.length + 1} is no entry of the register: {why}") from why
        if view.length == length and digest != last:
            raise Tampered(f"{path.name} line {length} is not the entry that was written there")
    if view.length < length:
        raise Tampered(f"{path.name} ends after {view.length} entries: {length} were written")
    return view
