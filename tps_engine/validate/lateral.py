"""Growth of a beam across with depth in water, against theory."""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import curve_fit

from common.text import _
from tps_engine.beamdata import scattering
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.water import WaterTable
from tps_engine.patient.grid import Floats, Grid
from tps_engine.validate.case import Case, Check, Outcome, Setup, within
from tps_engine.validate.doses import histories, pencil
from tps_engine.validate.phantoms import beam, build, machine_energy
from tps_engine.validate.pictures import Curve, curves

_STEP = 4.0
_TOLERANCE = 4.0
_SHARES = (0.5, 0.7, 0.85, 0.95)
_OWN_MM = 1.0
_END, _END_TOLERANCE = 0.97, 5.0
"""Part of the range taken for the end of range: behind it protons have stopped on one side of a voxel."""

RADIATION_LENGTH_MM = 360.8
"""X_0 of water, 36.08 g/cm2 (Particle Data Group)."""


def cases(engine: str) -> list[Case]:
    """The cases of one engine, pb or mc."""
    return [
        Case(f"lateral-{engine}", _("lateral growth"), _("width of a beam with depth in water"), engine,
             _("Fermi-Eyges with Gottschalk's scattering power"),
             partial(growth, engine)),
    ]  # fmt: skip


def growth(engine: str, setup: Setup) -> Outcome:
    """The Gaussian core's standard deviation at parts of the range. The theory holds the beam's own width."""
    checks: list[Check] = []
    lines: list[Curve] = []
    narrow = _narrow(setup.model)
    for wanted in (150.0,) if setup.quick else (100.0, 150.0, 200.0):
        energy = machine_energy(setup.model, wanted)
        range_mm = float(setup.model.water.range_of(energy))
        depth, found = _widths(engine, narrow, energy)
        theory = np.sqrt(_theory(narrow, energy, depth))
        lines += [
            Curve(f"{_('theory')} {energy:.0f} MeV", depth, theory),
            Curve(f"{engine} {energy:.0f} MeV", depth, found, marks=True),
        ]
        for share in _SHARES:
            row = int(np.argmin(np.abs(depth - share * range_mm)))
            what = _("{energy} MeV: width at {depth} mm").format(
                energy=f"{energy:.0f}", depth=f"{depth[row]:.0f}"
            )
            told = f"{theory[row]:.2f} mm"
            checks.append(within(what, 100.0 * (found[row] / theory[row] - 1.0), _TOLERANCE, "%", told))
        checks.append(_end_check(setup.model.water, energy, depth, found))
    picture = curves(_("lateral growth in water"), (_("depth (mm)"), _("sigma (mm)")), lines)
    note = _("beam of 1 mm; width: Gaussian on a flat base, which takes the nuclear tails")
    return Outcome(tuple(checks), (picture,), (note,))


def highland_variance(water: WaterTable, energy: float, depth: float) -> float:
    """Variance in mm2, per axis, that scattering adds at a depth in mm of water of a beam of `energy` MeV.

    Highland's formula with the constants of Lynch and Dahl, Nucl Instrum Meth B 58 (1991) 6, as the Particle
    Data Group gives it: theta0 = 13.6 MeV / pv sqrt(x/X0) (1 + 0.038 ln(x/X0)). In a thick slab its square
    is summed over the slowing down with the logarithm of the whole depth (Gottschalk et al., Nucl Instrum
    Meth B 74 (1993) 467), here times the square of the distance left. Raises BadInput outside the table.
    """
    edges = np.linspace(0.0, depth, 1001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    left = float(water.range_of(energy)) - middle
    pv = scattering.momentum_velocity(np.maximum(water.energy_of(left), 0.3))
    moment = float((((depth - middle) / pv) ** 2).sum()) * (edges[1] - edges[0]) / RADIATION_LENGTH_MM
    factor = 13.6 * (1.0 + 0.038 * float(np.log(depth / RADIATION_LENGTH_MM)))
    return float(factor**2 * moment)


def _end_check(water: WaterTable, energy: float, depth: Floats, found: Floats) -> Check:
    """The width at the end of range against a formula that neither engine uses."""
    at = _END * float(water.range_of(energy))
    expected = float(np.sqrt(_OWN_MM**2 + highland_variance(water, energy, at)))
    off = 100.0 * (float(CubicSpline(depth, found)(at)) / expected - 1.0)
    what = _("{energy} MeV: width at the end of range, {depth} mm").format(
        energy=f"{energy:.0f}", depth=f"{at:.0f}"
    )
    return within(what, off, _END_TOLERANCE, "%", _("Highland, {width} mm").format(width=f"{expected:.2f}"))


def _narrow(model: BeamModel) -> BeamModel:
    """The machine with parallel beams of 1 mm, so that what is seen is scattering."""
    none = 0.0 * model.divergence
    return replace(model, sigma=none + _OWN_MM, divergence=none, covariance=none)


def _theory(model: BeamModel, energy: float, depth: Floats) -> Floats:
    """Variance in mm2 at depths (n,) mm in water: the beam's own and that of scattering."""
    fine = np.unique(np.r_[0.0, depth])
    more = scattering.lateral_variance(model.water, energy, fine)
    return np.asarray(_OWN_MM**2 + np.interp(depth, fine, more))


def _widths(engine: str, model: BeamModel, energy: float) -> tuple[Floats, Floats]:
    """Depths (n,) to the end of range, voxels of 4 mm, and fitted widths there, mm."""
    range_mm = float(model.water.range_of(energy))
    rows = int(0.98 * range_mm / _STEP) + 1
    planned = beam(model, energy)
    if engine == "mc":
        grid = Grid((-40.0, 0.5 * _STEP, 0.0), (1.0, _STEP, 400.0), (1, rows, 81))
        dose = histories(build(grid), planned, model, 120_000).dose_to_water[0].astype(np.float64)
    else:
        grid = Grid((-40.0, 0.5 * _STEP, -40.0), (1.0, _STEP, 1.0), (81, rows, 81))
        wide = build(Grid((0.0, 2.5, 0.0), (400.0, 5.0, 400.0), (1, int(range_mm / 5.0) + 3, 1)))
        dose = pencil(wide, planned, model, grid).dose.sum(axis=0, dtype=np.float64)
    depth, x = grid.axis(1), grid.axis(0)
    theory = np.sqrt(_theory(model, energy, depth))
    found = [_core(x, dose[row], float(theory[row])) for row in range(rows)]
    return depth, np.asarray(found)


def _core(x: Floats, dose: Floats, guess: float) -> float:
    """Standard deviation of a Gaussian on a flat base, fitted within 3 expected ones; voxels taken off."""
    core = np.abs(x) < max(3.0 * guess, 4.0)
    (_top, width, _base), _cov = curve_fit(
        lambda u, a, s, b: a * np.exp(-0.5 * (u / s) ** 2) + b,
        x[core],
        dose[core] / dose.max(),
        [1.0, guess, 0.0],
    )
    return float(np.sqrt(max(width**2 - 1.0 / 12.0, 0.0)))
