"""Ranges against PSTAR, and depth doses against Monte Carlo curves of another code."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from common.text import _
from tps_engine.beamdata import bragg, scattering
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.water import TABLE_EXCITATION_EV, WaterTable
from tps_engine.patient.grid import Floats
from tps_engine.patient.stopping_power import AIR
from tps_engine.validate.case import Case, Check, Outcome, Setup, at_most, within
from tps_engine.validate.doses import depth_curve, without_spread
from tps_engine.validate.phantoms import machine_energy
from tps_engine.validate.pictures import Curve, curves

PSTAR_CSDA = (
    (70.0, 4.080), (80.0, 5.184), (90.0, 6.398), (100.0, 7.718), (125.0, 11.46), (150.0, 15.77),
    (175.0, 20.62), (200.0, 25.96), (225.0, 31.74), (250.0, 37.94),
)  # fmt: skip
"""CSDA range in g/cm2 of protons of an energy in MeV in liquid water, I = 75 eV: NIST PSTAR (ICRU 49)."""

_TOLERANCE_MM = 0.3
_WIDE_MM = 400.0
_CURVE_WIDTH_MM = 102.0
_ENERGIES = (100, 150, 200)


def pstar_range(energy: float) -> float:
    """CSDA range in mm of water: a cubic spline through PSTAR's table in logarithms."""
    points = np.log(np.asarray(PSTAR_CSDA))
    return float(10.0 * np.exp(CubicSpline(points[:, 0], points[:, 1])(np.log(energy))))


def cases(engine: str) -> list[Case]:
    """The cases of one engine, pb or mc."""
    many = _("R80 of the machine's energies in water")
    shape = _("depth dose in water without energy spread")
    return [
        Case(f"range-{engine}", _("ranges"), many, engine, _("PSTAR, CSDA range, I = 75 eV"),
             partial(ranges, engine)),
        Case(f"depth-{engine}", _("depth dose"), shape, engine, _("MCsquare curves in the shared data"),
             partial(depth_doses, engine)),
    ]  # fmt: skip


def ranges(engine: str, setup: Setup) -> Outcome:
    """R80 minus the CSDA range. For a beam with little energy spread they agree (Berger, NISTIR 5226)."""
    asked = (70.0, 150.0, 230.0) if setup.quick else tuple(np.arange(70.0, 231.0, 20.0))
    checks, deviations, energies = [], [], []
    for wanted in asked:
        energy = machine_energy(setup.model, wanted)
        mean = float(setup.model.at(np.array([energy]), setup.model.mean_energy)[0])
        depth, dose = depth_curve(engine, setup.model, energy, _WIDE_MM)
        deviation = bragg.distal_depth(depth, dose, 0.8) - pstar_range(mean)
        told = _("CSDA {range} mm").format(range=f"{pstar_range(mean):.2f}")
        checks.append(within(f"R80 - CSDA, {energy:.1f} MeV", deviation, _TOLERANCE_MM, "mm", told))
        deviations.append(deviation)
        energies.append(energy)
    line = Curve("R80 - CSDA", np.asarray(energies), np.asarray(deviations), marks=True)
    picture = curves(_("R80 against PSTAR"), (_("energy (MeV)"), "mm"), [line])
    note = _("the water table has I = {value} eV; the machine delivers {low} to {high} MeV").format(
        value=f"{TABLE_EXCITATION_EV:g}", low=f"{setup.model.energies[0]:.1f}",
        high=f"{setup.model.energies[-1]:.1f}",
    )  # fmt: skip
    return Outcome(tuple(checks), (picture,), (note,))


def water_from(path: Path) -> WaterTable:
    """A range table from a file of stopping powers (energy MeV, MeV cm2/g), from 0.5 MeV on."""
    table = np.loadtxt(path)
    some = table[(table[:, 0] >= 0.5) & (table[:, 0] <= 300.0)]
    spline = CubicSpline(np.log(some[:, 0]), np.log(some[:, 1]))
    energy = np.geomspace(0.5, 300.0, 4001)
    stopping = np.exp(spline(np.log(energy)))
    csda = PSTAR_START_GCM2 + cumulative_simpson(energy / stopping, x=np.log(energy), initial=0.0)
    paths = WaterTable(energy, stopping, 10.0 * csda)
    return WaterTable(energy, stopping, paths.csda - detour(paths, paths.csda))


PSTAR_START_GCM2 = 8.869e-4
"""CSDA range of 0.5 MeV in water, PSTAR."""

_UPSTREAM_MM = 210.0 * float(AIR)
"""Water equivalent of the air before the curves' water: its middle is the isocentre, 200 mm deep, and the
nozzle of MCsquare's default machine is 410 mm away. The same program run without air ends 0.20 mm deeper."""


def detour(water: WaterTable, ranges: Floats) -> Floats:
    """Path length (n,) mm that scattering costs protons of CSDA ranges (n,) mm: path less depth reached.

    Scattering of variance A per plane makes the mean cosine exp(-A) (ICRU Report 49: 0.1 % in water). Both
    engines take a table's range for the depth reached; another code's stopping power gives a path.
    """
    some = np.geomspace(float(water.csda[0]), float(water.csda[-1]), 24)
    lost = []
    for path in some:
        edges = path * np.linspace(0.0, 1.0, 401)
        energy = np.maximum(water.energy_of(path - 0.5 * (edges[1:] + edges[:-1])), 0.5)
        power = scattering.scattering_power(energy, float(water.energy_of(path))) * np.diff(edges)
        lost.append(float(((1.0 - np.exp(-(np.cumsum(power) - 0.5 * power))) * np.diff(edges)).sum()))
    return np.asarray(np.interp(ranges, some, lost))


def depth_doses(engine: str, setup: Setup) -> Outcome:
    """Curves of single energies, both with the other code's stopping power: shape, peak, fall-off and R80.

    The plateau is compared in twelve parts after one scale, because the curves are relative.
    """
    water = water_from(setup.file("mcsquare_bdl", "Materials", "Water", "G4_Stop_Pow.dat"))
    exact = replace(without_spread(setup.model), water=water)
    checks: list[Check] = []
    lines = []
    for energy in _ENERGIES[1:2] if setup.quick else _ENERGIES:
        path = setup.file("reference", f"ref_mcsquare_{energy}MeV_s0.csv")
        depth, theirs = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
        depth = depth + _UPSTREAM_MM
        own, ours = depth_curve(engine, _only(exact, energy), float(energy), _CURVE_WIDTH_MM, 60_000, 1.0)
        ours = np.interp(depth, own, ours, right=0.0)
        scale, found = _judge(energy, depth, ours, theirs)
        checks += found
        lines += [Curve(f"MCsquare {energy} MeV", depth, theirs, marks=True)]
        lines += [Curve(f"{engine} {energy} MeV", depth, scale * ours)]
    picture = curves(_("depth dose against MCsquare"), (_("depth (mm)"), _("dose (relative)")), lines)
    notes = (
        _("both with the stopping power of Geant4 for water; its path lengths less the detour of scattering"),
        _("MCsquare's depths plus {shift} mm, the air of its set-up").format(shift=f"{_UPSTREAM_MM:.2f}"),
    )
    return Outcome(tuple(checks), (picture,), notes)


def _only(model: BeamModel, energy: float) -> BeamModel:
    """The machine with one more allowed energy, exact, between its own."""
    return replace(model, continuous=True) if float(energy) not in model.energies else model


def _judge(energy: int, depth: Floats, ours: Floats, theirs: Floats) -> tuple[float, list[Check]]:
    r80 = bragg.distal_depth(depth, theirs, 0.8)
    plateau = np.flatnonzero(depth < r80 - 8.0)
    scale = float((ours[plateau] @ theirs[plateau]) / (ours[plateau] @ ours[plateau]))
    parts = [scale * ours[part].mean() / theirs[part].mean() - 1.0 for part in np.array_split(plateau, 12)]
    fall = [bragg.distal_depth(depth, d, 0.2) - bragg.distal_depth(depth, d, 0.8) for d in (ours, theirs)]
    of = f"{energy} MeV: "
    return scale, [
        within(of + _("R80 difference"), bragg.distal_depth(depth, ours, 0.8) - r80, _TOLERANCE_MM, "mm"),
        at_most(of + _("plateau, largest difference of twelve parts"), 100.0 * np.abs(parts).max(), 2.0, "%"),
        within(of + _("peak height"), 100.0 * (scale * ours.max() / theirs.max() - 1.0), 4.0, "%"),
        within(of + _("fall-off 80 % to 20 %"), fall[0] - fall[1], 0.5, "mm"),
    ]
