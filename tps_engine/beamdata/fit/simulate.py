"""Measurements that instruments would take of a beam model, with noise: for tests and for rehearsal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tps_engine.beamdata.fit import depth as depth_fit
from tps_engine.beamdata.fit import predict
from tps_engine.beamdata.fit.measurements import DepthDose, ReferenceField
from tps_engine.beamdata.model import BeamModel

HEIGHTS = (-200.0, -100.0, 0.0, 100.0, 200.0, 300.0)


def write(
    folder: Path,
    model: BeamModel,
    energies: Sequence[float],
    noise: float = 0.0,
    seed: int = 1,
    radii: Sequence[float] = (40.8,),
    head: Mapping[str, Any] | None = None,
) -> Path:
    """Write a head and its CSV files as measured from a beam model; return the head's path.

    noise: of every reading, relative to the curve's maximum (absolute doses: to themselves). radii: of the
    chambers, mm. head: keys of the YAML file to add or change.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for k, radius in enumerate(radii):
        lines = [
            f"{row[0]:g},{row[1]:.3f},{row[2]:.6g}"
            for row in _depth_doses(model, energies, radius, noise, random)
        ]
        entries.append({"file": f"depth-doses-{k + 1}.csv", "chamber_radius_mm": float(radius)})
        _save(folder / str(entries[-1]["file"]), "energy_mev,depth_mm,dose", lines)
    _save(
        folder / "profiles.csv",
        "energy_mev,axis,height_mm,position_mm,dose",
        _profiles(model, energies, noise, random),
    )
    field = ReferenceField(100.0, 2.5, 1.0)
    _save(
        folder / "absolute.csv",
        "energy_mev,depth_mm,dose_gy,uncertainty_percent",
        _absolute(model, energies, field, noise, random),
    )
    content = {
        "format": 1, "name": f"{model.name}-fitted", "version": "1",
        "description": f"simulated from {model.name}",
        "author": "simulation", "date": "2000-01-01", "virtual_sad_mm": list(model.virtual_sad),
        "scan_limits_mm": {"x": list(model.scan_limits[0]), "y": list(model.scan_limits[1])},
        "minimum_mu": model.minimum_mu, "maximum_mu": model.maximum_mu, "depth_doses": entries,
        "profiles": {"file": "profiles.csv"},
        "reference_field": {
            "file": "absolute.csv", "size_mm": field.size,
            "spot_spacing_mm": field.spacing, "mu_per_spot": field.mu,
        },
        **(head or {}),
    }  # fmt: skip
    path = folder / "measurements.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def moments(model: BeamModel, energy: float) -> depth_fit.Spot:
    """A, B, C of both axes of a spot of nominal energy in MeV."""
    at = np.array([energy])
    found = [
        (
            float(model.at(at, model.sigma[:, axis])[0]) ** 2,
            float(model.at(at, model.covariance[:, axis])[0]),
            float(model.at(at, model.divergence[:, axis])[0]) ** 2,
        )
        for axis in (0, 1)
    ]
    return found[0], found[1]


def _depth_doses(
    model: BeamModel, energies: Sequence[float], radius: float, noise: float, random: np.random.Generator
) -> list[tuple[float, float, float]]:
    physics = depth_fit.Physics(model.water, model.depth_dose, model.halo)
    found = []
    for energy in energies:
        mean = float(model.at(np.array([energy]), model.mean_energy)[0])
        spread = float(model.at(np.array([energy]), model.spread)[0])
        end = float(model.water.range_of(mean))
        near = np.arange(max(end - 15.0, 1.0), end + 12.0, 0.5)
        place = np.unique(np.r_[np.arange(1.0, end - 15.0, 5.0), near])
        curve = DepthDose(energy, radius, 0.0, place, place)
        dose = depth_fit.reading(physics, curve, moments(model, energy), mean, spread)
        noisy = dose + noise * dose.max() * random.standard_normal(len(dose))
        found += [(energy, float(z), max(float(value), 0.0)) for z, value in zip(place, noisy, strict=True)]
    return found


def _profiles(
    model: BeamModel, energies: Sequence[float], noise: float, random: np.random.Generator
) -> list[str]:
    lines = []
    for energy in energies:
        mean = float(model.at(np.array([energy]), model.mean_energy)[0])
        for axis, height in ((a, z) for a in (0, 1) for z in HEIGHTS):
            var = float(predict.variance(moments(model, energy)[axis], height))
            if model.air_from is not None:
                var += predict.air_variance(model.water, mean, model.air_from, height)
            sigma = float(np.sqrt(var))
            place = np.linspace(-4.0 * sigma, 4.0 * sigma, 41)
            dose = np.exp(-0.5 * (place / sigma) ** 2) + noise * random.standard_normal(len(place))
            lines += [
                f"{energy:g},{'xy'[axis]},{height:g},{x:.3f},{value:.6g}"
                for x, value in zip(place, dose, strict=True)
            ]
    return lines


def _absolute(
    model: BeamModel,
    energies: Sequence[float],
    field: ReferenceField,
    noise: float,
    random: np.random.Generator,
) -> list[str]:
    lines = []
    for energy in energies:
        at = np.array([energy])
        mean, spread = float(model.at(at, model.mean_energy)[0]), float(model.at(at, model.spread)[0])
        one = predict.depth_dose(model.water, mean, spread, model.depth_dose, np.array([20.0]))
        lateral = predict.reference_sum(model.water, mean, moments(model, energy), model.halo, field, 20.0)
        dose = float(one[0]) * lateral * float(model.at(at, model.protons_per_mu)[0]) * field.mu
        lines.append(
            f"{energy:g},20,{dose * (1.0 + noise * random.standard_normal()):.8g},{max(100 * noise, 0.01):g}"
        )
    return lines


def _save(path: Path, head: str, lines: Sequence[str]) -> None:
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
