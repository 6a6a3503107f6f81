"""Mean energy and energy spread of each energy from its depth doses; parameters common to all energies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata import bragg
from tps_engine.beamdata.bragg import DepthDoseParameters, HaloParameters
from tps_engine.beamdata.fit import predict
from tps_engine.beamdata.fit.measurements import DepthDose
from tps_engine.beamdata.fit.predict import Moments
from tps_engine.beamdata.fit.result import Residual
from tps_engine.beamdata.water import Floats, WaterTable

LIMIT = 0.02
"""Root mean square of a depth dose's residuals, relative to its maximum, above which it is warned about."""
_HALO = {"halo_weight": "weight", "halo_sigma_mm": "sigma_mm"}
_BOUNDS = {
    "fluence_loss_per_cm": (0.0, 0.05), "straggling_factor": (0.5, 2.0), "local_fraction": (0.0, 1.0),
    "secondary_fraction": (0.0, 1.0), "secondary_length_cm": (0.5, 40.0), "halo_weight": (0.0, 0.4),
    "halo_sigma_mm": (5.0, 60.0),
}  # fmt: skip


@dataclass(frozen=True)
class Physics:
    """What all energies share."""

    water: WaterTable
    parameters: DepthDoseParameters
    halo: HaloParameters | None

    def with_values(self, names: Sequence[str], values: Floats) -> "Physics":
        """The same with some parameters changed, by their names in the measurements' head."""
        parameters, halo = self.parameters, self.halo
        for name, value in zip(names, values, strict=True):
            if name in _HALO:
                if halo is None:
                    raise BadInput(_("{name}: the beam model has no nuclear halo to fit").format(name=name))
                halo = replace(halo, **{_HALO[name]: float(value)})
            else:
                parameters = replace(parameters, **{name: float(value)})
        return Physics(self.water, parameters, halo)

    def value(self, name: str) -> float:
        """A parameter by its name in the measurements' head."""
        if name in _HALO and self.halo is None:
            raise BadInput(_("{name}: the beam model has no nuclear halo to fit").format(name=name))
        return float(getattr(self.halo, _HALO[name]) if name in _HALO else getattr(self.parameters, name))


@dataclass(frozen=True)
class Energy:
    """Mean energy and spread in MeV with their standard deviations."""

    mean: float
    mean_error: float
    spread: float
    spread_error: float


Spot = tuple[Moments, Moments]


def reading(physics: Physics, curve: DepthDose, spot: Spot, mean: float, spread: float) -> Floats:
    """What the chamber reads per proton, (n,) Gy mm2: the depth dose times the part that it catches."""
    dose = predict.depth_dose(physics.water, mean, spread, physics.parameters, curve.depth)
    return dose * predict.caught(
        physics.water, mean, spot, physics.halo, curve.radius, curve.surface, curve.depth
    )


def energy_of(physics: Physics, curves: Sequence[DepthDose], spot: Spot) -> Energy:
    """Fit mean energy and spread to all depth doses of one energy; every curve has a scale of its own.

    Starts from the depth of 80 % behind the peak, which is the range of the mean energy (Bortfeld, Med
    Phys 24 (1997) 2024). Raises BadInput for curves that no energy of the range table fits.
    """
    first = curves[0]
    r80 = bragg.distal_depth(first.depth, first.dose, 0.8)
    table = physics.water
    if not table.csda[0] < r80 < table.csda[-1]:
        raise BadInput(
            _("depth dose of {energy} MeV: its peak ends at {depth} mm; check the depths").format(
                energy=f"{first.energy:g}", depth=f"{r80:.1f}"
            )
        )
    mean = float(table.energy_of(r80))

    def off(values: Floats) -> Floats:
        return np.concatenate(
            [_off(physics, curve, spot, float(values[0]), float(values[1])) for curve in curves]
        )

    low, high = 0.85 * mean, min(1.15 * mean, float(table.energy[-1]))
    found = least_squares(
        off, [mean, 0.006 * mean], bounds=([low, 0.0], [high, 0.1 * mean]), x_scale=[0.1, 0.1],
        diff_step=1e-4,
    )  # fmt: skip
    mean_error, spread_error = predict.standard_errors(found.jac, found.fun)
    return Energy(float(found.x[0]), float(mean_error), float(found.x[1]), float(spread_error))


def common_of(
    physics: Physics,
    names: Sequence[str],
    curves: Sequence[DepthDose],
    spots: Sequence[Spot],
    energies: Sequence[Energy],
) -> tuple[Physics, dict[str, tuple[float, float]]]:
    """Fit parameters of all energies with each energy's own kept; one spot and energy a curve."""

    def off(values: Floats) -> Floats:
        trial = physics.with_values(names, values)
        return np.concatenate([
            _off(trial, curve, spot, energy.mean, energy.spread)
            for curve, spot, energy in zip(curves, spots, energies, strict=True)
        ])  # fmt: skip

    low, high = zip(*(_BOUNDS[name] for name in names), strict=True)
    start = np.clip([physics.value(name) for name in names], low, high)
    found = least_squares(off, start, bounds=(low, high), x_scale=np.asarray(high), diff_step=1e-3)
    errors = predict.standard_errors(found.jac, found.fun)
    values = {name: (float(x), float(e)) for name, x, e in zip(names, found.x, errors, strict=True)}
    return physics.with_values(names, found.x), values


def residual(physics: Physics, curve: DepthDose, spot: Spot, energy: Energy) -> Residual:
    """A depth dose against the model, both relative to the largest reading."""
    top = float(curve.dose.max())
    off = _off(physics, curve, spot, energy.mean, energy.spread)
    name = _("depth dose of {energy} MeV, chamber of {radius} mm radius").format(
        energy=f"{curve.energy:g}", radius=f"{curve.radius:g}"
    )
    measured = curve.dose / top
    return Residual(
        "depth dose", name, curve.energy, curve.depth, measured, measured - off,
        float(np.sqrt(np.mean(off**2))), float(np.abs(off).max()), LIMIT,
    )  # fmt: skip


def _off(physics: Physics, curve: DepthDose, spot: Spot, mean: float, spread: float) -> Floats:
    """Measured minus model, relative to the largest reading, with the scale that fits best."""
    measured = curve.dose / curve.dose.max()
    model = reading(physics, curve, spot, mean, spread)
    return np.asarray(measured - model * float(measured @ model) / float(model @ model))
