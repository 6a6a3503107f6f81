"""The facility's devices, read over Tango: the only place of the OIS that knows it."""

import json
import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from common.errors import BadInput, LinkLost
from common.site import Device, Site
from common.state import StateDir
from common.text import _
from ois_bridge.services.ports import DeviceReading

log = logging.getLogger(__name__)

PATIENCE_MS = 500
ARCHIVE_PATIENCE_MS = 10_000
BUDGET_S = 3.0
"""Longest time of one round: the other chores of the OIS wait for it."""
TROUBLED = frozenset({"FAULT", "ALARM", "UNKNOWN", "DISABLE"})


class TangoFacility:
    """Reads State, and Status of devices in trouble. A facility that starts later, or again, is found."""

    def __init__(self, state: StateDir, site: Site) -> None:
        self._state = state
        self._devices = list(site.devices)
        self._host = ""
        self._proxies: dict[str, Any] = {}
        self._next = 0
        self._archive = TangoArchive(state, next(iter(site.of_class("Archiver")), None))

    def read(self) -> Sequence[DeviceReading]:
        """All devices of the site; one that does not answer has no state.

        Raises LinkLost when no facility runs in the state directory, or none of its devices answers.
        """
        host = _host(self._state)
        if host != self._host:
            self._host, self._proxies = host, {}
        ends = monotonic() + BUDGET_S
        found = {device.name: self._one(device, ends) for device in self._in_turn()}
        if not any(reading.state for reading in found.values()):
            raise LinkLost(_("No device of the facility answers."))
        return [found[device.name] for device in self._devices]

    def archived(self, pattern: str) -> Sequence[str]:
        """Names of archived attributes that match. Raises LinkLost."""
        return self._archive.archived(pattern)

    def history(self, attribute: str, start: float, end: float, points: int) -> Mapping[str, Any]:
        """An attribute over time, as the archiver answers. Raises LinkLost, BadInput."""
        return self._archive.history(attribute, start, end, points)

    def _in_turn(self) -> list[Device]:
        """All devices, from another one each time: a short round leaves out different ones."""
        self._next = (self._next + 1) % max(1, len(self._devices))
        return self._devices[self._next :] + self._devices[: self._next]

    def _one(self, device: Device, ends: float) -> DeviceReading:
        # importing it takes a second, and an OIS without a facility never needs it
        import tango  # noqa: PLC0415

        state, text = "", ""
        if monotonic() < ends:
            try:
                proxy = self._proxy(device.name)
                state = str(proxy.state())
                text = str(proxy.status())[:300] if state in TROUBLED else ""
            except (tango.DevFailed, AttributeError) as why:
                self._proxies.pop(device.name, None)
                log.debug("%s does not answer: %s", device.name, type(why).__name__)
        return DeviceReading(device.name, device.tango_class, device.room, state, text)

    def _proxy(self, name: str) -> Any:
        import tango  # noqa: PLC0415

        if name not in self._proxies:
            proxy = tango.DeviceProxy(f"tango://{self._host}/{name}")
            proxy.set_timeout_millis(PATIENCE_MS)
            self._proxies[name] = proxy
        return self._proxies[name]


class TangoArchive:
    """What the machine's archiver answers. Any thread; each call waits for its answer."""

    def __init__(self, state: StateDir, device: Device | None) -> None:
        self._state = state
        self._device = device

    def archived(self, pattern: str) -> Sequence[str]:
        """Names of archived attributes that match. Raises LinkLost."""
        return [str(name) for name in self._ask("Names", pattern)]

    def history(self, attribute: str, start: float, end: float, points: int) -> Mapping[str, Any]:
        """An attribute over time. Raises LinkLost, BadInput."""
        wish = {"attribute": attribute, "start": start, "end": end, "points": points}
        return dict(json.loads(self._ask("Query", json.dumps(wish))))

    def _ask(self, command: str, argument: str) -> Any:
        if self._device is None:
            raise LinkLost(_("This facility has no archiver."))
        host = _host(self._state)
        import tango  # noqa: PLC0415

        try:
            # a thread of the web server is none of omniORB's own
            with tango.EnsureOmniThread():
                proxy = tango.DeviceProxy(f"tango://{host}/{self._device.name}")
                proxy.set_timeout_millis(ARCHIVE_PATIENCE_MS)
                return proxy.command_inout(command, argument)
        except tango.DevFailed as why:
            first = why.args[0]
            if first.reason == "Refused":
                raise BadInput(str(first.desc)) from why
            raise LinkLost(_("The archiver does not answer; try again later.")) from why


def _host(state: StateDir) -> str:
    """The Tango database of the facility. Raises LinkLost."""
    try:
        database = state.endpoint("database")
    except LinkLost as why:
        raise LinkLost(_("No facility runs beside this OIS.")) from why
    return f"{database.get('host', '127.0.0.1')}:{database['port']}"
