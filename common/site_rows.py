"""The device rows of a site file and of the files that it includes, with the defaults of their classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.yaml_file import YamlFile, read

MERGED = ("limits", "alarms", "plant")
"""Sections of a row that add to those of its class; a row's other keys replace them."""

Defaults = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """One device as its file has it, class defaults filled in. `index`: its place in the file's list."""

    file: YamlFile
    index: int
    content: Mapping[str, Any]

    @property
    def origin(self) -> str:
        """Where the row stands, for people."""
        return f"{self.file.path.name} line {self.file.line(('devices', self.index))}"


@dataclass
class _Reading:
    """One reading of a site file: what was read, and the chain of files that are being read."""

    seen: set[Path] = field(default_factory=set)
    chain: list[Path] = field(default_factory=list)

    def rows(self, file: YamlFile, above: Defaults) -> Iterator[Row]:
        """The rows of a schema-checked file after those of the files it includes."""
        defaults = _over(above, file.content.get("defaults", {}))
        self.chain.append(file.path)
        self.seen.add(file.path)
        for index, name in enumerate(file.content.get("include", ())):
            yield from self.rows(self._part(file, index, name), defaults)
        for index, row in enumerate(file.content["devices"]):
            yield Row(file, index, _filled(defaults.get(row["class"], {}), row))
        self.chain.pop()

    def _part(self, file: YamlFile, index: int, name: str) -> YamlFile:
        path = (file.path.parent / name).resolve()
        place = ("include", index)
        if path in self.chain:
            circle = " -> ".join(p.name for p in [*self.chain[self.chain.index(path) :], path])
            raise file.bad(f"files include each other in a circle: {circle}", place)
        if path in self.seen:
            raise file.bad(f"{name} is included a second time", place)
        if not path.is_file():
            raise file.bad(f"included file {name} does not exist beside {file.path.name}", place)
        part = read(path)
        part.require("site", "part")
        return part


def rows(file: YamlFile) -> Iterator[Row]:
    """All rows of a schema-checked site file, included files first. Raises BadConfig with line and reason."""
    return _Reading().rows(file, {})


def _over(above: Defaults, own: Defaults) -> dict[str, Mapping[str, Any]]:
    """Class defaults of a file: its own over those of the file that includes it."""
    names = [*above, *(name for name in own if name not in above)]
    return {name: _filled(above.get(name, {}), own.get(name, {})) for name in names}


def _filled(defaults: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    filled = {**defaults, **row}
    for section in MERGED:
        if section in defaults and section in row:
            filled[section] = {**defaults[section], **row[section]}
    return filled
