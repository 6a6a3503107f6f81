"""Delivered against planned monitor units, per spot and per beam."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tps_engine.evaluate.delivered import DeliveredBeam

Floats = NDArray[np.float64]
_FLOAT32 = 1e-5
"""Relative tolerance of spot metersets, which DICOM carries as float32."""


@dataclass(frozen=True)
class BeamMeterset:
    """One beam: MU delivered - planned. difference, relative: (n,) per spot, MU and share of planned MU
    (1 where beam was given and none planned).

    beam_relative: of the beam's sum. missing_layers: energies, MeV, whose planned MU got no beam at all.
    wrong: (n,) spots whose difference exceeds both the relative tolerance and one quantum.
    """

    number: int
    difference: Floats
    relative: Floats
    beam_relative: float
    missing_layers: tuple[float, ...]
    wrong: NDArray[np.bool_]

    @property
    def max_relative(self) -> float:
        """Largest relative difference of a spot, as a positive number."""
        return float(np.abs(self.relative).max(initial=0.0))


def compare_beam(beam: DeliveredBeam, spot_tolerance: float, quantum: float = 0.0) -> BeamMeterset:
    """Compare one beam. `spot_tolerance` is relative; `quantum` in MU is allowed whatever its share."""
    difference = beam.mu - beam.planned_mu
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(
            beam.planned_mu > 0, difference / beam.planned_mu, (beam.mu > 0).astype(np.float64)
        )
    planned = float(beam.planned_mu.sum())
    given = float(beam.mu.sum())
    beam_relative = (given - planned) / planned if planned > 0 else (float(given > 0))
    allowed = np.maximum(spot_tolerance * beam.planned_mu, quantum) + _FLOAT32 * beam.planned_mu
    return BeamMeterset(
        number=beam.number,
        difference=difference,
        relative=relative,
        beam_relative=float(beam_relative),
        missing_layers=_missing_layers(beam),
        wrong=np.abs(difference) > allowed,
    )


def compare(
    beams: Sequence[DeliveredBeam], spot_tolerance: float, quantum: float = 0.0
) -> tuple[BeamMeterset, ...]:
    """Compare all beams; one count of the record's own monitor is allowed where it is the larger quantum."""
    return tuple(compare_beam(beam, spot_tolerance, max(quantum, beam.quantum)) for beam in beams)


def _missing_layers(beam: DeliveredBeam) -> tuple[float, ...]:
    planned = np.bincount(beam.layer, beam.planned_mu, len(beam.energies))
    given = np.bincount(beam.layer, beam.mu, len(beam.energies))
    return tuple(float(energy) for energy in beam.energies[(planned > 0) & (given == 0)])
