"""What the Tango database knows of a site: servers, devices, properties; what differs, and applying it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import tango

from common.site import Device, Site
from device_servers.sessions import database

EXECUTABLE = "PTCS"
"""Server names in the database are PTCS/SERVER."""
TIMEOUT_MS = 30_000
DEVICES = "SELECT name, server, class, exported FROM device WHERE server LIKE 'PTCS/%'"
PROPERTIES = "SELECT device, name, count, value FROM property_device"
"""Tables and columns are those of every Tango database."""
MANAGED = ("area", "wire", "room", "element", "limits", "alarms", "plant")
"""Properties that the site file owns. What else somebody sets in the database stays as it is."""


class Change(StrEnum):
    """What happens to an entry of the database."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class What(StrEnum):
    """What an entry is."""

    SERVER = "server"
    DEVICE = "device"
    PROPERTY = "property"


@dataclass(frozen=True)
class Entry:
    """A device of the database: its server (without PTCS/), its class, the properties that the site owns."""

    server: str
    tango_class: str
    properties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One line of a diff. `name` of a property: DEVICE/PROPERTY. `was`, `will`: values, empty for none.

    `server`: whose process has to start anew to take it over.
    """

    change: Change
    what: What
    name: str
    was: str
    will: str
    server: str


@dataclass(frozen=True)
class Plan:
    """All differences between the database and a site, and what each of them has."""

    present: Mapping[str, Entry]
    wanted: Mapping[str, Entry]
    differences: tuple[Difference, ...]
    running: frozenset[str]
    """Servers whose process has exported itself."""
    tango_host: str | None = None
    """Where the database is; None: where the environment says."""

    @property
    def restart(self) -> tuple[str, ...]:
        """Running servers that read what differs only when they start."""
        touched = {difference.server for difference in self.differences}
        return tuple(sorted(touched & self.running))


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
    apply(diff(site))


def diff(site: Site, tango_host: str | None = None) -> Plan:
    """What would change in a database, without `tango_host` in that of TANGO_HOST. Raises tango.DevFailed."""
    present, running = _present(_database(tango_host))
    wanted = _wanted(site)
    return Plan(present, wanted, tuple(_differences(present, wanted)), running, tango_host)


def apply(plan: Plan) -> None:
    """Carry out a plan. Raises tango.DevFailed."""
    db = _database(plan.tango_host)
    present, wanted = plan.present, plan.wanted
    had, has = _servers(present), _servers(wanted)
    for name, entry in present.items():
        if _place(wanted.get(name)) != _place(entry):
            db.delete_device(name)
    for server in had - has:
        db.delete_server(server_name(server))
    for server in sorted(has):
        # Adding a device again would mark it as not exported.
        missing = [
            _info(name, entry)
            for name, entry in wanted.items()
            if entry.server == server and _place(present.get(name)) != _place(entry)
        ]
        if missing:
            db.add_server(server_name(server), missing, with_dserver=server not in had)
    for name, entry in wanted.items():
        kept = present.get(name)
        # Deleting a device deletes its properties.
        known = kept.properties if kept is not None and _place(kept) == _place(entry) else {}
        if gone := [key for key in known if key not in entry.properties]:
            db.delete_device_property(name, gone)
        fresh = {key: list(value) for key, value in entry.properties.items() if known.get(key) != value}
        if fresh:
            db.put_device_property(name, fresh)


def _database(tango_host: str | None) -> tango.Database:
    db = database(tango_host)
    db.set_timeout_millis(TIMEOUT_MS)
    return db


def _differences(present: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Iterable[Difference]:
    had, has = _servers(present), _servers(wanted)
    for server in sorted(had ^ has):
        change = Change.REMOVED if server in had else Change.ADDED
        yield Difference(change, What.SERVER, server, "", "", server)
    for name in sorted({*present, *wanted}):
        was, will = present.get(name), wanted.get(name)
        if _place(was) != _place(will):
            change = Change.CHANGED if was and will else Change.REMOVED if was else Change.ADDED
            # A device that moves concerns both servers: the one that loses it is named by the removal.
            if was and will and was.server != will.server:
                yield Difference(Change.REMOVED, What.DEVICE, name, _shown(was), "", was.server)
                yield Difference(Change.ADDED, What.DEVICE, name, "", _shown(will), will.server)
            else:
                server = (will or was or Entry("", "")).server
                yield Difference(change, What.DEVICE, name, _shown(was), _shown(will), server)
        if was and will:
            yield from _property_differences(name, was, will)


def _property_differences(name: str, was: Entry, will: Entry) -> Iterable[Difference]:
    for key in MANAGED:
        before, after = was.properties.get(key), will.properties.get(key)
        if before != after:
            change = Change.CHANGED if before and after else Change.REMOVED if before else Change.ADDED
            texts = ("; ".join(before or ()), "; ".join(after or ()))
            yield Difference(change, What.PROPERTY, f"{name}/{key}", *texts, will.server)


def _present(db: tango.Database) -> tuple[dict[str, Entry], frozenset[str]]:
    """Devices of all PTCS servers in the database, and the servers that are exported now.

    Two selections instead of two calls a device: asking for each of 500 devices takes longer than the
    rest of a registration.
    """
    properties: dict[str, dict[str, dict[int, str]]] = {}
    for device, key, count, value in _select(db, PROPERTIES):
        if key.lower() in MANAGED:
            properties.setdefault(device.lower(), {}).setdefault(key.lower(), {})[int(count)] = value
    entries, running = {}, set()
    for name, server, kind, exported in _select(db, DEVICES):
        short = server.partition("/")[2]
        if kind == "DServer":
            running |= {short} if int(exported) else set()
            continue
        lines = properties.get(name.lower(), {})
        values = {key: tuple(text for _, text in sorted(rows.items())) for key, rows in lines.items()}
        entries[name.lower()] = Entry(short, kind, values)
    return entries, frozenset(running)


def _select(db: tango.Database, query: str) -> Iterable[tuple[str, ...]]:
    """Rows of a selection. The answer is a flat list of texts; its last two numbers are rows and columns."""
    numbers, texts = db.command_inout("DbMySqlSelect", query)
    columns = int(numbers[-1])
    flat = list(texts)
    return [tuple(flat[i : i + columns]) for i in range(0, int(numbers[-2]) * columns, columns)]


def _wanted(site: Site) -> dict[str, Entry]:
    crates = {crate_name(server): Entry(server, "Crate") for server in site.servers}
    return crates | {d.name: Entry(d.server, d.tango_class, _properties(d)) for d in site.devices}


def _properties(device: Device) -> dict[str, tuple[str, ...]]:
    """What a browser of the database sees of a device; the site file alone is in force."""
    properties: dict[str, tuple[str, ...]] = {"area": (device.area,), "wire": (device.wire or "-",)}
    for key, text in (("room", device.room), ("element", device.element)):
        if text:
            properties[key] = (text,)
    for key, levels in (("limits", device.limits), ("alarms", device.alarms)):
        if levels:
            properties[key] = tuple(_line(name, values) for name, values in levels.items())
    if device.plant:
        properties["plant"] = tuple(f"{name} {json.dumps(value)}" for name, value in device.plant.items())
    return properties


def _line(name: str, values: Iterable[float]) -> str:
    return " ".join([name, *(f"{value:g}" for value in values)])


def _servers(entries: Mapping[str, Entry]) -> set[str]:
    return {entry.server for entry in entries.values()}


def _place(entry: Entry | None) -> tuple[str, str] | None:
    return None if entry is None else (entry.server, entry.tango_class)


def _shown(entry: Entry | None) -> str:
    return "" if entry is None else f"{entry.tango_class} on {entry.server}"


def _info(name: str, entry: Entry) -> tango.DbDevInfo:
    info = tango.DbDevInfo()
    info.name, info._class, info.server = name, entry.tango_class, server_name(entry.server)
    return info
