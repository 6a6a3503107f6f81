"""What a site file's schema cannot see: unknown classes, interlock rows without channel, missing rows."""

import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import BadConfig
from common.site import SHARED_WIRE, Device, Site, load
from common.text import _
from interlock import matrix
from interlock.matrix import Matrix

NOT_WATCHED = frozenset(
    {"CurrentTransformer", "EnvironmentStation", "LayerChamber", "ReferenceChamber", "RespirationMonitor"}
)
"""Equipment whose loss needs no interlock row: what it measures is checked where it is used."""
MODBUS = ("WaterPump", "Chiller")
MODBUS_UNITS = 247
PER_ROOM = ("TreatmentSession", "Couch", "Gantry", "EnvironmentStation")
"""A room has one of each."""
CENTRAL = ("Timing", "Interlock", "BeamAllocation")
"""A site has one of each."""


def check(path: Path) -> tuple[Site, list[str]]:
    """The site of a file, and everything that is wrong with how its parts fit.

    Raises BadConfig with file, line and reason for a file that cannot be read at all.
    """
    site = load(path)
    return site, list(findings(site))


def findings(site: Site) -> Iterator[str]:
    """Every contradiction between a site, its interlock table, its optics and the code, as sentences."""
    yield from _classes(site)
    yield from _counts(site)
    yield from _links(site)
    try:
        table = matrix.load(site.interlock_path)
    except BadConfig as why:
        yield str(why)
        return
    yield from _rows(site, table)
    yield from _clients(site, table)


def _classes(site: Site) -> Iterator[str]:
    # Imported late: these bring every device class and the physics of the plant.
    from device_servers.classes import CLASSES  # noqa: PLC0415
    from simulation.plant.registry import FAMILIES  # noqa: PLC0415

    known = ", ".join(sorted(CLASSES))
    if all(device.tango_class in CLASSES for device in site.devices):
        yield from _services(site)
    for device in site.devices:
        if device.tango_class not in CLASSES:
            yield _("{origin}: {name} is of unknown class {kind}: allowed are {known}").format(
                origin=device.origin, name=device.name, kind=device.tango_class, known=known
            )
        if device.room and device.room not in site.rooms:
            yield _("{origin}: {name} is in unknown room {room}: allowed are {known}").format(
                origin=device.origin, name=device.name, room=device.room, known=", ".join(site.rooms)
            )
        pair = device.plant.get("between", ())
        if device.tango_class == "SectorValve" and pair and len(set(pair)) != 2:
            yield _("{origin}: {name} must stand between two volumes").format(
                origin=device.origin, name=device.name
            )
        if device.tango_class in FAMILIES and device.wire == SHARED_WIRE:
            yield _("{origin}: {name} needs a wire of its own").format(origin=device.origin, name=device.name)


def _services(site: Site) -> Iterator[str]:
    """What keeps the gateway, the alarm server, the settings server or the guards from starting."""
    from device_servers import control_areas  # noqa: PLC0415
    from device_servers.classes import class_named  # noqa: PLC0415
    from device_servers.services.alarms import rule_set  # noqa: PLC0415
    from device_servers.services.epics.catalogue import catalogue  # noqa: PLC0415
    from device_servers.services.settings import configuration  # noqa: PLC0415

    try:
        shapes = catalogue(site, class_named)
        if site.settings_path is not None:
            configuration.of_site(site, shapes)
    except BadConfig as why:
        yield str(why)
    for checked in (lambda: rule_set.checked(site, class_named), lambda: control_areas.load(site)):
        try:
            checked()
        except BadConfig as why:
            yield str(why)


def _counts(site: Site) -> Iterator[str]:
    for kind in CENTRAL:
        if len(site.of_class(kind)) != 1:
            yield _("{kind}: a site has one, this one has {count}").format(
                kind=kind, count=len(site.of_class(kind))
            )
    for room in site.rooms:
        for kind in PER_ROOM:
            if len(site.of_class(kind, room)) != 1:
                yield _("{room} has {count} devices of class {kind}: one is needed").format(
                    room=room, kind=kind, count=len(site.of_class(kind, room))
                )
    units = sum(len(site.of_class(kind)) for kind in MODBUS)
    if units > MODBUS_UNITS:
        yield _("{count} water pumps and chillers: Modbus has addresses for {most}").format(
            count=units, most=MODBUS_UNITS
        )


def _links(site: Site) -> Iterator[str]:
    wires = {device.wire for device in site.devices}
    for device in site.devices:
        for key in ("cavity", "pump", "chiller"):
            wire = device.plant.get(key)
            if wire is not None and wire not in wires:
                yield _("{origin}: {name} names {key} {wire}, which is no device's wire").format(
                    origin=device.origin, name=device.name, key=key, wire=wire
                )
    if not site.roles_path.is_file():
        yield _("{path} does not exist").format(path=site.roles_path)
    if site.optics_path is not None:
        yield from _optics(site, site.optics_path)


def _optics(site: Site, path: Path) -> Iterator[str]:
    from simulation.plant import optics_data  # noqa: PLC0415

    try:
        optics_data.load(path)
    except BadConfig as why:
        yield str(why)
        return
    text = path.read_text(encoding="utf-8")
    for device in site.devices:
        if device.element and not re.search(rf"\b{re.escape(device.element)}\b", text):
            yield _("{origin}: {name} stands at {element}, which {file} does not have").format(
                origin=device.origin, name=device.name, element=device.element, file=path.name
            )


def _rows(site: Site, table: Matrix) -> Iterator[str]:
    from simulation.plant.registry import FAMILIES, GROUPS  # noqa: PLC0415

    channels = {
        name
        for kind, family in FAMILIES.items()
        if site.of_class(kind)
        for name, _unit in family(site.of_class(kind)).channels()
    }
    watched: set[str] = set()
    for row in table.inputs:
        for signal in row.signals:
            watched.add(signal.rpartition(".")[0])
            if signal not in channels and signal not in GROUPS:
                yield _("interlock input {row} reads {signal}, which is no channel of this site").format(
                    row=row.name, signal=signal
                )
    named = {kind for row in table.inputs for signal in row.signals for kind in GROUPS.get(signal, ())}
    for device in site.devices:
        if (
            _needs_row(device, frozenset(FAMILIES))
            and device.wire not in watched
            and device.tango_class not in named
        ):
            yield _("{origin}: {name} has no interlock row that reads {wire}.ok").format(
                origin=device.origin, name=device.name, wire=device.wire
            )


def _needs_row(device: Device, families: frozenset[str]) -> bool:
    return device.tango_class in families and device.tango_class not in NOT_WATCHED


def _clients(site: Site, table: Matrix) -> Iterator[str]:
    inputs = set(table.input_names)
    for client in site.watchdogs["clients"]:
        if f"watchdog.{client}" not in inputs:
            yield _("watched client {client} has no interlock row watchdog.{client}").format(client=client)
    clients = {f"watchdog.{client}" for client in site.watchdogs["clients"]}
    for name in sorted(name for name in inputs - clients if name.startswith("watchdog.")):
        yield _("interlock input {row} belongs to no watched client").format(row=name)
    for room in table.rooms:
        if room not in site.rooms:
            yield _("the interlock table has a room {room} that the site has not").format(room=room)
