"""CT calibrations made and written: from measured inserts, and from MCsquare's scanner tables."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from common.errors import BadInput
from common.files import write_atomic
from common.site import load_checked
from common.text import _
from tps_engine.patient import stopping_power
from tps_engine.patient.composition import REFERENCE_MEV, Material, library, material
from tps_engine.patient.stoichiometric import Curve, Insert, Scanner, curve, fit_scanner
from tps_engine.patient.stopping_power import CtCalibration

Floats = NDArray[np.float64]

_METAL_HU = 2000.0
_HEAD = "# CT number to stopping power relative to water. Schema: config/schema/ct_calibration.schema.json.\n"


@dataclass(frozen=True)
class Fit:
    """What a fit found: the scanner, the curve, the file's content as it will be written."""

    scanner: Scanner
    curve: Curve
    content: Mapping[str, Any]


def fit(path: Path) -> Fit:
    """The stoichiometric calibration of a measurement file (config/schema/ct_inserts.schema.json).

    Inserts are named as in config/physics/tissues.yaml, with a density of their own if measured, or bring
    density and mass fractions. Raises BadConfig for a file that breaks its schema, BadInput as `fit_scanner`.
    """
    measured = load_checked(path, "ct_inserts")
    scanner = fit_scanner([_insert(row) for row in measured["inserts"]])
    found = curve(scanner, library().tissues)
    provenance: dict[str, Any] = {
        "method": "stoichiometric",
        **{key: measured[key] for key in ("scanner", "kv", "protocol", "author", "date") if key in measured},
        "source": path.name,
        "inputs_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "tissues_version": library().version,
        "energy_mev": REFERENCE_MEV,
        "k_photo": float(f"{scanner.k_photo:.6g}"),
        "k_coherent": float(f"{scanner.k_coherent:.6g}"),
        "k_errors": [float(f"{error:.3g}") for error in scanner.errors],
        "residuals_hu": {name: round(miss, 2) for name, miss in scanner.residuals.items()},
    }
    content = {
        "format": 1,
        "name": measured["name"],
        "version": measured["version"],
        "metal_hu": float(measured.get("metal_hu", _METAL_HU)),
        "provenance": provenance,
        "table": _rows(found.hu, found.rsp),
        "density": _rows(found.hu, found.density),
    }
    return Fit(scanner, found, content)


def _insert(row: Mapping[str, Any]) -> Insert:
    name = row["name"]
    if "fractions" in row:
        if "density" not in row:
            raise BadInput(_("insert {name}: its mass fractions need its density").format(name=name))
        made = material(name, row["density"], row["fractions"])
    else:
        made = library().any(name)
        made = replace(made, density=float(row.get("density", made.density)))
    return Insert(made, float(row["hu"]), float(row.get("sd", 5.0)))


def from_mcsquare(folder: Path, name: str) -> tuple[Mapping[str, Any], float]:
    """The content of a table from MCsquare's scanner folder, and the largest change to keep it from falling.

    HU_Density_Conversion.txt gives densities; HU_Material_Conversion.txt the Schneider material by CT number
    (by the name in its comment). Stopping power is density times that of the material (Bethe, 150 MeV), with
    the material's part linear between the middles of its ranges. Raises BadInput for files that are not so.
    """
    densities = np.array(
        [[float(a), float(b)] for a, b, _note in _lines(folder / "HU_Density_Conversion.txt")]
    )
    rows = _lines(folder / "HU_Material_Conversion.txt")
    limits = np.array([float(hu) for hu, _label, _note in rows])
    known = {m.name: m for _limit, m in library().schneider}
    names = [note for _hu, _label, note in rows]
    for note in names:
        if note not in known:
            raise BadInput(
                _("{folder}: material {name} is not known; known are {known}").format(
                    folder=folder.name, name=note or "-", known=", ".join(known)
                )
            )
    if len(densities) < 3 or (np.diff(densities[:, 0]) <= 0).any() or (np.diff(limits) <= 0).any():
        raise BadInput(_("{folder}: CT numbers must rise along its tables").format(folder=folder.name))
    hu, rsp = _by_material(densities, limits, [known[note] for note in names])
    kept = np.maximum.accumulate(rsp)
    content = {
        "format": 1,
        "name": name,
        "version": "1",
        "metal_hu": max(float(densities[-1, 0]), _METAL_HU),
        "provenance": {
            "method": "import",
            "source": f"MCsquare scanner {folder.name}",
            "tissues_version": library().version,
            "energy_mev": REFERENCE_MEV,
        },
        "table": _rows(hu, kept),
        "density": _rows(densities[:, 0], np.maximum.accumulate(densities[:, 1])),
        "materials": [[float(limit), note] for limit, note in zip(limits, names, strict=True)],
    }
    return content, float(np.abs(kept - rsp).max())


def _by_material(densities: Floats, limits: Floats, materials: list[Material]) -> tuple[Floats, Floats]:
    """Stopping power at the points of the density table and at the middles of the materials' ranges."""
    middles = np.append(0.5 * (limits[:-1] + limits[1:]), limits[-1])
    per_mass = np.array([m.relative_stopping_power(density=1.0) for m in materials])
    inside = middles[(middles > densities[0, 0]) & (middles < densities[-1, 0])]
    hu = np.unique(np.concatenate([densities[:, 0], inside]))
    return hu, np.interp(hu, densities[:, 0], densities[:, 1]) * np.interp(hu, middles, per_mass)


def _lines(path: Path) -> list[tuple[str, str, str]]:
    """First number, second number and comment of each line that is not only a comment. Raises BadInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise BadInput(_("cannot read {path}: {why}").format(path=path, why=why)) from why
    found = []
    for line in text.splitlines():
        values, _mark, note = line.partition("#")
        words = values.split()
        try:
            if words:
                float(words[0]), float(words[1])
                found.append((words[0], words[1], note.strip()))
        except (ValueError, IndexError) as why:
            raise BadInput(
                _("{path}: two numbers expected in the line {line}").format(path=path.name, line=line.strip())
            ) from why
    return found


def _rows(hu: Floats, values: Floats) -> list[list[float]]:
    """Points of a table, rounded, never falling by rounding."""
    return [[round(float(h), 1), round(float(v), 5)] for h, v in zip(hu, values, strict=True)]


def write(content: Mapping[str, Any], path: Path) -> CtCalibration:
    """Write a table, atomically, and load it. Raises BadInput and BadConfig (nothing is written), OSError."""
    if path.suffix != ".yaml":
        raise BadInput(_("{name}: a CT calibration is a .yaml file; give such a name").format(name=path.name))
    text = _HEAD + yaml.safe_dump(
        dict(content), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        stopping_power.load(trial)
    write_atomic(path, text.encode())
    return stopping_power.load(path)
