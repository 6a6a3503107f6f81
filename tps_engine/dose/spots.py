"""Spots as the dose engine takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.patient.grid import Floats


@dataclass(frozen=True)
class Spots:
    """n spots of one beam. energy MeV; x, y mm in the isocentric plane; sigma_x, sigma_y mm in air there."""

    energy: Floats
    x: Floats
    y: Floats
    sigma_x: Floats
    sigma_y: Floats

    def __post_init__(self) -> None:
        parts = (self.energy, self.x, self.y, self.sigma_x, self.sigma_y)
        if len({len(part) for part in parts}) != 1:
            raise BadInput("spot arrays differ in length: allowed is one value a spot in each")
        if not all(np.isfinite(part).all() for part in parts):
            raise BadInput("spots hold values that are no numbers; check positions, sizes and energies")
        if len(self) and min(self.sigma_x.min(), self.sigma_y.min()) <= 0.0:
            raise BadInput("a spot size is not positive; give the standard deviation in mm")

    def __len__(self) -> int:
        return len(self.x)


def nominal(model: BeamModel, energy: Floats, x: Floats, y: Floats) -> Spots:
    """Spots with the sizes of the beam model.

    Raises BadInput for energies or positions outside the machine.
    """
    check_reach(model.scan_limits, x, y)
    return Spots(
        np.asarray(energy, dtype=np.float64),
        np.asarray(x, dtype=np.float64),
        np.asarray(y, dtype=np.float64),
        model.at(np.asarray(energy, dtype=np.float64), model.sigma[:, 0]),
        model.at(np.asarray(energy, dtype=np.float64), model.sigma[:, 1]),
    )


def check_reach(limits: Sequence[tuple[float, float]], x: Floats, y: Floats) -> None:
    """Raise BadInput when a spot lies outside a machine's scan limits: low and high along x and y, mm."""
    for name, values, (low, high) in (("x", x, limits[0]), ("y", y, limits[1])):
        if len(values) and (np.min(values) < low or np.max(values) > high):  # NaN: see Spots
            raise BadInput(
                _(
                    "spot positions {name} {first} .. {last} mm: the machine scans {low} .. {high} mm; "
                    "move the isocentre or split the field"
                ).format(
                    name=name,
                    first=f"{np.min(values):.1f}",
                    last=f"{np.max(values):.1f}",
                    low=f"{low:.0f}",
                    high=f"{high:.0f}",
                )
            )


def of_beam(beam: IonBeam, model: BeamModel) -> tuple[Spots, Floats]:
    """All spots of a planned beam, in order of delivery, and their metersets (n,) MU.

    Raises BadInput for an energy that the machine lacks or a spot outside its scan limits.
    """
    for layer in beam.layers:
        model.index_of(layer.energy)
    return (
        nominal(
            model,
            np.repeat([layer.energy for layer in beam.layers], [layer.spot_count for layer in beam.layers]),
            _joined([layer.x for layer in beam.layers]),
            _joined([layer.y for layer in beam.layers]),
        ),
        _joined([layer.mu for layer in beam.layers]),
    )


def _joined(parts: Sequence[NDArray[np.float32]]) -> Floats:
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts] or [np.zeros(0)])


def protons(model: BeamModel, spots: Spots, mu: Floats) -> Floats:
    """Number of protons (n,) of metersets (n,) in MU by the beam model's monitor calibration."""
    return np.asarray(mu * model.at(spots.energy, model.protons_per_mu))
