"""Device readiness, asked through Tango."""

import tango

from common.site import Site
from device_servers.registration import register

NOT_READY = frozenset({tango.DevState.INIT, tango.DevState.UNKNOWN})


def register_devices(site: Site) -> bool:
    """Enter the site's servers and devices into the Tango database; False while it does not answer yet."""
    try:
        register(site)
    except tango.ConnectionFailed:
        return False
    return True


def device_names(site: Site) -> tuple[str, ...]:
    """All devices of a site, the crates of its servers included."""
    crates = tuple(f"crate/server/{server}" for server in site.servers)
    return crates + tuple(device.name for device in site.devices)


class Readiness:
    """Which devices of a starting site are not ready yet; a device that was ready is not asked again."""

    def __init__(self, site: Site) -> None:
        self.asked = list(device_names(site))
        """Those that were not ready when last asked."""
        self._proxies: dict[str, tango.DeviceProxy] = {}

    def missing(self) -> list[str]:
        """Devices that are not exported, or whose state is INIT or UNKNOWN."""
        self.asked = [name for name in self.asked if not self._ready(name)]
        return self.asked

    def _ready(self, name: str) -> bool:
        try:
            if name not in self._proxies:
                proxy = tango.DeviceProxy(name)
                proxy.set_timeout_millis(1000)
                self._proxies[name] = proxy
            return self._proxies[name].state() not in NOT_READY
        except tango.DevFailed:
            self._proxies.pop(name, None)
            return False
