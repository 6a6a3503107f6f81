"""What the Tango database knows of a site: servers, devices and their properties."""

import tango

from common.site import Device, Site

EXECUTABLE = "PTCS"
"""Server names in the database are PTCS/SERVER."""
TIMEOUT_MS = 30_000


def crate_name(server: str) -> str:
    """Device name of a server's Crate."""
    return f"crate/server/{server}"


def server_name(server: str) -> str:
    """Name of a server in the database."""
    return f"{EXECUTABLE}/{server}"


def register(site: Site) -> None:
    """Make the database at TANGO_HOST know exactly the servers and devices of a site.

    Doing it again changes nothing. Servers of an earlier site file are removed. Raises tango.DevFailed.
    """
    db = tango.Database()
    db.set_timeout_millis(TIMEOUT_MS)
    wanted = {server_name(server): _devices(site, server) for server in site.servers}
    for known in db.get_server_list(f"{EXECUTABLE}/*").value_string:
        present = list(db.get_device_class_list(known).value_string)
        names = {name for name, kind in zip(present[::2], present[1::2], strict=True) if kind != "DServer"}
        for name in names - {info.name for info in wanted.get(known, [])}:
            db.delete_device(name)
        if known not in wanted:
            db.delete_server(known)
    for name, infos in wanted.items():
        db.add_server(name, infos, with_dserver=True)
    for device in site.devices:
        db.put_device_property(device.name, _properties(device))


def _properties(device: Device) -> dict[str, list[str]]:
    """What a browser of the database sees of a device; the site file alone is in force."""
    properties = {"area": [device.area], "wire": [device.wire or "-"]}
    if device.limits:
        properties["limits"] = [f"{name} {low:g} {high:g}" for name, (low, high) in device.limits.items()]
    return properties


def _devices(site: Site, server: str) -> list[tango.DbDevInfo]:
    rows = [(device.name, device.tango_class) for device in site.on_server(server)]
    infos = []
    for name, tango_class in [*rows, (crate_name(server), "Crate")]:
        info = tango.DbDevInfo()
        info.name, info._class, info.server = name, tango_class, server_name(server)
        infos.append(info)
    return infos
