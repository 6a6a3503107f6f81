"""Devices rolled up into subsystems: one is as healthy as the worst of its devices that are in use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from device_servers.modes import Admin, Health

WORSE = (Health.OK, Health.DEGRADED, Health.UNKNOWN, Health.FAILED)
"""From best to worst. A device that nobody hears of may be anything: only a known fault is worse."""


@dataclass(frozen=True)
class DeviceHealth:
    """One device as its server tells it; a device of a server that does not answer is GONE."""

    name: str
    server: str
    state: str
    health: Health
    admin: Admin
    status: str

    @property
    def used(self) -> bool:
        """Whether anybody counts on it."""
        return self.admin is Admin.ONLINE

    def row(self) -> dict[str, str]:
        """As JSON values."""
        words = {"name": self.name, "server": self.server, "state": self.state, "status": self.status}
        return {**words, "health": self.health.name, "admin": self.admin.name}


@dataclass(frozen=True)
class Subsystem:
    """The devices of one family in one domain: the first two parts of their names."""

    name: str
    health: Health
    counts: Mapping[Health, int]
    unused: int

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        counts = {health.name.lower(): number for health, number in self.counts.items() if number}
        return {"name": self.name, "health": self.health.name, "unused": self.unused, **counts}


def worst(healths: Iterable[Health]) -> Health:
    """The worst of several; OK for none."""
    return max(healths, key=WORSE.index, default=Health.OK)


def gone(name: str, server: str, status: str) -> DeviceHealth:
    """A device whose server does not answer."""
    return DeviceHealth(name, server, "GONE", Health.UNKNOWN, Admin.ONLINE, status)


def subsystems(devices: Iterable[DeviceHealth]) -> list[Subsystem]:
    """Every subsystem, in the order of the devices."""
    groups: dict[str, list[DeviceHealth]] = {}
    for device in devices:
        groups.setdefault(device.name.rsplit("/", 1)[0], []).append(device)
    return [_subsystem(name, members) for name, members in groups.items()]


def troubles(devices: Iterable[DeviceHealth]) -> list[DeviceHealth]:
    """The devices in use that are not OK, worst first."""
    bad = [device for device in devices if device.used and device.health is not Health.OK]
    return sorted(bad, key=lambda device: -WORSE.index(device.health))


def _subsystem(name: str, members: list[DeviceHealth]) -> Subsystem:
    used = [device.health for device in members if device.used]
    counts = {health: used.count(health) for health in WORSE}
    return Subsystem(name, worst(used), counts, len(members) - len(used))
