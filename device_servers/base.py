"""Base class of every PTCS device: state, refusals, authority, jobs, and values from a driver.

A device class declares its attributes with `channel` and `derived` (channel.py), its commands with
tango's own `command`, and computes State in `_state`. Every command and every write is guarded
unless marked `@rule(read=True)`: a session, a role with the right for the device's area, and a
line in the audit log. The thread of the server's Crate is the only one that pushes.
"""

import math
import time
from typing import Any, ClassVar

import numpy as np
from tango import AttrQuality, DevState
from tango.server import command

from common.errors import Refused
from common.site import Device as SiteDevice
from common.text import _
from device_servers.access import GuardedDevice, Rule, refuse, rule
from device_servers.channel import channel, derived
from device_servers.context import current
from device_servers.jobs import Jobs, Work

__all__ = ["JobDevice", "PtcsDevice", "channel", "derived", "refuse", "rule"]


class PtcsDevice(GuardedDevice):
    """A device of the site. Subclasses override `_state`; those without hardware need no driver."""

    eager: ClassVar[bool] = False
    """Whether State and computed attributes are looked at in every I/O cycle, not only after `refresh`."""
    channels: ClassVar[dict[str, channel]] = {}
    computed: ClassVar[dict[str, derived]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Collect the attributes that push themselves."""
        super().__init_subclass__(**options)
        members = {name: getattr(cls, name, None) for name in dir(cls)}
        cls.channels = {name: member for name, member in members.items() if isinstance(member, channel)}
        cls.computed = {name: member for name, member in members.items() if isinstance(member, derived)}

    def init_device(self) -> None:
        """Find the site's entry and the driver of this device."""
        super().init_device()
        self.context = current()
        self.site = self._site_device()
        self.driver: Any = self.context.driver_for(self.site)
        self.stale = True
        self.jobs = Jobs(self.site.name, self.refresh)
        self._last_state: tuple[DevState, str] | None = None
        self._last_values: dict[str, Any] = {}
        self._index = {} if self.driver is None else {q: i for i, q in enumerate(self.driver.quantities)}
        for name in ("State", "Status", *self.channels, *self.computed):
            self.set_change_event(name, True, False)
        if self.driver is not None:
            self.driver.listen(self.context.wake.set)
        self.context.devices[self.site.name] = self
        self.set_state(DevState.INIT)

    def delete_device(self) -> None:
        """End the jobs. A client that asks for it (Init) must be allowed to write here."""
        ident = self.get_client_ident()
        if ident is not None and not str(ident.client_ip).startswith("collocated"):
            self.guarded("Init", Rule(), lambda: None, ())
        self.jobs.close()
        self.context.devices.pop(self.site.name, None)
        super().delete_device()

    def _site_device(self) -> SiteDevice:
        return self.context.site.device(self.get_name().lower())

    # --- State

    def _state(self) -> tuple[DevState, str]:
        """State and its reason, from driver and intent, while the link is up. Must not block."""
        return DevState.ON, _("in operation")

    def state_now(self) -> tuple[DevState, str]:
        """State and Status: UNKNOWN without a link, ALARM outside the alarm limits, else `_state`."""
        if self.driver is not None and not self.driver.up:
            return DevState.UNKNOWN, _("no link to the hardware; values are unknown")
        state, text = self._state()
        if not self.site.alarms or state in (DevState.FAULT, DevState.UNKNOWN):
            return state, text
        alarms = [
            name for name, shown in self.channels.items() if self.shown(shown)[2] == AttrQuality.ATTR_ALARM
        ]
        if alarms:
            return DevState.ALARM, _("{names} outside alarm limits").format(names=", ".join(alarms))
        return state, text

    def dev_state(self) -> DevState:
        """What a client reads as State."""
        return self.state_now()[0]

    def dev_status(self) -> str:
        """What a client reads as Status."""
        return self.state_now()[1]

    # --- Values

    def reading(self, quantity: str) -> tuple[float, float]:
        """The latest value of a driver quantity and its time in s since the epoch (NaN: unknown)."""
        if self.driver is None:
            return math.nan, time.time()
        snapshot = self.driver.read()
        return float(snapshot.values[self._index[quantity]]), snapshot.wall_ns / 1e9

    def value(self, quantity: str) -> float:
        """The latest value of a driver quantity; NaN when unknown."""
        return self.reading(quantity)[0]

    def shown(self, shape: channel) -> tuple[Any, float, AttrQuality]:
        """Value, time and quality of a channel attribute."""
        value, when = self.reading(shape.quantity)
        if not math.isfinite(value):
            return shape.empty, when or time.time(), AttrQuality.ATTR_INVALID
        return shape.shown(value), when, self._quality(shape.quantity, value)

    def _quality(self, quantity: str, value: float) -> AttrQuality:
        levels = self.site.alarms.get(quantity)
        if levels is None or levels[1] <= value <= levels[2]:
            return AttrQuality.ATTR_VALID
        return AttrQuality.ATTR_WARNING if levels[0] <= value <= levels[3] else AttrQuality.ATTR_ALARM

    def check_limits(self, limit: str, value: float, unit: str = "") -> None:
        """Raise Refused unless a value is finite and within the site's limits of that name."""
        low, high = self.site.limits.get(limit, (-math.inf, math.inf))
        if not (math.isfinite(value) and low <= value <= high):
            text = _("{limit} {value:g} {unit}: allowed are {low:g} .. {high:g} {unit}")
            raise Refused(text.format(limit=limit, value=value, unit=unit, low=low, high=high))

    # --- Pushing: `refresh` asks for it, the Crate's thread does it

    def refresh(self) -> None:
        """Something may have changed: have it pushed soon. Any thread."""
        self.stale = True
        self.context.wake.set()

    def push_changes(self) -> None:
        """Push State, Status and computed attributes that changed. The Crate's thread only."""
        now = self.state_now()
        last = self._last_state
        self.set_state(now[0])  # what Tango sends with a State event
        self.set_status(now[1])
        if last is None or last[0] != now[0]:
            self.push_change_event("State", now[0])
        if last is None or last[1] != now[1]:
            self.push_change_event("Status", now[1])
        self._last_state = now
        for name, shape in self.computed.items():
            value, when, quality = shape.fget(self)
            before = self._last_values.get(name)
            if before is None or before[1] != quality or not np.array_equal(before[0], value):
                self.push_change_event(name, value, when, quality)
                self._last_values[name] = (value, quality)

    def push_channel(self, name: str) -> None:
        """Push the present value of a channel attribute. The Crate's thread only."""
        value, when, quality = self.shown(self.channels[name])
        self.push_change_event(name, value, when, quality)

    # --- Jobs

    def start_job(self, work: Work) -> str:
        """Queue long work on this device's worker thread; the job id to return to the client."""
        return self.jobs.submit(work)


class JobDevice(PtcsDevice):
    """A device with commands that take time."""

    @rule(read=True)
    @command(dtype_in=str, doc_in="job id", dtype_out=str, doc_out='JSON {"state", "error"}')
    def JobStatus(self, number: str) -> str:
        """Where a job stands: QUEUED, RUNNING, DONE or FAILED (with its error)."""
        return self.jobs.status(number)
