"""Limits and alarm levels that a client has changed in Tango: put back as the site file has them, recorded.

Tango lets every client change an attribute's configuration, and asks no code of ours. The limits that count
are checked where a value is written; what clients see and what Tango itself refuses follows within a round.
"""

import logging
from collections.abc import Mapping
from typing import Any

import tango

from common.text import _
from device_servers.attribute_config import configure
from device_servers.callers import Client
from device_servers.guard import Guard
from device_servers.unseen import LINE

log = logging.getLogger(__name__)

AT_ONCE = 3
"""Devices a second: a round of a hundred takes half a minute, and a thousandth of a core."""
DEPTH = 50
"""Calls of a device that are searched for whoever did it."""


class Restore:
    """Looks at a few devices at each call. The Crate's thread only."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._waiting: list[str] = []

    def look(self, devices: Mapping[str, Any]) -> None:
        """Compare the next devices' attributes with the site file, and put back what differs."""
        if not self._waiting:
            self._waiting = list(devices)
        for _turn in range(min(AT_ONCE, len(self._waiting))):
            device = devices.get(self._waiting.pop())
            if device is not None and not device.busy:
                self._compare(device)

    def _compare(self, device: Any) -> None:
        for name, shape in device.channels.items():
            if configure(device.get_device_attr().get_attr_by_name(name), shape, device.site):
                client = _who(device)
                log.warning("limits of %s/%s were changed by %s", device.site.name, name, client)
                why = _(
                    "the configuration of the attribute was changed in Tango; it is as the site says again"
                )
                self._guard.record(client, device.site.name, name, "", why)


def _who(device: Any) -> Client:
    """Whoever changed an attribute's configuration last, as far as the black box still knows."""
    try:
        lines = tango.DeviceProxy(device.get_name()).black_box(DEPTH)
    except tango.DevFailed:
        return Client("", 0)
    for line in lines:
        found = LINE.match(line)
        if found is not None and found["pid"] and found["what"].startswith("set_attribute_config"):
            return Client(found["host"], int(found["pid"]))
    return Client("", 0)
