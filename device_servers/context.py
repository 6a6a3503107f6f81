"""What the devices of one server process share: the site, its drivers, the guard, the devices themselves."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.site import Device as SiteDevice
from common.site import Site
from device_servers.guard import Guard
from device_servers.modes import AdminModes
from device_servers.unseen import Unseen

if TYPE_CHECKING:
    from device_servers.base import PtcsDevice

DriverFor = Callable[[SiteDevice], Any]


@dataclass
class Context:
    """One server process. `wake` is set whenever a device has something new to push."""

    server: str
    site: Site
    state: Path
    guard: Guard
    driver_for: DriverFor
    devices: dict[str, "PtcsDevice"] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)
    followers: dict[str, set[str]] = field(default_factory=dict)
    """Device -> devices of this server whose State is made of its State (groups)."""

    @cached_property
    def unseen(self) -> Unseen:
        """Calls under way, to find the writes that Tango refuses by itself."""
        return Unseen(self.guard)

    @cached_property
    def admin_modes(self) -> AdminModes:
        """AdminMode of each device of this server."""
        return AdminModes(self.state / "devices" / f"{self.server}.json")


_entered: list[Context] = []


def enter(context: Context) -> None:
    """Make `context` the one of this process; called once, before any device is made."""
    _entered[:] = [context]


def current() -> Context:
    """The context of this process. Raises RuntimeError before `enter`."""
    if not _entered:
        raise RuntimeError("device_servers.context.enter was not called")
    return _entered[0]
