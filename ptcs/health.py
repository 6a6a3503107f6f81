"""Device readiness, asked through Tango."""

import tango

from common.site import Site
from device_servers.server import register

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


def device_state(name: str) -> str:
    """Name of a device's state, or "GONE" when it does not answer within a second."""
    try:
        proxy = tango.DeviceProxy(name)
        proxy.set_timeout_millis(1000)
        return str(proxy.state())
    except tango.DevFailed:
        return "GONE"


def devices_not_ready(site: Site) -> list[str]:
    """Devices that are not exported, or whose state is INIT or UNKNOWN."""
    unready = {str(state) for state in NOT_READY} | {"GONE"}
    return [name for name in device_names(site) if device_state(name) in unready]
