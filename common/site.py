"""The site: a YAML file and the files it includes, checked by their schema, read-only afterwards."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import BadConfig
from common.site_rows import Row, rows
from common.yaml_file import CONFIG, YamlFile, load_checked, read

__all__ = ["CONFIG", "DEFAULT_SITE", "SHARED_WIRE", "Device", "Site", "load", "load_checked"]

DEFAULT_SITE = CONFIG / "demo.yaml"
SHARED_WIRE = "fpga"
"""The beam hardware: the one address that several devices have."""
ROOM_AREAS = ("room", "treatment")


@dataclass(frozen=True)
class Device:
    """One device of a site. `tango_class` is the site file's `class`; `wire` its address on its link.

    room: the treatment room it belongs to ("" for none). element: its name in the optics.
    origin: file and line.
    """

    name: str
    tango_class: str
    server: str
    area: str
    wire: str = ""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    alarms: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    plant: Mapping[str, Any] = field(default_factory=dict)
    room: str = ""
    element: str = ""
    origin: str = field(default="", compare=False)


@dataclass(frozen=True)
class Site:
    """A checked site file. `delivery`, `monitor`, `watchdogs`, `archive` are the file's sections.

    archive: `blocks` are crates; `spots` the nozzles whose spots are kept, a list in any case.
    optics_path: elements and supplies of the optics library; None for a site that moves its beam by levers.
    alarms_path, settings_path, control_path: alarm rules, settings of snapshots, areas of control; or None.
    simulated_hospital: HIS, message gateway and charging are simulated beside the OIS.
    """

    path: Path
    name: str
    title: str
    machine: str
    ions: tuple[str, ...]
    clock_factor: float
    beam_model: str
    delivery: Mapping[str, Any]
    monitor: Mapping[str, Any]
    watchdogs: Mapping[str, Any]
    archive: Mapping[str, Any]
    servers: tuple[str, ...]
    devices: tuple[Device, ...]
    interlock_path: Path
    roles_path: Path
    optics_path: Path | None = None
    alarms_path: Path | None = None
    settings_path: Path | None = None
    control_path: Path | None = None
    simulated_hospital: bool = False

    def device(self, name: str) -> Device:
        """The device of that name. Raises BadConfig."""
        try:
            return self._by_name[name]
        except KeyError as why:
            raise BadConfig(f"site {self.name} has no device {name}") from why

    def of_class(self, tango_class: str, room: str | None = None) -> tuple[Device, ...]:
        """All devices of a class, in file order; of one room if `room` is given."""
        return tuple(
            device
            for device in self.devices
            if device.tango_class == tango_class and room in (None, device.room)
        )

    def on_server(self, server: str) -> tuple[Device, ...]:
        """All devices that a server process exports, in file order."""
        return tuple(device for device in self.devices if device.server == server)

    @cached_property
    def rooms(self) -> tuple[str, ...]:
        """The treatment rooms: those with a nozzle, in file order."""
        return tuple(dict.fromkeys(device.room for device in self.of_class("Nozzle")))

    @cached_property
    def _by_name(self) -> dict[str, Device]:
        return {device.name: device for device in self.devices}


def load(path: Path = DEFAULT_SITE) -> Site:
    """Read and check a site file and what it includes. Raises BadConfig with file, line and reason."""
    file = read(path.resolve())
    file.require("site")
    content = file.content
    servers = tuple(server["name"] for server in content["servers"])
    devices = tuple(_device(row, servers) for row in rows(file))
    _check(file, servers, devices)
    return Site(
        path=path,
        name=content["site"],
        title=content["title"],
        machine=content["machine"],
        ions=tuple(content["ions"]),
        clock_factor=float(content["clock"]["factor"]),
        beam_model=content["beam_model"],
        delivery=content["delivery"],
        monitor=content["monitor"],
        watchdogs=content["watchdogs"],
        archive={**content["archive"], "spots": _listed(content["archive"]["spots"])},
        servers=servers,
        devices=devices,
        interlock_path=path.parent / content["interlock"],
        roles_path=path.parent / content["roles"],
        optics_path=_beside(path, content, "optics"),
        alarms_path=_beside(path, content, "alarms"),
        settings_path=_beside(path, content, "settings"),
        control_path=_beside(path, content, "control"),
        simulated_hospital="hospital" in content,
    )


def _beside(path: Path, content: Mapping[str, Any], key: str) -> Path | None:
    """A further file of the site: beside it, else the shipped one of that name in `config/`."""
    if key not in content:
        return None
    beside = path.parent / str(content[key])
    return beside if beside.exists() else CONFIG / str(content[key])


def _listed(one_or_more: str | list[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _device(row: Row, servers: tuple[str, ...]) -> Device:
    content, name = row.content, row.content["name"]

    def bad(why: str, *place: str) -> BadConfig:
        return row.file.bad(f"{name}: {why}", ("devices", row.index, *place))

    for key in ("server", "area"):
        if key not in content:
            raise bad(f"has no {key}: give it in the row or in the defaults of class {content['class']}")
    if content["server"] not in servers:
        raise bad(f"unknown server {content['server']}: allowed are {', '.join(servers)}", "server")
    for section, words in (("limits", "lowest, highest"), ("alarms", "lolo, lo, hi, hihi")):
        for key, levels in content.get(section, {}).items():
            if not all(map(math.isfinite, levels)) or sorted(levels) != levels:
                raise bad(f"{section} of {key} are {levels}: they must rise, [{words}]", section, key)
    first, *rest = name.split("/")
    return Device(
        name=name,
        tango_class=content["class"],
        server=content["server"],
        area=content["area"],
        wire=content.get("wire", "-".join(rest)),
        limits={key: (low, high) for key, (low, high) in content.get("limits", {}).items()},
        alarms={key: tuple(levels) for key, levels in content.get("alarms", {}).items()},
        plant=content.get("plant", {}),
        room=content.get("room", first if content["area"] in ROOM_AREAS else ""),
        element=content.get("element", ""),
        origin=row.origin,
    )


def _check(file: YamlFile, servers: tuple[str, ...], devices: tuple[Device, ...]) -> None:
    """What no single row shows."""
    if not devices:
        raise file.bad("the site has no device", ("devices",))
    _once("device", ((device.name, device) for device in devices))
    _once("wire", ((device.wire, device) for device in devices if device.wire != SHARED_WIRE))
    doubled = sorted({server for server in servers if servers.count(server) > 1})
    if doubled:
        raise file.bad(f"server named twice: {', '.join(doubled)}", ("servers",))
    known = {f"crate/server/{server}" for server in servers}
    archive = file.content["archive"]
    missing = [block for block in archive["blocks"] if block not in known]
    if missing:
        raise file.bad(f"archive names unknown crate {', '.join(missing)}", ("archive", "blocks"))
    nozzles = {device.name for device in devices if device.tango_class == "Nozzle"}
    strangers = [name for name in _listed(archive["spots"]) if name not in nozzles]
    if nozzles and strangers:
        raise file.bad(f"archive names unknown nozzle {', '.join(strangers)}", ("archive", "spots"))


def _once(what: str, keys: Iterable[tuple[str, Device]]) -> None:
    first: dict[str, Device] = {}
    for key, device in keys:
        other = first.setdefault(key, device)
        if other is not device:
            pair = f"{other.name} ({other.origin}) and {device.name}"
            raise BadConfig(f"{device.origin}: {what} named twice: {key} for {pair}")
