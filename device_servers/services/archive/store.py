"""The archive of one facility on disk: the open segment, its roll-over, and recovery after a crash.

One thread writes. The clock is an argument: seconds since the epoch.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, Refused
from common.text import _
from device_servers.services.archive.catalogue import Catalogue
from device_servers.services.archive.latest import Latest
from device_servers.services.archive.layout import (
    CLOSED_PREFIX,
    OPEN_PREFIX,
    VALUE,
    Floats,
    Limits,
    Rows,
)
from device_servers.services.archive.segment import OpenSegment


class Store:
    """Writes values and spots into segments. `close` it, or let the next Store recover.

    on_full: called with the path of a segment that is full or old, instead of closing it at once.
    Raises Refused if another process writes this archive, and OSError (disk full): what was not
    written then is to be written again, what was written is safe.
    """

    def __init__(
        self,
        folder: Path,
        now: float,
        limits: Limits | None = None,
        on_full: Callable[[Path], None] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.limits = limits or Limits()
        self._now = now
        self._on_full = on_full
        self._lock = _lock(folder)
        self._latest = Latest()
        try:
            self._catalogue = Catalogue(folder)
            newest = self._catalogue.recover(now)
            if newest is not None:
                self._latest.take_up(newest)
            self._segment = self._open(now)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def damaged(self) -> int:
        """Segments found unreadable at the start, set aside."""
        return self._catalogue.damaged

    @property
    def segment_name(self) -> str:
        """File name of the open segment."""
        return self._segment.path.name

    def channels(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Numbers of channels by name; new names get new numbers. Raises BadInput for too many."""
        fresh = self._latest.missing(names)
        if fresh:
            self._segment.add_channels(self._latest.rows_for(fresh))
            self._latest.add(fresh)
        return self._latest.numbers(names)

    def write(self, times: Floats, channels: NDArray[np.int32], values: Floats) -> int:
        """Append samples; the number written.

        A sample without a time, or equal to the last one of its channel, is no news and is left out.
        Raises BadInput for more than a segment holds, and OSError; nothing is written then.
        """
        rows = np.empty(len(times), VALUE)
        rows["time"], rows["channel"], rows["value"] = times, channels, values
        rows = rows[self._latest.news(rows)]
        if len(rows):
            self._make_room(values=len(rows))
            self._segment.append(rows)
            self._latest.note(rows)
        return len(rows)

    def write_spots(self, spots: Floats) -> int:
        """Append spots, rows of 10; the number written. A spot seen before is left out.

        Raises as `write` does.
        """
        fresh = self._latest.fresh_spots(spots)
        if len(fresh):
            self._make_room(spots=len(fresh))
            self._segment.append_spots(fresh)
            self._latest.note_spots(fresh)
        return len(fresh)

    def write_texts(self, texts: Rows) -> int:
        """Append texts (dtype TEXT); the number written. One like the last of its name is left out.

        Raises as `write` does.
        """
        fresh = self._latest.fresh_texts(texts)
        if len(fresh):
            self._make_room(texts=len(fresh))
            self._segment.append_texts(fresh)
            self._latest.note_texts(fresh)
        return len(fresh)

    def commit(self, now: float) -> None:
        """Make everything written durable; begin a new segment when this one is old or full."""
        self._now = now
        self._segment.commit()
        age = now - self._segment.opened
        # A clock that was set back makes the age negative: the segment then ends too.
        if not 0 <= age < self.limits.seconds or not self._segment.room_for(1, 1, 1):
            self._roll_over(now)

    def close(self) -> None:
        """Commit and let go. The open segment stays as it is; the next Store closes it."""
        try:
            self._segment.commit()
        finally:
            self._segment.close()
            os.close(self._lock)

    def _make_room(self, values: int = 0, spots: int = 0, texts: int = 0) -> None:
        asked, most = (values, spots, texts), (self.limits.values, self.limits.spots, self.limits.texts)
        if any(some > all_ for some, all_ in zip(asked, most, strict=True)):
            raise BadInput(f"{asked} values, spots, texts at once: allowed are {most}")
        if not self._segment.room_for(values, spots, texts):
            self._roll_over(self._now)

    def _roll_over(self, now: float) -> None:
        """Open the next segment first: if that fails, nothing has changed."""
        self._segment.commit()
        old, self._segment = self._segment, self._open(now)
        old.close()
        if self._on_full is None:
            self._catalogue.close_all(but=self._segment.path)
        else:
            self._on_full(old.path)

    def _open(self, now: float) -> OpenSegment:
        segment = OpenSegment(self._new_path(now), now, self.limits)
        segment.add_channels(self._latest.rows())
        segment.append_texts(self._latest.texts())
        segment.commit()
        return segment

    def _new_path(self, now: float) -> Path:
        stem = datetime.fromtimestamp(now, tz=UTC).strftime("%Y%m%dT%H%M%S.%f")
        number, path = 1, self.folder / f"{OPEN_PREFIX}{stem}.h5"
        while path.exists() or (self.folder / path.name.replace(OPEN_PREFIX, CLOSED_PREFIX, 1)).exists():
            number += 1
            path = self.folder / f"{OPEN_PREFIX}{stem}-{number}.h5"
        return path


def _lock(folder: Path) -> int:
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        os.close(handle)
        raise Refused(
            _("the archive {folder} is written by another process; stop that one first").format(folder=folder)
        ) from why
    return handle
