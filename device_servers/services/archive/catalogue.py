"""The closed segments of an archive: how open ones become closed, and what a start finds and mends."""

import logging
from pathlib import Path

from device_servers.services.archive.closed import (
    Listed,
    list_again,
    load_closed,
    read_manifest,
    write_closed,
    write_manifest,
)
from device_servers.services.archive.layout import CLOSED_PREFIX, DAMAGED_PREFIX, OPEN_PREFIX, Content
from device_servers.services.archive.segment import load_open

log = logging.getLogger(__name__)


class Catalogue:
    """Keeps the manifest. Only the process that holds the archive's lock has one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        """Segments found unreadable at the start, set aside."""
        self._listed: list[Listed] = []

    def recover(self) -> Content | None:
        """Close what a killed process left open and mend the manifest; the newest segment's content.

        Raises OSError when the disk does not take it.
        """
        for leftover in self.folder.glob(".*.new"):
            leftover.unlink()
        self._listed = self._read_list()
        for path in self._open_paths():
            content = self._content(path)
            if content is not None:
                self._close(path, content)
        newest = max(self._listed, key=lambda listed: listed.opened, default=None)
        return None if newest is None else load_closed(self.folder / newest.file)

    def close_all(self, but: Path) -> None:
        """Close every open segment except one; what fails (disk full) is tried again the next time."""
        for path in self._open_paths():
            if path != but:
                try:
                    self._close(path, load_open(path))
                except (OSError, KeyError, RuntimeError):
                    log.exception("segment %s stays open for now", path.name)

    def _open_paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"{OPEN_PREFIX}*.h5"))

    def _content(self, path: Path) -> Content | None:
        """What an open segment holds; one that cannot be read is set aside."""
        try:
            return load_open(path)
        except (OSError, KeyError, RuntimeError) as why:
            log.error("segment %s is unreadable and set aside: %s", path.name, why)
            path.replace(path.with_name(DAMAGED_PREFIX + path.name))
            self.damaged += 1
            return None

    def _close(self, path: Path, content: Content) -> None:
        """The closed file is whole and listed before the open one goes."""
        if not content.empty:
            closed = path.with_name(path.name.replace(OPEN_PREFIX, CLOSED_PREFIX, 1))
            listed = write_closed(closed, content)
            self._listed = [entry for entry in self._listed if entry.file != listed.file] + [listed]
            write_manifest(self.folder, self._listed)
        path.unlink()

    def _read_list(self) -> list[Listed]:
        """The manifest if it names every closed segment, else a new one from the files."""
        files = {path.name for path in self.folder.glob(f"{CLOSED_PREFIX}*.h5")}
        try:
            listed = read_manifest(self.folder)
        except (OSError, ValueError, TypeError, KeyError) as why:
            log.warning("manifest unreadable, made again from the segments: %s", why)
            listed = []
        if {entry.file for entry in listed} == files:
            return listed
        listed = list_again(self.folder)
        write_manifest(self.folder, listed)
        return listed
