"""The fit as a whole: profiles, depth doses, absolute doses, then smooth curves and the beam-model file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata import model
from tps_engine.beamdata.fit import depth, predict, profiles, smooth
from tps_engine.beamdata.fit.depth import Energy, Physics, Spot
from tps_engine.beamdata.fit.measurements import Absolute, Measurements
from tps_engine.beamdata.fit.result import AxisOptics, EnergyFit, FitResult, Residual
from tps_engine.beamdata.water import TABLE_EXCITATION_EV, Floats, water_of

ROUNDS = 3
"""Turns of fitting each energy and the parameters common to all."""
_LEAST_SPREAD = 1e-3

Progress = Callable[[float, str], None]


def fit(measurements: Measurements, progress: Progress = lambda _part, _step: None) -> FitResult:
    """Fit a beam model to measurements. Raises BadInput naming the measurement that cannot be used.

    Spot widths come first, because the chamber's catch and the reference field need them; for air, the
    nominal energy stands for the mean one (1 % of energy is 2 % of what air adds).
    """
    head = measurements.head
    base = model.load(head.get("start", "proton-generic"))
    physics = Physics(
        water_of(float(head.get("mean_excitation_ev", TABLE_EXCITATION_EV))), base.depth_dose, base.halo
    )
    progress(0.0, _("spot profiles"))
    spots, residuals, warnings = _spots(measurements, physics)
    progress(0.2, _("depth doses"))
    energies, physics, common = _depths(measurements, physics, spots, progress)
    for curve in measurements.depth_doses:
        spot = _moments(spots[curve.energy])
        residuals.append(depth.residual(physics, curve, spot, energies[curve.energy]))
    progress(0.9, _("absolute doses"))
    fits = []
    for row in sorted(measurements.absolute, key=lambda one: one.energy):
        found = energies[row.energy]
        protons = _protons(measurements, physics, row, _moments(spots[row.energy]), found)
        fits.append(
            EnergyFit(
                row.energy, found.mean, found.mean_error, found.spread, found.spread_error,
                spots[row.energy], protons, protons * row.uncertainty,
            )
        )  # fmt: skip
    return _finish(measurements, physics, common, fits, residuals, warnings)


def _spots(
    measurements: Measurements, physics: Physics
) -> tuple[dict[float, tuple[AxisOptics, AxisOptics]], list[Residual], list[str]]:
    head = measurements.head
    blur = float(head["profiles"].get("detector_sigma_mm", 0.0))
    plane, air = float(head.get("reference_plane_mm", 0.0)), bool(head.get("air", False))
    found, residuals, warnings = {}, [], []
    for energy in measurements.energies:
        axes = []
        for axis in (0, 1):
            own = [row for row in measurements.profiles if row.energy == energy and row.axis == axis]
            widths = [profiles.width_of(row, blur) for row in own]
            residuals += [width.residual for width in widths]
            optics, said = profiles.optics_of(widths, physics.water, energy, plane, air)
            heights = np.array([row.height for row in own])
            warnings += said + profiles.check_sizes(optics, heights, energy, "xy"[axis])
            axes.append(optics)
        found[energy] = (axes[0], axes[1])
    return found, residuals, warnings


def _depths(
    measurements: Measurements,
    physics: Physics,
    spots: dict[float, tuple[AxisOptics, AxisOptics]],
    progress: Progress,
) -> tuple[dict[float, Energy], Physics, dict[str, tuple[float, float]]]:
    """Energies and common parameters in turn: each turn starts from what the other found."""
    names = list(measurements.head.get("fitted", ()))
    curves = measurements.depth_doses
    common: dict[str, tuple[float, float]] = {}
    energies: dict[float, Energy] = {}
    for turn in range(ROUNDS if names else 1):
        for energy in measurements.energies:
            own = [curve for curve in curves if curve.energy == energy]
            energies[energy] = depth.energy_of(physics, own, _moments(spots[energy]))
        if names:
            each = [_moments(spots[curve.energy]) for curve in curves]
            physics, common = depth.common_of(
                physics, names, curves, each, [energies[curve.energy] for curve in curves]
            )
        progress(0.2 + 0.7 * (turn + 1) / ROUNDS, _("depth doses"))
    return energies, physics, common


def _protons(
    measurements: Measurements, physics: Physics, row: Absolute, spot: Spot, energy: Energy
) -> float:
    """Protons per MU that give the absolute dose of the reference field. Raises BadInput behind the peak."""
    one = predict.depth_dose(
        physics.water, energy.mean, energy.spread, physics.parameters, np.array([row.depth])
    )
    lateral = predict.reference_sum(
        physics.water, energy.mean, spot, physics.halo, measurements.reference, row.depth
    )
    if row.depth > 0.8 * float(physics.water.range_of(energy.mean)):
        raise BadInput(
            _(
                "absolute dose of {energy} MeV at {depth} mm: allowed is the plateau, "
                "less than 80 % of the range"
            ).format(energy=f"{row.energy:g}", depth=f"{row.depth:g}")
        )
    return row.dose / (float(one[0]) * lateral * measurements.reference.mu)


def _finish(
    measurements: Measurements,
    physics: Physics,
    common: dict[str, tuple[float, float]],
    fits: Sequence[EnergyFit],
    residuals: Sequence[Residual],
    warnings: Sequence[str],
) -> FitResult:
    head = measurements.head
    energy = np.array(measurements.energies)
    columns = smooth.columns_of(fits, physics.water, float(head.get("reference_plane_mm", 0.0)))
    errors = smooth.errors_of(fits, columns, physics.water)
    coefficients, interpolations = smooth.curves(
        energy, columns, errors, int(head.get("polynomial_degree", smooth.DEGREE))
    )
    wanted = np.asarray(head.get("energies", energy), dtype=np.float64)
    if wanted.min() < energy.min() - 1e-6 or wanted.max() > energy.max() + 1e-6:
        raise BadInput(
            _("energies {low} .. {high} MeV were measured; a beam model is not extrapolated").format(
                low=f"{energy.min():g}", high=f"{energy.max():g}"
            )
        )
    rows = smooth.rows_of(coefficients, energy, wanted, physics.water)
    said = [*warnings, *_bad(residuals), *_edges(fits), *smooth.warnings_of(interpolations)]
    return FitResult(
        measurements, _content(measurements, physics, rows), tuple(fits), physics.parameters, physics.halo,
        common, tuple(residuals), tuple(interpolations), tuple(said),
    )  # fmt: skip


def _content(measurements: Measurements, physics: Physics, rows: Floats) -> dict[str, Any]:
    """The beam-model file, format 2."""
    head = measurements.head
    taken = ("name", "version", "description", "author", "date", "virtual_sad_mm", "scan_limits_mm", "minimum_mu", "maximum_mu")  # noqa: E501  # fmt: skip
    content: dict[str, Any] = {"format": 2, "ion": "proton", **{key: head[key] for key in taken}}
    content["source"] = "fitted from commissioning measurements"
    content["reference_plane_mm"] = float(head.get("reference_plane_mm", 0.0))
    content["air"] = bool(head.get("air", False))
    content["mean_excitation_ev"] = float(head.get("mean_excitation_ev", TABLE_EXCITATION_EV))
    content["energy_selection"] = head.get("energy_selection", "listed")
    if physics.halo is not None:
        halo = asdict(physics.halo)  # an infinite length is what a file leaves out
        content["nuclear_halo"] = {key: value for key, value in halo.items() if np.isfinite(value)}
    content["depth_dose"] = asdict(physics.parameters)
    for key in ("range_shifters", "ripple_filters"):
        if key in head:
            content[key] = head[key]
    content["energies"] = [[float(f"{value:.9g}") for value in row] for row in rows]
    return content


def _bad(residuals: Sequence[Residual]) -> list[str]:
    return [
        _("{name}: the model misses it by {rms} % (root mean square; limit {limit} %)").format(
            name=row.name, rms=f"{100 * row.rms:.2f}", limit=f"{100 * row.limit:.1f}"
        )
        for row in residuals
        if not row.good
    ]


def _edges(fits: Sequence[EnergyFit]) -> list[str]:
    return [
        _("{energy} MeV: the peak is sharper than range straggling alone; the energy spread is 0").format(
            energy=f"{row.energy:g}"
        )
        for row in fits
        if row.spread < _LEAST_SPREAD
    ]


def _moments(axes: tuple[AxisOptics, AxisOptics]) -> Spot:
    return axes[0].moments, axes[1].moments
