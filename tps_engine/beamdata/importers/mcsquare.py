"""MCsquare beam data libraries (BDL): text, one or two Gaussians a spot at the nozzle exit.

Energy spread is a percentage of the mean energy; correlations are positive for a beam that diverges
downstream, as matRad writes them. The depth at which MCsquare's water stops protons is that of I = 75 eV.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadInput
from tps_engine.beamdata.importers.common import Table, lines_of, numbers
from tps_engine.beamdata.water import TABLE_EXCITATION_EV, Floats

_DISTANCES = ("Nozzle exit to Isocenter distance", "SMX to Isocenter distance", "SMY to Isocenter distance")
_COLUMNS = 18


def read(path: Path) -> Table:
    """Read a library. Raises BadInput naming what is missing or the line that cannot be used."""
    lines = lines_of(path)
    plane, sad_x, sad_y = (_after(path, lines, title) for title in _DISTANCES)
    start = next((k for k, line in enumerate(lines) if line.split()[:1] == ["NominalEnergy"]), None)
    if start is None:
        raise BadInput(f"{path.name}: no line NominalEnergy ...: this is no MCsquare beam data library")
    rows = [
        numbers(path, number, line.split(), _COLUMNS)
        for number, line in enumerate(lines[start + 1 :], start=start + 2)
        if line.strip()
    ]
    declared = _count(lines)
    if len(rows) < 2 or len(rows) < declared:
        raise BadInput(f"{path.name}: {len(rows)} energies, the header says {declared}: the table is cut off")
    table = np.asarray(rows)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    first, second = _gaussian(table[:, 4:11]), _gaussian(table[:, 11:18])
    spread = table[:, 1] * table[:, 2] / 100.0
    ours = np.column_stack([table[:, 0:2], spread, first[:, 1:], table[:, 3]])
    return Table(
        name, path.name, ours, plane, (sad_x, sad_y), TABLE_EXCITATION_EV,
        second if (second[:, 0] > 0.0).any() else np.zeros((0, 7)), _shifters(path, lines),
    )  # fmt: skip


def _gaussian(columns: Floats) -> Floats:
    """(e, 7) weight, sigmas, divergences in mrad, correlations, from the library's order."""
    weight, size_x, angle_x, corr_x, size_y, angle_y, corr_y = columns.T
    return np.column_stack([weight, size_x, size_y, 1000.0 * angle_x, 1000.0 * angle_y, corr_x, corr_y])


def _after(path: Path, lines: list[str], title: str) -> float:
    """The number on the line after a title."""
    for number, line in enumerate(lines[:-1], start=1):
        if line.strip() == title:
            return numbers(path, number + 1, lines[number].split(), 1)[0]
    raise BadInput(f"{path.name}: no line '{title}': this is no MCsquare beam data library")


def _count(lines: list[str]) -> int:
    for line in lines:
        found = re.fullmatch(r"\s*(\d+)\s+energies\s*", line)
        if found:
            return int(found.group(1))
    return 0


def _shifters(path: Path, lines: list[str]) -> tuple[dict[str, Any], ...]:
    """Range shifters with their thickness in water; the geometric one is not in the library."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        key, equals, rest = line.partition("=")
        value = rest.partition("#")[0].strip()
        if not equals:
            continue
        if key.strip() == "RS_ID":
            found.append({"id": value})
        elif key.strip() == "RS_WET" and found:
            found[-1]["water_equivalent_mm"] = numbers(path, number, [value], 1)[0]
        elif key.strip() == "RS_type" and value != "binary":
            raise BadInput(f"{path.name}, line {number}: range shifter of type {value}: allowed is binary")
    return tuple(row for row in found if "water_equivalent_mm" in row)
