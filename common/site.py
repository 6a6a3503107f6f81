"""The site: one YAML file, checked by its schema, read-only afterwards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from common.errors import BadConfig

CONFIG = Path(__file__).resolve().parent.parent / "config"
DEFAULT_SITE = CONFIG / "demo.yaml"


@dataclass(frozen=True)
class Device:
    """One device of a site. `tango_class` is the site file's `class`; `wire` its address on its link."""

    name: str
    tango_class: str
    server: str
    area: str
    wire: str = ""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    alarms: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    plant: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """A checked site file. `delivery`, `monitor`, `watchdogs`, `archive` are the file's sections."""

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

    def device(self, name: str) -> Device:
        """The device of that name. Raises BadConfig."""
        for device in self.devices:
            if device.name == name:
                return device
        raise BadConfig(f"site {self.name} has no device {name}")

    def of_class(self, tango_class: str) -> tuple[Device, ...]:
        """All devices of a class, in file order."""
        return tuple(device for device in self.devices if device.tango_class == tango_class)

    def on_server(self, server: str) -> tuple[Device, ...]:
        """All devices that a server process exports, in file order."""
        return tuple(device for device in self.devices if device.server == server)


def load_checked(path: Path, schema_name: str) -> dict[str, Any]:
    """Parse a YAML file of `config/` and check it by `config/schema/SCHEMA_NAME.schema.json`.

    Raises BadConfig naming the place and what is allowed there.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as why:
        raise BadConfig(f"cannot read {path}: {why}") from why
    schema = json.loads((CONFIG / "schema" / f"{schema_name}.schema.json").read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(content))
    if error is not None:
        raise BadConfig(f"{path.name}: at {error.json_path}: {error.message}")
    return dict(content)


def load(path: Path = DEFAULT_SITE) -> Site:
    """Read and check a site file. Raises BadConfig."""
    content = load_checked(path, "site")
    servers = tuple(server["name"] for server in content["servers"])
    devices = tuple(_device(row) for row in content["devices"])
    _check(path, servers, devices, content["archive"])
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
        archive=content["archive"],
        servers=servers,
        devices=devices,
        interlock_path=path.parent / content["interlock"],
        roles_path=path.parent / content["roles"],
    )


def _device(row: Mapping[str, Any]) -> Device:
    return Device(
        name=row["name"],
        tango_class=row["class"],
        server=row["server"],
        area=row["area"],
        wire=row.get("wire", ""),
        limits={key: (low, high) for key, (low, high) in row.get("limits", {}).items()},
        alarms={key: tuple(levels) for key, levels in row.get("alarms", {}).items()},
        plant=row.get("plant", {}),
    )


def _check(
    path: Path, servers: tuple[str, ...], devices: tuple[Device, ...], archive: Mapping[str, Any]
) -> None:
    names = [device.name for device in devices]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadConfig(f"{path.name}: device named twice: {', '.join(twice)}")
    for device in devices:
        if device.server not in servers:
            raise BadConfig(f"{path.name}: {device.name} is on unknown server {device.server}")
    known = {f"crate/server/{server}" for server in servers}
    missing = [block for block in archive["blocks"] if block not in known]
    if missing:
        raise BadConfig(f"{path.name}: archive names unknown crate {', '.join(missing)}")
