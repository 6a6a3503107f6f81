"""Fitted parameters over energy: smooth polynomials, evaluated at the machine's energies."""

from collections.abc import Sequence

import numpy as np

from common.text import _
from tps_engine.beamdata.fit.predict import variance
from tps_engine.beamdata.fit.result import EnergyFit, Interpolation
from tps_engine.beamdata.water import Floats, WaterTable

DEGREE = 4
"""Degree of the polynomials unless the head says otherwise; at most the number of energies less two."""
_CORRELATION_LIMIT = 0.999


def columns_of(fits: Sequence[EnergyFit], water: WaterTable, plane: float) -> dict[str, Floats]:
    """Parameters (e,) as in the table of format 2; for the mean energy its range minus the nominal's."""
    energy = np.array([fit.energy for fit in fits])
    mean = np.array([fit.mean for fit in fits])
    found = {
        "range": water.range_of(mean) - water.range_of(energy),
        "spread": np.array([fit.spread for fit in fits]),
    }
    for axis, name in enumerate("xy"):
        moments = np.array([fit.axes[axis].moments for fit in fits])
        sigma2 = np.array([float(variance(fit.axes[axis].moments, plane)) for fit in fits])
        divergence = np.sqrt(moments[:, 2])
        slanted = np.sqrt(np.maximum(sigma2, 1e-12)) * np.maximum(divergence, 1e-12)
        found[f"sigma {name}"] = np.sqrt(np.maximum(sigma2, 1e-12))
        found[f"divergence {name}"] = 1000.0 * divergence
        found[f"correlation {name}"] = (moments[:, 1] - moments[:, 2] * plane) / slanted
    found["protons per MU"] = np.array([fit.protons for fit in fits])
    return found


_LIMITS = {
    "range": ("mm", 0.3), "spread": ("MeV", 0.1), "sigma": ("%", 3.0), "divergence": ("mrad", 0.3),
    "correlation": ("", 0.1), "protons per MU": ("%", 1.0),
}  # fmt: skip


def errors_of(fits: Sequence[EnergyFit], columns: dict[str, Floats], water: WaterTable) -> dict[str, Floats]:
    """Standard deviations (e,) of the columns, with a least one that no measurement beats."""
    found = {
        "range": np.array([row.mean_error * water.range_slope(row.mean) for row in fits]) + 0.05,
        "spread": np.array([row.spread_error for row in fits]) + 0.005,
        "protons per MU": np.array([row.protons_error for row in fits]),
    }
    for axis, name in enumerate("xy"):
        errors = np.array([row.axes[axis].errors for row in fits])
        sigma, divergence = columns[f"sigma {name}"], columns[f"divergence {name}"] / 1000.0
        found[f"sigma {name}"] = 0.5 * errors[:, 0] / sigma + 0.002 * sigma
        # of a divergence that vanishes, the root of the variance's own uncertainty
        widest = np.maximum(divergence, np.sqrt(errors[:, 2]))
        found[f"divergence {name}"] = 1000.0 * (0.5 * errors[:, 2] / widest + 1e-5)
        found[f"correlation {name}"] = errors[:, 1] / (sigma * widest) + 0.005
    return found


def curves(
    energy: Floats, columns: dict[str, Floats], errors: dict[str, Floats], degree: int
) -> tuple[dict[str, Floats], list[Interpolation]]:
    """Polynomial coefficients of each column over ln E, and how far its values lie from them.

    A value counts by the inverse of its standard deviation.
    """
    degree = max(min(degree, len(energy) - 2), 1)
    place = _place(energy, energy)
    coefficients: dict[str, Floats] = {}
    found = []
    for name, values in columns.items():
        weights = 1.0 / errors[name]
        coefficients[name] = np.asarray(np.polynomial.polynomial.polyfit(place, values, degree, w=weights))
        smooth = np.asarray(np.polynomial.polynomial.polyval(place, coefficients[name]), dtype=np.float64)
        unit, limit = next(row for key, row in _LIMITS.items() if name.startswith(key))
        off = np.abs(values - smooth)
        if unit == "%":
            off = 100.0 * off / np.abs(values)
        doubtful = np.abs(values - smooth) > 3.0 * errors[name]
        found.append(
            Interpolation(
                name,
                unit,
                energy,
                values,
                smooth,
                float(off.max()),
                limit,
                bool((off <= limit)[doubtful].all()),
            )
        )
    return coefficients, found


def rows_of(coefficients: dict[str, Floats], measured: Floats, wanted: Floats, water: WaterTable) -> Floats:
    """(e, 10) energy table of format 2 at the wanted nominal energies, MeV."""
    place = _place(wanted, measured)
    at = {name: np.polynomial.polynomial.polyval(place, row) for name, row in coefficients.items()}
    mean = water.energy_of(water.range_of(wanted) + at["range"])
    limited = [np.clip(at[f"correlation {name}"], -_CORRELATION_LIMIT, _CORRELATION_LIMIT) for name in "xy"]
    return np.column_stack([
        wanted, mean, np.maximum(at["spread"], 0.0), at["sigma x"], at["sigma y"],
        *(np.maximum(at[f"divergence {name}"], 0.0) for name in "xy"), *limited, at["protons per MU"],
    ])  # fmt: skip


def warnings_of(interpolations: Sequence[Interpolation]) -> list[str]:
    """A warning for every parameter that no smooth curve follows within its limit."""
    return [
        _("{name}: a fitted value lies {deviation} {unit} off the smooth curve (limit {limit})").format(
            name=row.name, deviation=f"{row.deviation:.3g}", unit=row.unit, limit=f"{row.limit:g}"
        )
        for row in interpolations
        if not row.good
    ]


def _place(energy: Floats, measured: Floats) -> Floats:
    """Logarithm of the energy, scaled to -1..1 over the measured ones: polynomials are well conditioned."""
    low, high = float(np.log(measured.min())), float(np.log(measured.max()))
    return np.asarray((2.0 * np.log(energy) - low - high) / (high - low))
