"""The closed segments of an archive: how open ones become closed, and what a start finds and mends."""

import logging
from collections.abc import Iterable
from pathlib import Path

from device_servers.services.archive.closed import load_tail, write_closed
from device_servers.services.archive.layout import CLOSED_PREFIX, OPEN_PREFIX, Content
from device_servers.services.archive.manifest import files_locked, read_manifest, write_manifest
from device_servers.services.archive.reconcile import UNREADABLE, reconcile, set_aside, upgrade
from device_servers.services.archive.segment import load_open

log = logging.getLogger(__name__)


class Catalogue:
    """Closes segments. Only the process that holds the archive's lock, and what it starts, has one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        """Open segments found unreadable at the start, set aside."""

    def recover(self, now: float) -> Content | None:
        """Close what a killed process left open and mend the manifest; where the newest file ends.

        Raises OSError when the disk does not take it.
        """
        with files_locked(self.folder):
            upgrade(self.folder, reconcile(self.folder))
            for path in self._open_paths():
                content = self._content(path)
                if content is not None:
                    close_segment(path, content)
            listed = read_manifest(self.folder).segments
            # one of a clock that was ahead tells nothing about now
            past = [entry for entry in listed if entry.opened <= now] or listed
            newest = max(past, key=lambda entry: (entry.opened, entry.end), default=None)
            return None if newest is None else load_tail(self.folder / newest.file)

    def close_all(self, but: Path) -> None:
        """Close every open segment except one; what fails (disk full) is tried again the next time."""
        self.close(path for path in self._open_paths() if path != but)

    def close(self, paths: Iterable[Path]) -> bool:
        """Close some open segments; whether all are. What fails (disk full) stays open for now."""
        done = True
        with files_locked(self.folder):
            for path in paths:
                try:
                    close_segment(path, load_open(path))
                except UNREADABLE:
                    log.exception("segment %s stays open for now", path.name)
                    done = False
        return done

    def _open_paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"{OPEN_PREFIX}*.h5"))

    def _content(self, path: Path) -> Content | None:
        """What an open segment holds; one that cannot be read is set aside."""
        try:
            return load_open(path)
        except UNREADABLE as why:
            set_aside(path, why)
            self.damaged += 1
            return None


def close_segment(path: Path, content: Content) -> None:
    """Close one segment: the closed file is whole and listed before the open one goes. Raises OSError."""
    if not content.empty:
        closed = path.with_name(path.name.replace(OPEN_PREFIX, CLOSED_PREFIX, 1))
        listed = write_closed(closed, content)
        write_manifest(path.parent, read_manifest(path.parent).with_segments([listed]))
    path.unlink()
