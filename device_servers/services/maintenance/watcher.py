"""Counts what the devices do, from what their servers tell; kept over a restart."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import tango

from common.files import read_json, write_json
from common.site import Site
from device_servers.faults import FAULTS
from device_servers.services.health.watch import Watch
from device_servers.services.maintenance.meters import Meters
from device_servers.services.maintenance.plan import ClassPlan
from device_servers.services.maintenance.view import View

log = logging.getLogger(__name__)

PERIOD_S = 1.0
"""A stroke that begins and ends within one period is not seen."""
KEEP_S = 30.0
"""Seconds between two writings of the meters: so much is lost at most when this process is killed."""
TIMEOUT_MS = 1000


class Watcher:
    """One thread. `meters` may be read by any thread: single numbers change, nothing is taken out."""

    def __init__(self, site: Site, path: Path, plans: Mapping[str, ClassPlan], view: View) -> None:
        """path: file of the meters. What the register knows of a device is the least that its meter shows."""
        self._site, self._path, self._plans = site, path, plans
        self._since, self.meters = _taken(path, plans)
        for name, device in view.devices.items():
            for entry in device.history:
                if "reading" in entry:
                    self.meters.at_least(name, entry["reading"])
        self._kept = 0.0
        self.changed: Callable[[], None] = lambda: None
        self._watch = Watch(site, self._look, PERIOD_S)

    @property
    def since(self) -> datetime:
        """When the counting began."""
        return self._since

    def online(self) -> set[str]:
        """Devices that somebody counts on, as of the last look."""
        return {device.name for device in self._watch.devices if device.used}

    def start(self) -> None:
        """Begin to count."""
        self._watch.start()

    def stop(self) -> None:
        """End the thread and keep the meters."""
        self._watch.stop()
        self._keep()

    def _look(self) -> None:
        now = time.monotonic()
        self.meters.look(now, self._watch.devices, self._cause)
        if now - self._kept >= KEEP_S:
            self._kept = now
            for name, plan in self._plans.items():
                if plan.counter:
                    self._hear(name, plan.counter)
            self._keep()
        self.changed()

    def _hear(self, name: str, counter: str) -> None:
        try:
            value = self._proxy(name).read_attribute(counter)
        except tango.DevFailed as why:
            log.debug("%s of %s: %s", counter, name, why.args[0].desc)
            return
        if value.quality != tango.AttrQuality.ATTR_INVALID:
            self.meters.devices[name].hear(float(value.value))

    def _cause(self, name: str) -> str:
        """English name of a device's fault now."""
        try:
            code = int(self._proxy(name).read_attribute("FaultCode").value)
        except (tango.DevFailed, TypeError, ValueError):
            return "fault"
        return FAULTS.get(self._site.device(name).tango_class, {}).get(
            code, f"fault {code}" if code else "fault"
        )

    def _proxy(self, name: str) -> tango.DeviceProxy:
        proxy = tango.DeviceProxy(name)
        proxy.set_timeout_millis(TIMEOUT_MS)
        return proxy

    def _keep(self) -> None:
        try:
            write_json(self._path, {"since": self._since.isoformat(), **self.meters.kept()})
        except OSError as why:
            log.error("meters cannot be kept: %s", why)


def _taken(path: Path, plans: Mapping[str, ClassPlan]) -> tuple[datetime, Meters]:
    """The meters as kept; new ones, beside the old file, where it cannot be read."""
    meters = Meters(plans)
    try:
        kept = read_json(path)
        meters.take(kept)
        return datetime.fromisoformat(kept["since"]), meters
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as why:
        log.error("%s cannot be read (%s): meters begin at what the register knows", path.name, why)
        path.replace(path.with_suffix(".unreadable"))
        meters = Meters(plans)
    return datetime.now(UTC), meters
