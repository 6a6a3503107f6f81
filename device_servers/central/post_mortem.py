"""PostMortem: keeps what the ring buffers of the beam hardware hold around each trip, as HDF5 files.

A file spans `pre_s` before the trip to `post_s` after it. A trip in the first half of the time after
another belongs to that one's file; a later one gets its own. Trips are asked of the hardware, so that one
that came while this server was away is written when it is back, as far as the buffers still hold it.
"""

import logging
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tango import DevState
from tango.server import command

from common.clock import TICKS_PER_SECOND
from common.errors import PtcsError, Refused
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.central.post_mortem_file import SUFFIX, Header, file_name, tick_of, write
from device_servers.channel import derived
from device_servers.drivers.protocols import RingMemory, Trips
from device_servers.parse import json_object, text_field

log = logging.getLogger(__name__)

LOOK_S = 0.5
MOST_FILES = 1000


class Clerk:
    """Decides which trips need a file, and writes it when its time is over. Knows no Tango."""

    def __init__(self, site: str, directory: Path, rings: RingMemory) -> None:
        self._site, self._directory, self._rings = site, directory, rings
        self.files = sorted(path.name for path in directory.glob(f"*{SUFFIX}")) if directory.exists() else []
        self.pending = 0
        self.problem = ""

    def look(self) -> bool:
        """Write what is due; whether anything changed. Raises LinkLost, Refused; OSError is told."""
        trips = self._rings.trips()
        groups = self._groups(trips)
        due = [group for group in groups if trips.tick >= self._end(group[0], trips)]
        before = (len(self.files), self.pending, self.problem)
        try:
            for group in due:
                self._write(group, trips)
            self.problem = ""
        except OSError as why:
            self.problem = _("post-mortem not written: {why}; free disk space").format(why=why)
            log.error("%s", self.problem)
        self.pending = len(self._groups(trips))
        return before != (len(self.files), self.pending, self.problem)

    def path(self, name: str) -> Path:
        """A file of ours. Raises Refused for another name."""
        if name not in self.files:
            raise Refused(_("no post-mortem {name}; see Files").format(name=name))
        return self._directory / name

    def _groups(self, trips: Trips) -> list[list[Mapping[str, Any]]]:
        """Trips without a file, each with those that its file tells as well."""
        half = int(trips.post_s / 2 * trips.factor * TICKS_PER_SECOND)
        written = {tick for name in self.files if (tick := tick_of(name)) is not None}
        known = {**dict.fromkeys(written, None), **{int(one["tick"]): one for one in trips.trips}}
        groups: list[list[Mapping[str, Any]]] = []
        head = -half - 1
        for tick, trip in sorted(known.items()):
            if tick in written:
                head = tick
            elif trip is not None and tick - head > half:
                head = tick
                groups.append([trip])
            elif trip is not None and head not in written:
                groups[-1].append(trip)
        return groups

    def _end(self, trip: Mapping[str, Any], trips: Trips) -> int:
        return int(trip["tick"]) + int(trips.post_s * trips.factor * TICKS_PER_SECOND)

    def _write(self, group: Sequence[Mapping[str, Any]], trips: Trips) -> None:
        first = group[0]
        begin = int(first["tick"]) - int(trips.pre_s * trips.factor * TICKS_PER_SECOND)
        end = self._end(first, trips)
        told = [*group, *(one for one in trips.trips if group[-1]["tick"] < one["tick"] <= end)]
        name = file_name(first)
        span = self._rings.span(max(begin, 0), end)
        write(self._directory / name, Header(self._site, trips.factor, told), span)
        self.files = sorted([*self.files, name])
        log.warning("post-mortem %s written", name)


class PostMortem(PtcsDevice):
    """Post-mortems of trips."""

    def init_device(self) -> None:
        """Begin to look for trips."""
        super().init_device()
        self._clerk = Clerk(self.context.site.name, self.context.state / "postmortem", self.driver)
        self._end = threading.Event()
        self._wake = threading.Event()
        self.driver.on_trip(self._wake.set)
        threading.Thread(target=self._watch, name="post-mortem", daemon=True).start()

    def delete_device(self) -> None:
        """Stop looking; what is due is written by the next run."""
        self._end.set()
        super().delete_device()

    @derived(dtype=str)
    def LastFile(self) -> str:
        """Name of the latest post-mortem; empty for none."""
        return self._clerk.files[-1] if self._clerk.files else ""

    @derived(dtype=int)
    def Count(self) -> int:
        """How many post-mortems there are."""
        return len(self._clerk.files)

    @derived(dtype=int)
    def Pending(self) -> int:
        """Trips whose time after them is not over yet."""
        return self._clerk.pending

    @derived(dtype=(str,), max_dim_x=MOST_FILES)
    def Files(self) -> list[str]:
        """Names of the latest post-mortems, the oldest first."""
        return self._clerk.files[-MOST_FILES:]

    @command(dtype_in=str, doc_in="why")
    def Capture(self, cause: str) -> None:
        """Make a post-mortem of this moment, as if it were a trip."""
        if not cause.strip():
            raise Refused(_("a reason is missing: say why this moment is kept"))
        self.driver.mark(cause.strip())
        self._wake.set()

    @command(dtype_in=str, doc_in='JSON {"file": name, "path": new file on the server}')
    def Export(self, text: str) -> None:
        """Copy a post-mortem to another place; an existing file is never replaced."""
        values = json_object(text)
        source, target = self._clerk.path(text_field(values, "file")), Path(text_field(values, "path"))
        if not target.is_absolute() or target.exists() or not target.parent.is_dir():
            raise Refused(_("{path}: a new file in an existing folder is needed").format(path=target))
        try:
            shutil.copyfile(source, target)
        except OSError as why:
            raise Refused(_("not copied: {why}").format(why=why)) from why

    def _watch(self) -> None:
        while not self._end.is_set():
            self._wake.wait(LOOK_S)
            self._wake.clear()
            try:
                if self._clerk.look():
                    self.refresh()
            except PtcsError as why:
                log.debug("post-mortem waits: %s", why)
            except Exception:  # border of the thread: a defect must not end the watch
                log.exception("post-mortem failed")
            self._end.wait(LOOK_S / 5)

    def _state(self) -> tuple[DevState, str]:
        if self._clerk.problem:
            return DevState.ALARM, self._clerk.problem
        if self._clerk.pending:
            return DevState.RUNNING, _("a trip is being recorded")
        return DevState.ON, _("{count} post-mortems").format(count=len(self._clerk.files))
