"""What snapshots hold: configurations from a site's settings file, expanded to the site's attributes.

A configuration lists patterns of attributes, each with tolerance, readback, and the group in which a
restore writes it; it may be made of others. Of several rows that name an attribute the last one counts.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import BadConfig, Refused
from common.site import Site
from common.text import _
from common.yaml_file import YamlFile, read
from device_servers.services.epics.pv import Shape

SETTLE_S = 10.0
STATE = "State"
COMMANDS = {
    "OFF": "Off",
    "ON": "On",
    "CLOSE": "Close",
    "OPEN": "Open",
    "INSERT": "Insert",
    "EXTRACT": "Retract",
}
"""State -> command that brings a device there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of a configuration.

    name: device/attribute; of a State, `groups` says in which group a restore sends the command to each
    state. groups is empty for what is only kept and compared; a plain attribute has its group under "".
    readback: device/attribute that shows the value reached. absolute in the attribute's unit.
    settle_s: how long the readback may take.
    """

    name: str
    groups: Mapping[str, str]
    readback: str
    absolute: float = 0.0
    relative: float = 0.0
    settle_s: float = SETTLE_S

    @property
    def device(self) -> str:
        """Whose attribute it is."""
        return self.name.rpartition("/")[0]

    @property
    def member(self) -> str:
        """The attribute alone."""
        return self.name.rpartition("/")[2]

    @property
    def switched(self) -> bool:
        """Whether it is a State."""
        return self.member == STATE

    def group(self, value: Any) -> str:
        """The group in which a restore to `value` writes it; "" for none."""
        return self.groups.get(value if self.switched else "", "")


@dataclass(frozen=True)
class Configuration:
    """A named, versioned list of attributes, in the order of names."""

    name: str
    version: int
    title: Mapping[str, str]
    rows: tuple[Row, ...]

    @cached_property
    def digest(self) -> str:
        """The first digits of the SHA-256 of the rows: changes with any of them."""
        text = json.dumps([asdict(row) for row in self.rows], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Forbidden:
    """While attribute `name` has `value`, or is not known, nothing is restored."""

    name: str
    value: Any
    why: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """A checked settings file. groups: in the order of a restore."""

    groups: tuple[str, ...]
    forbidden: tuple[Forbidden, ...]
    configurations: Mapping[str, Configuration]

    def configuration(self, name: str) -> Configuration:
        """The configuration of that name. Raises Refused."""
        try:
            return self.configurations[name]
        except KeyError as why:
            known = ", ".join(sorted(self.configurations))
            text = _("no configuration {name!r}: there are {known}")
            raise Refused(text.format(name=name, known=known)) from why


def load(path: Path, site: Site, shapes: Iterable[Shape]) -> Settings:
    """Read a settings file for a site. Raises BadConfig with line and reason."""
    file = read(path)
    file.require("settings")
    return _Expansion(file, site, shapes).settings()


class _Expansion:
    """A settings file on its way to the attributes of a site."""

    def __init__(self, file: YamlFile, site: Site, shapes: Iterable[Shape]) -> None:
        self._file, self._site = file, site
        listed = list(shapes)
        self._shapes = {shape.source: shape for shape in listed if not (shape.command or shape.private)}
        self._commands = {shape.source for shape in listed if shape.command}
        self._groups: tuple[str, ...] = tuple(file.content["groups"])
        self._done: dict[str, dict[str, Row]] = {}
        self._under_way: list[str] = []

    def settings(self) -> Settings:
        content = self._file.content["configurations"]
        configurations = {
            name: Configuration(name, int(part["version"]), part["title"], self._sorted(name))
            for name, part in content.items()
        }
        return Settings(self._groups, tuple(self._forbidden()), configurations)

    def _sorted(self, name: str) -> tuple[Row, ...]:
        return tuple(sorted(self._rows(name).values(), key=lambda row: row.name))

    def _forbidden(self) -> Iterable[Forbidden]:
        for index, part in enumerate(self._file.content.get("forbidden", ())):
            for name in self._matching(part["attributes"], {}, ("forbidden", index)):
                yield Forbidden(name, part["value"], part["why"])

    def _rows(self, name: str) -> dict[str, Row]:
        """The rows of a configuration by attribute, those of its parts first."""
        if name in self._done:
            return self._done[name]
        place = ("configurations", name)
        if name in self._under_way:
            circle = " -> ".join([*self._under_way[self._under_way.index(name) :], name])
            raise self._file.bad(f"configurations include each other in a circle: {circle}", place)
        if name not in self._file.content["configurations"]:
            asker = ("configurations", self._under_way[-1], "include")
            raise self._file.bad(f"there is no configuration {name} to include", asker)
        self._under_way.append(name)
        part = self._file.content["configurations"][name]
        rows: dict[str, Row] = {}
        for other in part.get("include", ()):
            rows |= self._rows(other)
        for index, entry in enumerate(part.get("rows", ())):
            rows |= {row.name: row for row in self._expanded(entry, (*place, "rows", index))}
        self._under_way.pop()
        self._done[name] = rows
        return rows

    def _expanded(self, entry: Mapping[str, Any], place: Sequence[str | int]) -> Iterable[Row]:
        groups = self._groups_of(entry, place)
        pattern = f"{entry['state']}/{STATE}" if "state" in entry else entry["attributes"]
        for name in self._matching(pattern, entry.get("where", {}), place):
            shape = self._shapes[name]
            if groups and "state" not in entry and not shape.writable:
                raise self._file.bad(f"{name} cannot be written: leave out its group", place)
            for state in groups if "state" in entry else ():
                if f"{shape.device}/{COMMANDS[state]}" not in self._commands:
                    raise self._file.bad(f"{shape.device} has no command {COMMANDS[state]}", place)
            yield Row(
                name,
                groups,
                self._readback(shape, entry.get("readback", ""), place),
                float(entry.get("absolute", 0.0)),
                float(entry.get("relative", 0.0)),
                float(entry.get("settle_s", SETTLE_S)),
            )

    def _groups_of(self, entry: Mapping[str, Any], place: Sequence[str | int]) -> dict[str, str]:
        groups = dict(entry.get("groups", {})) if "state" in entry else {}
        if "state" not in entry and "group" in entry:
            groups = {"": entry["group"]}
        strange = sorted({group for group in groups.values() if group not in self._groups})
        if strange:
            raise self._file.bad(f"no group {strange[0]}: there are {', '.join(self._groups)}", place)
        return groups

    def _readback(self, shape: Shape, wish: str, place: Sequence[str | int]) -> str:
        if not wish:
            return shape.source
        name = wish if "/" in wish else f"{shape.device}/{wish}"
        if name not in self._shapes:
            raise self._file.bad(f"readback {name} does not exist at site {self._site.name}", place)
        return name

    def _matching(
        self, patterns: str | list[str], where: Mapping[str, Any], place: Sequence[str | int]
    ) -> list[str]:
        """Names of the attributes that match. Raises BadConfig for a pattern that matches none."""
        found: list[str] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            new = [name for name in self._shapes if fnmatchcase(name, pattern) and self._fits(name, where)]
            if not new:
                raise self._file.bad(f"{pattern} matches no attribute of site {self._site.name}", place)
            found += new
        return found

    def _fits(self, name: str, where: Mapping[str, Any]) -> bool:
        device = self._site.device(self._shapes[name].device)
        facts = {**device.plant, "class": device.tango_class, "room": device.room, "server": device.server}
        return all(
            facts.get(key) in (value if isinstance(value, list) else [value]) for key, value in where.items()
        )


def of_site(site: Site, shapes: Iterable[Shape]) -> Settings:
    """The settings of a site. Raises BadConfig, also for a site without."""
    if site.settings_path is None:
        raise BadConfig(f"site {site.name} names no settings file; give `settings:` in {site.path.name}")
    return load(site.settings_path, site, shapes)
