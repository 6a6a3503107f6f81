"""Device readiness, asked through Tango."""

import json

import tango

from common.site import Site
from device_servers.registration import crate_name, register

NOT_READY = frozenset({"INIT", "UNKNOWN"})


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
    """Which devices of a starting site are not ready yet, as the crates of its servers tell it."""

    def __init__(self, site: Site) -> None:
        self._waiting = {server: [d.name for d in site.on_server(server)] for server in site.servers}
        self._proxies: dict[str, tango.DeviceProxy] = {}

    def missing(self) -> list[str]:
        """Devices that are not exported, or INIT, or UNKNOWN. A server that was ready is not asked again."""
        for server, names in list(self._waiting.items()):
            self._waiting[server] = self._unready(server, names)
        self._waiting = {server: names for server, names in self._waiting.items() if names}
        return [name for names in self._waiting.values() for name in names]

    def _unready(self, server: str, names: list[str]) -> list[str]:
        try:
            if server not in self._proxies:
                self._proxies[server] = tango.DeviceProxy(crate_name(server))
                self._proxies[server].set_timeout_millis(1000)
            told = json.loads(self._proxies[server].read_attribute("Devices").value)
        except tango.DevFailed:
            self._proxies.pop(server, None)
            return names
        return [name for name in names if told.get(name, ["INIT"])[0] in NOT_READY]
