"""matRad base data (.mat): machines of protons, helium, carbon and oxygen with their depth tables.

Fields as matRad's documentation of base data names them: Z is the integrated depth dose in MeV cm2/g per
particle, sigma or sigma1, sigma2, weight are the lateral Gaussians, LET is dose-averaged in keV/um, alpha and
beta belong to the pairs alphaX, betaX. Plans of matRad count weights in millions of particles: one MU here.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata import ion_files
from tps_engine.beamdata.ion_machine import DepthCurve, IonMachine, Tissue
from tps_engine.beamdata.water import Floats

PARTICLES_PER_MU = 1e6

_MODES = {"protons": "proton", "helium": "helium", "carbon": "carbon", "oxygen": "oxygen"}
_LIMITS = ((-200.0, 200.0), (-200.0, 200.0))


def read_mat(path: Path, key: str) -> Any:
    """The variable `key` of a MATLAB file. Raises BadInput when it cannot be read or is not there."""
    try:
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False)
    except (OSError, ValueError, NotImplementedError, MatReadError) as why:
        raise BadInput(_("cannot read {path} as a MATLAB file").format(path=path.name)) from why
    if key not in content:
        raise BadInput(_("{path}: holds no '{key}'; this is no matRad file").format(path=path.name, key=key))
    return content[key]


def read(path: Path, lateral: str = "double") -> IonMachine:
    """Read a machine. Where a table has both, `lateral` chooses its "single" or "double" Gaussians.

    Raises BadInput naming what is missing or cannot be used.
    """
    if lateral not in ("single", "double"):
        raise BadInput(_("lateral model {name}: allowed are single, double").format(name=lateral))
    machine = read_mat(path, "machine")
    try:
        return _machine(path, machine.meta, list(np.atleast_1d(machine.data)), lateral)
    except (AttributeError, IndexError, TypeError, ValueError) as why:
        raise BadInput(
            _("{path}: not laid out as matRad base data: {why}").format(path=path.name, why=why)
        ) from why


def convert(path: Path, out: Path) -> IonMachine:
    """Write the machine of a file to `out` (.yaml, .npz beside it) and load it. Raises BadInput; OSError."""
    ion_files.save(read(path), out)
    return ion_files.load(out)


def _machine(path: Path, meta: Any, rows: list[Any], lateral: str) -> IonMachine:
    mode = str(meta.radiationMode)
    if mode not in _MODES:
        raise BadInput(
            _("{path}: radiation mode {mode}: allowed are {allowed}").format(
                path=path.name, mode=mode, allowed=", ".join(_MODES)
            )
        )
    rows.sort(key=lambda row: float(row.energy))
    tissues = _tissues(rows[0])
    distance = _floats(rows[0].initFocus.dist)
    return IonMachine(
        name=path.stem.lower().replace("_", "-"),
        version=str(meta.created_on),
        ion=_MODES[mode],
        source=f"matRad base data {path.name}: {meta.description}",
        licence="BSD-3-Clause, Copyright DKFZ",
        sad=(float(meta.SAD), float(meta.SAD)),
        nozzle=float(meta.BAMStoIsoDist) - float(getattr(meta, "fitAirOffset", 0.0)),
        scan_limits=_LIMITS,
        minimum_mu=0.0,
        maximum_mu=1e6,
        energies=np.array([float(row.energy) for row in rows]),
        particles_per_mu=np.full(len(rows), PARTICLES_PER_MU),
        offset=np.array([float(row.offset) for row in rows]),
        peak=np.array([float(row.peakPos) for row in rows]),
        focus_distance=distance,
        focus_sigma=np.stack([_focus(row, len(distance)) for row in rows]),
        curves=tuple(_curve(row, lateral, bool(tissues)) for row in rows),
        tissues=tissues,
        biology="tabulated" if tissues else "",
    )


def _floats(values: Any) -> Floats:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def _focus(row: Any, count: int) -> Floats:
    """Widths over distance of the first focus of an energy."""
    return np.asarray(np.atleast_2d(_floats(row.initFocus.sigma))[0, :count])


def _tissues(row: Any) -> tuple[Tissue, ...]:
    if not hasattr(row, "alpha"):
        return ()
    pairs = zip(_floats(row.alphaX), _floats(row.betaX), strict=True)
    return tuple(Tissue(float(alpha), float(beta)) for alpha, beta in pairs)


def _curve(row: Any, lateral: str, biology: bool) -> DepthCurve:
    depth = _floats(row.depths)
    if hasattr(row, "sigma1") and (lateral == "double" or not hasattr(row, "sigma")):
        wide = np.clip(_floats(row.weight), 0.0, 1.0)
        sigma = np.column_stack([_floats(row.sigma1), _floats(row.sigma2)])
        weight = np.column_stack([1.0 - wide, wide])
    else:
        sigma, weight = _floats(row.sigma)[:, None], np.ones((len(depth), 1))
    return DepthCurve(
        depth,
        _floats(row.Z),
        sigma,
        weight,
        _floats(row.LET) if hasattr(row, "LET") else None,
        np.asarray(row.alpha, dtype=np.float64).reshape(len(depth), -1) if biology else None,
        np.asarray(row.beta, dtype=np.float64).reshape(len(depth), -1) if biology else None,
    )
