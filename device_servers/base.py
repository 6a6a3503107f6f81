"""Base class of every PTCS device: state, refusals, authority, jobs, and values from a driver.

A device class declares its attributes with `channel` and `derived` (channel.py), its commands with
tango's own `command`, and computes State in `_state`. Every command and every write is guarded
unless marked `@rule(read=True)`: a session, a role with the right for the device's area, and a
line in the audit log. The thread of the server's Crate is the only one that pushes.
"""

from typing import Any, ClassVar

from tango import AttrQuality, DevState
from tango.server import command

from common.site import Device as SiteDevice
from common.text import _
from device_servers.access import refuse, rule
from device_servers.attribute_config import configure
from device_servers.channel import channel, derived
from device_servers.context import current
from device_servers.jobs import Jobs, Work
from device_servers.modes import Health
from device_servers.values import MeasuringDevice

__all__ = ["JobDevice", "PtcsDevice", "channel", "derived", "refuse", "rule"]


class PtcsDevice(MeasuringDevice):
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
        self.driver = self.context.driver_for(self.site)
        self.stale = True
        self.jobs = Jobs(self.site.name, self.refresh)
        self._last: tuple[DevState, str, Health] | None = None
        self._last_values: dict[str, Any] = {}
        self._last_admin: int | None = None
        self._index = {} if self.driver is None else {q: i for i, q in enumerate(self.driver.quantities)}
        self._alarmed = [name for name, shown in self.channels.items() if shown.quantity in self.site.alarms]
        self._attributes: dict[str, Any] = {}
        for name in ("State", "Status", "AdminMode", "HealthState", *self.channels, *self.computed):
            self.set_change_event(name, True, False)
            self._attributes[name] = self.get_device_attr().get_attr_by_name(name)
        for name, shown in self.channels.items():
            configure(self._attributes[name], shown, self.site)
        if self.driver is not None:
            self.driver.listen(self.context.wake.set)
        self.context.devices[self.site.name] = self
        self.set_state(DevState.INIT)

    def delete_device(self) -> None:
        """End the jobs."""
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
        if not self._alarmed or state in (DevState.FAULT, DevState.UNKNOWN):
            return state, text
        alarms = [
            name for name in self._alarmed if self.shown(self.channels[name])[2] == AttrQuality.ATTR_ALARM
        ]
        if alarms:
            return DevState.ALARM, _("{names} outside alarm limits").format(names=", ".join(alarms))
        return state, text

    def dev_state(self) -> DevState:
        """What a client reads as State."""
        self.context.unseen.forget(self.site.name)
        return self.state_now()[0]

    def dev_status(self) -> str:
        """What a client reads as Status."""
        self.context.unseen.forget(self.site.name)
        return self.state_now()[1]

    # --- Pushing: `refresh` asks for it, the Crate's thread does it

    def refresh(self) -> None:
        """Something may have changed: have it pushed soon. Any thread."""
        self.stale = True
        self.context.wake.set()

    def heard(self, name: str) -> bool:
        """Whether a client has subscribed to an attribute (its first event is a read: it misses none)."""
        return bool(self._attributes[name].change_event_subscribed())

    @property
    def standing(self) -> tuple[str, str, str, str]:
        """Names of State, HealthState and AdminMode, and Status, as of the last look."""
        state, text, health = self._last or (DevState.INIT, "", Health.UNKNOWN)
        return str(state), health.name, self.admin.name, text

    def push_changes(self) -> None:
        """Push State, Status and what else changed beside channels. The Crate's thread only."""
        state, text = self.state_now()
        now = (state, text, self.health_of(state))
        before = self._last or (None, None, None)
        if before[0] != state:
            self.set_state(state)  # what Tango sends with a State event
            for name in self.context.followers.get(self.site.name, ()):
                if (follower := self.context.devices.get(name)) is not None:
                    follower.refresh()
        if before[1] != text:
            self.set_status(text)
        for name, old, new in zip(("State", "Status", "HealthState"), before, now, strict=True):
            if old != new and self.heard(name):
                self.push_change_event(name, new)
        if (admin := self.admin) != self._last_admin:
            self.push_change_event("AdminMode", admin)
            self._last_admin = admin
        self._last = now
        self._push_computed()

    def _push_computed(self) -> None:
        for name, shape in self.computed.items():
            if not self.heard(name):
                self._last_values.pop(name, None)
                continue
            value, when, quality = shape.fget(self)
            before = self._last_values.get(name)
            if before is None or before[1] != quality or not shape.same(before[0], value):
                self.push_change_event(name, value, when, quality)
                self._last_values[name] = (value, quality)

    def push_channel(self, name: str) -> None:
        """Push the present value of a channel attribute to its clients. The Crate's thread only."""
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
