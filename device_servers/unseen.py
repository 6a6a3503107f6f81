"""Writes that Tango refuses before any code of a device runs: found afterwards, and recorded.

Tango itself compares a write with an attribute's minimum and maximum, its enum labels and its type. Of a
call it tells a device only that one begins (`always_executed_hook`); reads, commands and accepted writes
then reach the device, a refused write does not. So each call is noted when it begins and forgotten when
it reaches the device. What is left over is looked up in Tango's black box, which holds the last calls of
a device with attributes and client, but no values.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import tango

from common.text import _
from device_servers.callers import Client
from device_servers.guard import Guard

log = logging.getLogger(__name__)

SETTLED_S = 0.2
"""A call that has not reached its device within this never will: nothing of it waits in between."""
LATE_S, ROUND_S = 2.0, 0.02
"""A call begins here so much later at most than the black box, which has hundredths of a second, says: it
waits for the computer, and for others on the same device.
"""
DEPTH = 50
"""Calls of one device that a black box holds (Tango's default)."""
OFTEN = 10
"""Calls after which a device's black box is read at once, before it forgets the first: four lines a call."""
LINE = re.compile(
    r"^(?P<time>\d\d/\d\d/\d{4} \d\d:\d\d:\d\d:\d{1,2}) : Operation (?P<what>\w+)"
    r"(?: \((?P<names>[^)]*)\))? requested from (?P<host>\S+)"
    r"(?: \((?P<kind>[^)]*?) with PID (?P<pid>\d+)\))?"
)


@dataclass
class Call:
    """A call under way: when it began (s since the epoch), and the attributes whose write has reached us."""

    began: float
    reached: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Written:
    """A write in a black box."""

    at: float
    names: tuple[str, ...]
    host: str
    pid: int


class Unseen:
    """Calls that have begun on the devices of one server. `begin` and `forget` run in the calls' threads."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._open: dict[str, Call] = {}
        self._left: dict[str, list[Call]] = {}
        self._since: dict[str, int] = {}
        """Calls on a device since it had one left over."""
        self._paired: dict[str, tuple[float, int]] = {}
        """Time of the last write that was paired on a device, and how many of that time were."""
        self._settling: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, device: str) -> bool:
        """A call on a device begins; the one before it has ended. Whether to look into its black box now."""
        before = self._open.pop(device, None)
        if before is not None:
            self._leave(device, before)
        self._open[device] = Call(time.time())
        if device not in self._left:
            return False
        self._since[device] = self._since.get(device, 0) + 1
        return self._since[device] >= OFTEN

    def forget(self, device: str) -> None:
        """The call under way is no write."""
        self._open.pop(device, None)

    def reached(self, device: str, attribute: str) -> None:
        """The call under way is a write, and this attribute of it has reached the device."""
        if (call := self._open.get(device)) is not None:
            call.reached.add(attribute.lower())

    def settle(self, devices: Mapping[str, Any]) -> None:
        """Record in the audit log every write that has not reached its device. The Crate's thread only."""
        limit = time.time() - SETTLED_S
        for name, call in list(self._open.items()):
            if call.began < limit and self._open.pop(name, None) is call:
                self._leave(name, call)
        for name, calls in list(self._left.items()):
            if (device := devices.get(name)) is not None and calls[-1].began < limit:
                self.settle_one(device)

    def settle_one(self, device: Any) -> None:
        """As `settle`, for the calls on one device that have ended. Any thread.

        No lock is held while Tango is asked: who waits for it may hold the device.
        """
        name = device.site.name
        with self._lock:
            if name in self._settling:
                return
            self._settling.add(name)
            calls = self._left.pop(name, [])
            self._since.pop(name, None)
        try:
            lines = tango.DeviceProxy(device.get_name()).black_box(DEPTH)
            writes = fresh(list(box(lines)), self._paired.get(name))
            for written, call in refused(calls, writes, _oldest(lines)):
                if written is not None:
                    at, count = self._paired.get(name, (0.0, 0))
                    self._paired[name] = (written.at, count + 1 if written.at == at else 1)
                self._record(device, written, call)
        except tango.DevFailed as why:
            log.warning("black box of %s: %s", name, why.args[0].desc)
        finally:
            self._settling.discard(name)

    def _leave(self, device: str, call: Call) -> None:
        with self._lock:
            self._left.setdefault(device, []).append(call)

    def _record(self, device: Any, written: Written | None, call: Call) -> None:
        name, record = device.site.name, self._guard.record
        if written is None:
            record(
                Client("", 0), name, "?", "", _("refused by Tango; who asked for what is not known any more")
            )
            return
        client, session = self._guard.known(written.host, written.pid, call.began)
        for attribute in written.names:
            if attribute.lower() not in call.reached:
                record(client, name, attribute, "", why_refused(device, attribute), session=session)


def box(lines: Sequence[str]) -> Iterator[Written]:
    """Writes of other processes in a black box (newest first), oldest first."""
    for line in reversed(lines):
        found = LINE.match(line)
        if found is None or found["pid"] is None or not found["what"].startswith("write"):
            continue
        names = tuple(name.strip() for name in (found["names"] or "").split(",") if name.strip())
        yield Written(_time(found["time"]), names, found["host"], int(found["pid"]))


def fresh(writes: Sequence[Written], paired: tuple[float, int] | None) -> list[Written]:
    """The writes, oldest first, after those paired already: up to `paired` time, and so many of that time."""
    if paired is None:
        return list(writes)
    at, count = paired
    same = [write for write in writes if write.at == at]
    return [*same[count:], *(write for write in writes if write.at > at)]


def refused(
    calls: Sequence[Call], writes: Sequence[Written], oldest: float
) -> Iterator[tuple[Written | None, Call]]:
    """The write of each call that is one, with the call.

    Both are in the order in which Tango served them. None: one call or more from before `oldest`, the first
    time that the black box still knows.
    """
    left: list[Written] = list(writes)
    lost: Call | None = None
    for call in calls:
        near = [w for w in left if -ROUND_S < call.began - w.at < LATE_S]
        match = next((w for w in near if call.reached <= {name.lower() for name in w.names}), None)
        if match is not None:
            del left[: left.index(match) + 1]
            yield match, call
        elif call.began < oldest and not call.reached:
            lost = call
    if lost is not None:
        yield None, lost


def why_refused(device: Any, attribute: str) -> str:
    """What Tango asks of a value of an attribute."""
    try:
        shown = device.get_device_attr().get_attr_by_name(attribute)
    except tango.DevFailed:
        return _("refused by Tango: there is no such attribute")
    if shown.get_writable() == tango.AttrWriteType.READ:
        return _("refused by Tango: this attribute cannot be written")
    wanted = shown.get_properties()
    if wanted.min_value[:1].isalpha() and wanted.max_value[:1].isalpha():
        return _("refused by Tango: the value has not the type, or is none of the labels")
    return _("refused by Tango: allowed are {low} .. {high} (value not told)").format(
        low=wanted.min_value, high=wanted.max_value
    )


def _oldest(lines: Sequence[str]) -> float:
    """Time of the first call that a full black box still has; 0 for one that has lost none."""
    found = LINE.match(lines[-1]) if len(lines) >= DEPTH else None
    return _time(found["time"]) if found else 0.0


def _time(text: str) -> float:
    """Local time `dd/mm/yyyy hh:mm:ss:cc` in s since the epoch; cc: hundredths of a second."""
    whole, _colon, hundredths = text.rpartition(":")
    return datetime.strptime(whole, "%d/%m/%Y %H:%M:%S").timestamp() + int(hundredths) / 100
