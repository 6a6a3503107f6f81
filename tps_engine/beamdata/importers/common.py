"""What every importer ends with: one checked file in the beam-model format."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.errors import BadInput
from common.files import write_atomic
from tps_engine.beamdata import model
from tps_engine.beamdata.water import Floats

NUCLEAR_HALO = {
    "weight": 0.09,
    "weight_power": 0.75,
    "sigma_mm": 18.5,
    "sigma_power": 0.45,
    "build_up": 0.28,
}
"""Halo of nuclear secondaries in water, fitted to the double Gaussians of matRad's generic protons."""

GENERIC = "proton-generic"
"""The model whose depth dose of protons in water an imported model takes: foreign tables have none."""


@dataclass(frozen=True)
class Table:
    """What a foreign table says, in the units of the format.

    rows: (e, 10) energy table of format 2. second: (e, 7) second Gaussian, or empty. plane: mm upstream.
    depth_dose: parameters of the depth dose that the table's protons per MU go with, None: the generic ones.
    """

    name: str
    source: str
    rows: Floats
    plane: float
    sad: tuple[float, float]
    mean_excitation_ev: float
    second: Floats = field(default_factory=lambda: np.zeros((0, 7)))
    range_shifters: tuple[Mapping[str, Any], ...] = ()
    depth_dose: Mapping[str, float] | None = None


def write(table: Table, path: Path) -> model.BeamModel:
    """Write a table as a beam model, atomically, and load it. Raises BadInput, BadConfig; OSError.

    A table that the format's checks refuse is not written.
    """
    return write_checked(_content(table), path)


def write_checked(content: Mapping[str, Any], path: Path) -> model.BeamModel:
    """Write a beam-model file, atomically, and load it. Raises BadInput, BadConfig; OSError."""
    if path.suffix != ".yaml":
        raise BadInput(f"{path.name}: a beam model is a .yaml file; give such a name")
    text = yaml.safe_dump(
        dict(content), sort_keys=False, allow_unicode=True, width=200, default_flow_style=None
    )
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        model.load(trial)
    write_atomic(path, text.encode())
    return model.load(path)


def _content(table: Table) -> dict[str, Any]:
    content: dict[str, Any] = {
        "format": 2,
        "name": table.name,
        "version": "1",
        "ion": "proton",
        "description": f"Imported from {table.source}",
        "source": table.source,
        "virtual_sad_mm": [float(value) for value in table.sad],
        "scan_limits_mm": {"x": [-200.0, 200.0], "y": [-200.0, 200.0]},
        "minimum_mu": 1e-6,
        "maximum_mu": 1e6,
        "reference_plane_mm": float(table.plane),
        "air": True,
        "mean_excitation_ev": float(table.mean_excitation_ev),
        "energy_selection": "continuous",
        "nuclear_halo": dict(NUCLEAR_HALO),
        "depth_dose": dict(table.depth_dose or asdict(model.load(GENERIC).depth_dose)),
    }
    if table.range_shifters:
        content["range_shifters"] = [dict(row) for row in table.range_shifters]
    content["energies"] = _listed(table.rows)
    if table.second.size:
        content["second_gaussian"] = _listed(table.second)
    return content


def _listed(rows: Floats) -> list[list[float]]:
    return [[float(f"{value:.9g}") for value in row] for row in rows]


def numbers(path: Path, line: int, parts: list[str], count: int) -> list[float]:
    """Exactly `count` finite numbers of a line of a table. Raises BadInput naming the line."""
    try:
        values = [float(part) for part in parts]
    except ValueError as why:
        raise BadInput(f"{path.name}, line {line}: something is no number; the table is damaged") from why
    if len(values) != count or not np.isfinite(values).all():
        raise BadInput(f"{path.name}, line {line}: {len(values)} values: allowed are {count} finite numbers")
    return values


def lines_of(path: Path) -> list[str]:
    """The lines of a text file. Raises BadInput when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="strict").splitlines()
    except (OSError, UnicodeDecodeError) as why:
        raise BadInput(f"cannot read {path} as a text table: {type(why).__name__}") from why
