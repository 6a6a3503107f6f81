"""Where the attributes that rules name come from: blocks of servers, standing of devices, or alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.errors import BadConfig
from common.site import Site
from device_servers.registration import crate_name

ClassOf = Callable[[str], Any]
STANDING = ("State", "HealthState", "AdminMode")
"""What a server tells of each of its devices, in the order in which it does."""
UP, LINKED = "Up", "Linked"
"""Of `crate/server/SERVER`: whether it answers; whether any of its devices with hardware has its link."""


class Origin(StrEnum):
    """How values come."""

    BLOCK = "block"
    STANDING = "standing"
    SERVER = "server"
    ALONE = "alone"


@dataclass(frozen=True)
class Attribute:
    """One input. labels: words of its numbers; alarms: lolo, lo, hi, hihi, which decide its quality."""

    name: str
    origin: Origin
    server: str = ""
    labels: tuple[str, ...] = ()
    alarms: tuple[float, float, float, float] | None = None


class Attributes:
    """The attributes of a site. Names of devices are lower case; attributes are found in any case."""

    def __init__(self, site: Site, class_of: ClassOf) -> None:
        self._devices = {device.name.lower(): device for device in site.devices}
        self._crates = {crate_name(server).lower(): server for server in site.servers}
        self._class_of = class_of

    def find(self, name: str) -> Attribute:
        """Where an input comes from. Raises BadConfig for an attribute that its device does not have."""
        device_name, _slash, attribute = name.rpartition("/")
        if device_name in self._crates:
            return self._of_server(name, self._crates[device_name], attribute)
        device = self._devices.get(device_name)
        if device is None:
            return Attribute(name, Origin.ALONE)
        if attribute in STANDING:
            return Attribute(name, Origin.STANDING, device.server)
        kind = self._class_of(device.tango_class)
        shown = kind.channels.get(attribute)
        if shown is not None:
            alarms = device.alarms.get(shown.quantity)
            return Attribute(name, Origin.BLOCK, device.server, tuple(shown.names), alarms)
        known: Mapping[str, Any] = kind.TangoClassClass.attr_list
        if attribute not in known:
            listed = ", ".join([*sorted(known), *STANDING])
            raise BadConfig(
                f"{device.name} ({device.tango_class}) has no attribute {attribute}: it has {listed}"
            )
        return Attribute(name, Origin.ALONE, device.server)

    def _of_server(self, name: str, server: str, attribute: str) -> Attribute:
        if attribute not in (UP, LINKED):
            raise BadConfig(f"{crate_name(server)} has no {attribute} for alarms: it has {UP}, {LINKED}")
        return Attribute(name, Origin.SERVER, server)
