"""Commissioning measurements: a YAML head and the CSV files that it names, checked before any fit.

Formats: `config/schema/beam_measurements.schema.json` and `docs/reference/beam-model.md`.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadInput
from common.text import _
from common.yaml_file import load_checked
from tps_engine.beamdata.water import Floats

DEPTH_COLUMNS = ("energy_mev", "depth_mm", "dose")
PROFILE_COLUMNS = ("energy_mev", "axis", "height_mm", "position_mm", "dose")
ABSOLUTE_COLUMNS = ("energy_mev", "depth_mm", "dose_gy", "uncertainty_percent")
_LEAST_POINTS = {"depth dose": 12, "profile": 7}


@dataclass(frozen=True)
class DepthDose:
    """Reading (n,), any unit, of a chamber of radius mm on the axis at depths (n,) mm of water.

    surface: height of the water surface above the isocentre, mm.
    """

    energy: float
    radius: float
    surface: float
    depth: Floats = field(repr=False)
    dose: Floats = field(repr=False)


@dataclass(frozen=True)
class Profile:
    """Reading (n,), any unit, along axis 0 (x) or 1 (y) in air; height: mm above the isocentre."""

    energy: float
    axis: int
    height: float
    position: Floats = field(repr=False)
    dose: Floats = field(repr=False)


@dataclass(frozen=True)
class Absolute:
    """Dose in Gy on the axis of the reference field, depth mm of water, the point at the isocentre.

    uncertainty: one standard deviation, relative.
    """

    energy: float
    depth: float
    dose: float
    uncertainty: float


@dataclass(frozen=True)
class ReferenceField:
    """A square lattice of equal spots about the axis: size mm from first to last, spacing mm, MU each."""

    size: float
    spacing: float
    mu: float


@dataclass(frozen=True)
class Measurements:
    """Everything a fit reads. head: the checked content of the YAML file."""

    head: Mapping[str, Any]
    depth_doses: tuple[DepthDose, ...]
    profiles: tuple[Profile, ...]
    absolute: tuple[Absolute, ...]
    reference: ReferenceField

    @property
    def energies(self) -> tuple[float, ...]:
        """Nominal energies in MeV that were measured, rising."""
        return tuple(sorted({curve.energy for curve in self.depth_doses}))


def load(path: Path) -> Measurements:
    """Read a head and its CSV files. Raises BadConfig for the head, BadInput naming file and line."""
    head = load_checked(path, "beam_measurements")
    folder = path.parent
    curves = tuple(
        curve
        for entry in head["depth_doses"]
        for curve in _depth_doses(folder / entry["file"], entry)
    )  # fmt: skip
    profiles = _profiles(folder / head["profiles"]["file"])
    field_ = head["reference_field"]
    absolute = _absolute(folder / field_["file"])
    size, spacing, mu = (float(field_[key]) for key in ("size_mm", "spot_spacing_mm", "mu_per_spot"))
    found = Measurements(head, curves, profiles, absolute, ReferenceField(size, spacing, mu))
    check(found)
    return found


def check(found: Measurements) -> None:
    """Raise BadInput unless every energy has a depth dose, profiles of both axes and an absolute dose."""
    wanted = set(found.energies)
    if len(wanted) < 2:
        raise BadInput(_("{count} measured energies: a beam model needs 2 or more").format(count=len(wanted)))
    for what, there in (
        (_("absolute dose"), {row.energy for row in found.absolute}),
        (_("spot profile in x"), {row.energy for row in found.profiles if row.axis == 0}),
        (_("spot profile in y"), {row.energy for row in found.profiles if row.axis == 1}),
    ):
        for energy in sorted(wanted ^ there):
            raise BadInput(
                _(
                    "{energy} MeV has no {what}, or no depth dose: give depth dose, profiles of both axes "
                    "and absolute dose at the same energies"
                ).format(energy=f"{energy:g}", what=what)
            )
    if len({row.energy for row in found.absolute}) != len(found.absolute):
        raise BadInput(_("two absolute doses at one energy: allowed is one"))


def _depth_doses(path: Path, entry: Mapping[str, Any]) -> list[DepthDose]:
    table = read_table(path, DEPTH_COLUMNS)
    found = []
    for energy in np.unique(table[:, 0]):
        rows = table[table[:, 0] == energy]
        rows = rows[np.argsort(rows[:, 1])]
        depth = rows[:, 1] + float(entry.get("offset_mm", 0.0))
        _check_curve(path, "depth dose", float(energy), depth, rows[:, 2])
        radius, surface = float(entry["chamber_radius_mm"]), float(entry.get("surface_mm", 0.0))
        if depth[0] < 0.0:
            raise BadInput(
                f"{path.name}: {energy:g} MeV: a depth lies before the water; allowed is 0 or more"
            )
        found.append(DepthDose(float(energy), radius, surface, depth, rows[:, 2]))
    return found


def _profiles(path: Path) -> tuple[Profile, ...]:
    table = read_table(path, PROFILE_COLUMNS)
    found = []
    for energy, axis, height in np.unique(table[:, :3], axis=0):
        rows = table[(table[:, :3] == (energy, axis, height)).all(axis=1)]
        rows = rows[np.argsort(rows[:, 3])]
        _check_curve(path, "profile", float(energy), rows[:, 3], rows[:, 4])
        found.append(Profile(float(energy), int(axis), float(height), rows[:, 3], rows[:, 4]))
    return tuple(found)


def _absolute(path: Path) -> tuple[Absolute, ...]:
    rows = read_table(path, ABSOLUTE_COLUMNS)
    bad = np.flatnonzero((rows[:, 1] < 0.0) | (rows[:, 2] <= 0.0) | (rows[:, 3] <= 0.0))
    if bad.size:
        raise BadInput(
            f"{path.name}: {rows[bad[0], 0]:g} MeV: depth must not be negative, dose and uncertainty positive"
        )
    return tuple(Absolute(energy, depth, dose, percent / 100.0) for energy, depth, dose, percent in rows)


def _check_curve(path: Path, what: str, energy: float, place: Floats, dose: Floats) -> None:
    where = f"{path.name}: {what} of {energy:g} MeV"
    if len(place) < _LEAST_POINTS[what]:
        raise BadInput(f"{where}: {len(place)} points: allowed are {_LEAST_POINTS[what]} or more")
    if (np.diff(place) <= 0.0).any():
        raise BadInput(f"{where}: a place is given twice; give one reading each")
    if dose.max() <= 0.0 or dose.min() < -0.05 * dose.max():
        raise BadInput(f"{where}: readings are not positive; subtract the background")
    top = int(np.argmax(dose))
    if dose[top:].min() > 0.5 * dose.max():
        raise BadInput(f"{where}: the curve ends above half its maximum; measure farther")


def read_table(path: Path, columns: Sequence[str]) -> Floats:
    """(n, columns) numbers of a CSV file whose first line names the columns in any order; # is a comment.

    An axis is written x or y and comes back as 0 or 1. Raises BadInput naming file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as why:
        raise BadInput(f"cannot read {path.name} as a text table: {type(why).__name__}") from why
    lines = [(k, row) for k, row in enumerate(text, 1) if row.strip() and not row.lstrip().startswith("#")]
    if not lines:
        raise BadInput(f"{path.name}: the table is empty; its first line names the columns")
    names = [name.strip() for name in next(csv.reader([lines[0][1]]))]
    if sorted(names) != sorted(columns):
        raise BadInput(f"{path.name}: columns {', '.join(names)}: allowed are {', '.join(columns)}")
    order = [names.index(name) for name in columns]
    rows = []
    for number, line in lines[1:]:
        cells = next(csv.reader([line]))
        if len(cells) != len(columns):
            raise BadInput(f"{path.name}, line {number}: {len(cells)} values: allowed are {len(columns)}")
        rows.append([_number(path, number, columns[k], cells[order[k]]) for k in range(len(columns))])
    if not rows:
        raise BadInput(f"{path.name}: no row below the names of the columns")
    return np.asarray(rows, dtype=np.float64)


def _number(path: Path, line: int, column: str, cell: str) -> float:
    text = cell.strip()
    if column == "axis":
        if text not in ("x", "y"):
            raise BadInput(f"{path.name}, line {line}: axis {text!r}: allowed are x and y")
        return float(text == "y")
    try:
        value = float(text)
    except ValueError as why:
        raise BadInput(f"{path.name}, line {line}: {column} {text!r} is no number") from why
    if not np.isfinite(value):
        raise BadInput(f"{path.name}, line {line}: {column} {text!r}: allowed are finite numbers")
    return value
