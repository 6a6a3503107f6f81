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

    Doing it again changes nothing, also while the servers run. Devices and servers of an earlier
    site file are removed. Raises tango.DevFailed.
    """
    db = tango.Database()
    db.set_timeout_millis(TIMEOUT_MS)
    wanted = {server_name(server): _devices(site, server) for server in site.servers}
    for known in db.get_server_list(f"{EXECUTABLE}/*").value_string:
        for name in _present(db, known).keys() - wanted.get(known, {}).keys():
            db.delete_device(name)
        if known not in wanted:
            db.delete_server(known)
    for server, devices in wanted.items():
        present = _present(db, server)
        # Adding a device again would mark it as not exported.
        missing = {name: kind for name, kind in devices.items() if present.get(name) != kind}
        if missing:
            infos = [_info(server, name, kind) for name, kind in missing.items()]
            db.add_server(server, infos, with_dserver=not present)
    for device in site.devices:
        properties = _properties(device)
        known = db.get_device_property(device.name, list(properties))
        if {name: list(values) for name, values in known.items()} != properties:
            db.put_device_property(device.name, properties)


def _properties(device: Device) -> dict[str, list[str]]:
    """What a browser of the database sees of a device; the site file alone is in force."""
    properties = {"area": [device.area], "wire": [device.wire or "-"]}
    if device.limits:
        properties["limits"] = [f"{name} {low:g} {high:g}" for name, (low, high) in device.limits.items()]
    return properties


def _present(db: tango.Database, server: str) -> dict[str, str]:
    """Device name -> class of what the database has for a server."""
    rows = list(db.get_device_class_list(server).value_string)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return {name: kind for name, kind in pairs if kind != "DServer"}


def _devices(site: Site, server: str) -> dict[str, str]:
    """Device name -> class of what the site has for a server."""
    return {d.name: d.tango_class for d in site.on_server(server)} | {crate_name(server): "Crate"}


def _info(server: str, name: str, tango_class: str) -> tango.DbDevInfo:
    info = tango.DbDevInfo()
    info.name, info._class, info.server = name, tango_class, server
    return info
