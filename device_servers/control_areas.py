"""Areas of control of a site: which devices one person has at a time, and who may have them.

An area of control (ring, room 1) is not a site file's `area` of rights (accelerator, room): rights say who
may write there at all, control says who of them does so now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from common.site import Site
from common.yaml_file import YamlFile, read

NEVER = frozenset({"ControlAuthority", "Crate"})
"""Classes that are in no area: who asks for control has none yet."""
DEFAULT_MINUTES, DEFAULT_SILENCE_S = 30.0, 10.0


@dataclass(frozen=True)
class Area:
    """One area of control.

    required: nobody writes without control; else everybody with the right does while nobody has control.
    idle_s: control ends after so long without a write. ranks: role -> rank, the higher may take control
    from the lower; a role without rank never has control here. rooms: while one of them treats, control
    is not taken. devices: patterns of device names.
    """

    name: str
    title: str
    title_zh: str
    required: bool
    idle_s: float
    ranks: Mapping[str, int]
    devices: tuple[str, ...]
    rooms: tuple[str, ...] = ()

    def rank(self, roles: frozenset[str]) -> int:
        """The highest rank of somebody's roles; 0: may not have control."""
        return max((self.ranks.get(role, 0) for role in roles), default=0)


@dataclass(frozen=True)
class Areas:
    """All areas of a site. break_glass_s: longest life of a local log-in; silence_s: how long the OIS
    must have been silent before one is made.
    """

    areas: tuple[Area, ...] = ()
    of_device: Mapping[str, Area] = field(default_factory=dict)
    break_glass_s: float = 60.0 * DEFAULT_MINUTES
    silence_s: float = DEFAULT_SILENCE_S

    @cached_property
    def by_name(self) -> Mapping[str, Area]:
        """Name -> area."""
        return {area.name: area for area in self.areas}


def load(site: Site) -> Areas:
    """The areas of a site; none for a site without the key `control`. Raises BadConfig with file and line."""
    if site.control_path is None:
        return Areas()
    file = read(site.control_path)
    file.require("control")
    areas = tuple(_area(row) for row in file.content["areas"])
    _check_names(file, areas, site)
    glass = file.content.get("break_glass", {})
    return Areas(
        areas,
        _devices(areas, site),
        60.0 * float(glass.get("minutes", DEFAULT_MINUTES)),
        float(glass.get("silence_s", DEFAULT_SILENCE_S)),
    )


def _area(row: Mapping[str, object]) -> Area:
    steps: Sequence[Sequence[str]] = row["ranks"]  # type: ignore[assignment]
    ranks = {role: rank for rank, roles in enumerate(steps, start=1) for role in roles}
    return Area(
        name=str(row["name"]),
        title=str(row["title"]),
        title_zh=str(row["title_zh"]),
        required=row["control"] == "required",
        idle_s=60.0 * float(str(row["idle_minutes"])),
        ranks=ranks,
        devices=tuple(row["devices"]),  # type: ignore[arg-type]
        rooms=tuple(row.get("treatment", ())),  # type: ignore[arg-type]
    )


def _check_names(file: YamlFile, areas: Sequence[Area], site: Site) -> None:
    for index, area in enumerate(areas):
        if area.name in [other.name for other in areas[:index]]:
            raise file.bad(f"area {area.name} is named twice", ("areas", index, "name"))
        unknown = [room for room in area.rooms if room not in site.rooms]
        if unknown:
            allowed = ", ".join(site.rooms) or "none"
            why = f"area {area.name}: unknown room {', '.join(unknown)}: allowed are {allowed}"
            raise file.bad(why, ("areas", index, "treatment"))


def _devices(areas: Sequence[Area], site: Site) -> dict[str, Area]:
    """Each device's area: the first with a pattern that fits."""
    found: dict[str, Area] = {}
    for device in site.devices:
        if device.tango_class in NEVER:
            continue
        for area in areas:
            if any(fnmatchcase(device.name, pattern) for pattern in area.devices):
                found[device.name] = area
                break
    return found


def idle_patterns(areas: Areas, site: Site) -> list[str]:
    """Patterns of a site's areas that no device fits: a slip of the pen leaves devices without control."""
    names = [device.name for device in site.devices]
    patterns = [pattern for area in areas.areas for pattern in area.devices]
    return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
