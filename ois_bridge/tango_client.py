"""The facility's devices, read over Tango: the only place of the OIS that knows it."""

import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any

from common.errors import LinkLost
from common.site import Device, Site
from common.state import StateDir
from common.text import _
from ois_bridge.services.ports import DeviceReading

log = logging.getLogger(__name__)

PATIENCE_MS = 500
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

    def read(self) -> Sequence[DeviceReading]:
        """All devices of the site; one that does not answer has no state.

        Raises LinkLost when no facility runs in the state directory, or none of its devices answers.
        """
        try:
            database = self._state.endpoint("database")
        except LinkLost as why:
            raise LinkLost(_("No facility runs beside this OIS.")) from why
        host = f"{database.get('host', '127.0.0.1')}:{database['port']}"
        if host != self._host:
            self._host, self._proxies = host, {}
        ends = monotonic() + BUDGET_S
        found = {device.name: self._one(device, ends) for device in self._in_turn()}
        if not any(reading.state for reading in found.values()):
            raise LinkLost(_("No device of the facility answers."))
        return [found[device.name] for device in self._devices]

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
