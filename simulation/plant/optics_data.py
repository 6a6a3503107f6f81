"""The optics file of a site: elements, segments, lines and ring as data, checked when read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadConfig
from common.yaml_file import load_checked

STRENGTH = {
    "dipole": "bend",
    "quadrupole": "k1",
    "sextupole": "k2",
    "corrector": "kick",
    "scanner": "kick",
}
"""Kind of element -> the number in the file that its supply's current multiplies."""


@dataclass(frozen=True)
class Element:
    """One element. strength: k1 1/m2, k2 1/m3, kick rad or field angle rad, at the supply's nominal current.

    angle: how much the reference orbit bends, rad. aperture: half widths (x, y) in m or None.
    shift: how far it stands off the axis (x, y) in m.
    """

    kind: str
    name: str = ""
    length: float = 0.0
    angle: float = 0.0
    strength: float = 0.0
    supply: str = ""
    plane: str = "x"
    aperture: tuple[float, float] | None = None
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Start:
    """The beam where a line begins. twiss: beta_x m, alpha_x, beta_y m, alpha_y.

    emittance: normalised, rms, (x, y) in m rad. momentum_spread: relative, rms.
    """

    twiss: tuple[float, float, float, float]
    emittance: tuple[float, float]
    momentum_spread: float


@dataclass(frozen=True)
class LineData:
    """A way of the beam. room: from 1, 0 for none. switch: the supply whose field sends beam into it."""

    room: int
    switch: str
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class RingData:
    """The ring. septum: element of the extraction septum, its position and wire thickness in m."""

    bend: str
    elements: tuple[Element, ...]
    septum: str
    septum_m: float
    wire_m: float
    start: Start


@dataclass(frozen=True)
class OpticsData:
    """A checked optics file; `energy` MeV, `collimator` m rad and `degrader` of a cyclotron, else 0 and
    "".
    """

    source: str
    start: Start
    lines: tuple[LineData, ...]
    ring: RingData | None
    injector: tuple[Element, ...]
    injector_start: Start | None
    energy: float = 0.0
    collimator: float = 0.0


def load(path: Path) -> OpticsData:
    """Read and check an optics file. Raises BadConfig naming the place and what is allowed there."""
    content = load_checked(path, "optics")
    segments = {
        name: tuple(_element(path, row) for row in rows) for name, rows in content["segments"].items()
    }

    def joined(names: list[str]) -> tuple[Element, ...]:
        missing = [name for name in names if name not in segments]
        if missing:
            raise BadConfig(f"{path.name}: no segment {missing[0]}: allowed are {', '.join(segments)}")
        return tuple(element for name in names for element in segments[name])

    lines = tuple(
        LineData(row["room"], row.get("switch", ""), joined(row["segments"])) for row in content["lines"]
    )
    ring, injector = content.get("ring"), content.get("injector")
    cyclotron = content.get("cyclotron", {})
    if (content["source"] == "ring") != (ring is not None) or bool(cyclotron) == (ring is not None):
        raise BadConfig(f"{path.name}: a source 'ring' needs the section ring, a 'cyclotron' its own")
    return OpticsData(
        source=content["source"],
        start=_start(content),
        lines=lines,
        ring=None if ring is None else _ring(path, ring, content["start"]),
        injector=joined(injector["segments"]) if injector else (),
        injector_start=_start(injector) if injector else None,
        energy=float(cyclotron.get("energy", 0.0)),
        collimator=1e-6 * float(cyclotron.get("collimator_um", 0.0)),
    )


def _start(row: Mapping[str, Any]) -> Start:
    beta_x, alpha_x, beta_y, alpha_y = row["start"]
    x, y = row["emittance_um"]
    return Start((beta_x, alpha_x, beta_y, alpha_y), (1e-6 * x, 1e-6 * y), float(row["momentum_spread"]))


def _ring(path: Path, row: Mapping[str, Any], start: list[float]) -> RingData:
    elements = tuple(_element(path, entry) for entry in row["elements"])
    septum = row["septum"]
    if septum["element"] not in {element.name for element in elements}:
        raise BadConfig(f"{path.name}: the ring has no element {septum['element']} for its septum")
    return RingData(
        bend=row["bend"],
        elements=elements,
        septum=septum["element"],
        septum_m=1e-3 * septum["position_mm"],
        wire_m=1e-3 * septum["wire_mm"],
        start=_start({**row, "start": start}),
    )


def _element(path: Path, row: Mapping[str, Any]) -> Element:
    kind, angle = row["kind"], float(row.get("angle", 0.0))
    name = str(row.get("name", ""))
    if kind in STRENGTH and (not name or "supply" not in row):
        raise BadConfig(f"{path.name}: a {kind} needs name and supply: {dict(row)}")
    strength = row.get(STRENGTH[kind], angle) if kind in STRENGTH else 0.0
    aperture = row.get("aperture")
    shift_x, shift_y = row.get("shift", (0.0, 0.0))
    return Element(
        kind=kind,
        name=name,
        length=float(row.get("length", 0.0)),
        angle=angle,
        strength=float(strength),
        supply=str(row.get("supply", "")),
        plane=str(row.get("plane", "x")),
        aperture=None if aperture is None else (float(aperture[0]), float(aperture[1])),
        shift=(float(shift_x), float(shift_y)),
    )
