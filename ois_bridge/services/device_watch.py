"""The newest reading of the facility's devices, and since when each is in its state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from common.errors import LinkLost
from common.text import _
from ois_bridge.services.ports import DeviceReading, Facility

STALE = timedelta(seconds=30)
"""A reading older than this is shown as unknown, never as good."""


@dataclass(frozen=True)
class Standing:
    """A device and since when it is in its state."""

    reading: DeviceReading
    since: datetime


@dataclass(frozen=True)
class Picture:
    """All devices. connected: it answered last time, within `STALE`; why: what was wrong otherwise."""

    connected: bool
    why: str
    seen: datetime | None
    devices: Sequence[Standing]


class Watch:
    """Filled by a chore, read by pages. `source`: None where no facility is connected."""

    def __init__(self, source: Facility | None = None) -> None:
        self._source = source
        self._lock = Lock()
        self._standing: dict[str, Standing] = {}
        self._seen: datetime | None = None
        self._why = ""

    def take(self, now: datetime) -> bool:
        """Read the facility once; whether anything changed."""
        if self._source is None:
            return False
        try:
            readings = self._source.read()
        except LinkLost as why:
            with self._lock:
                changed, self._why = not self._why, str(why)
            return changed
        with self._lock:
            changed = self._keep(readings, now) or bool(self._why)
            self._seen, self._why = now, ""
        return changed

    def _keep(self, readings: Sequence[DeviceReading], now: datetime) -> bool:
        changed = len(readings) != len(self._standing)
        fresh: dict[str, Standing] = {}
        for reading in readings:
            before = self._standing.get(reading.device)
            same = before is not None and before.reading.state == reading.state
            fresh[reading.device] = Standing(reading, before.since if before and same else now)
            changed = changed or not same
        self._standing = fresh
        return changed

    def archived(self, pattern: str) -> Sequence[str]:
        """Names of archived attributes that match. Raises LinkLost."""
        return self._connected().archived(pattern)

    def history(self, attribute: str, start: float, end: float, points: int) -> Mapping[str, Any]:
        """An attribute over time, as the archiver answers. Raises LinkLost, BadInput."""
        return self._connected().history(attribute, start, end, points)

    def _connected(self) -> Facility:
        if self._source is None:
            raise LinkLost(_("No facility is connected to this OIS."))
        return self._source

    def picture(self, now: datetime) -> Picture:
        """What is known now."""
        if self._source is None:
            return Picture(False, _("No facility is connected to this OIS."), None, ())
        with self._lock:
            seen, why, devices = self._seen, self._why, tuple(self._standing.values())
        if seen is None or why or now - seen > STALE:
            return Picture(False, why or _("The facility has not answered yet."), seen, devices)
        return Picture(True, "", seen, devices)
