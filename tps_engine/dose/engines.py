"""The dose engines by name: what `--engine` chooses from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import beam as pencil_beam
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient

MOST_HISTORIES = 2_000_000_000
"""Protons of a beam at most where noise, not their number, was asked for."""

DEFAULT_NOISE = 0.005


@dataclass(frozen=True)
class Options:
    """What an engine is told beside the beam; each takes what it knows.

    noise: fraction, mean sigma over dose above half of the maximum, at which a Monte Carlo engine stops.
    histories: protons of a beam; with noise at most so many; neither given: DEFAULT_NOISE. seed: the same
    seed gives the same dose. quantity: water, dose to water, or medium, dose to the material there. device:
    cpu, cuda or auto, which takes a CUDA device where there is one and the engine can use it.
    approximate_fragments: calculate ions too whose fragments are known to be wrong behind the peak (helium).
    """

    noise: float | None = None
    histories: int | None = None
    seed: int = 1
    quantity: str = "water"
    device: str = "cpu"
    approximate_fragments: bool = False


@dataclass(frozen=True)
class EngineDose:
    """One fraction of a beam on a grid, arrays (nz, ny, nx).

    dose: physical, Gy, to what Options.quantity says. sigma: Gy, one standard deviation of dose to water.
    let: dose-averaged LET in water, keV/um. noise: mean of sigma over dose above half of the maximum.
    histories: protons simulated. None where an engine does not give it.
    """

    dose: NDArray[np.float32] = field(repr=False)
    sigma: NDArray[np.float32] | None = field(default=None, repr=False)
    let: NDArray[np.float32] | None = field(default=None, repr=False)
    noise: float | None = None
    histories: int | None = None


Progress = Callable[[float], object]
"""Called with the part (0..1) of a beam that is done."""

Engine = Callable[[Patient, Grid, IonBeam, BeamModel], NDArray[np.float32]]
"""Physical dose to water in Gy of one fraction of a beam, (nz, ny, nx) on a grid."""

FullEngine = Callable[[Patient, Grid, IonBeam, BeamModel, Options, Progress], EngineDose]


def _pencil_beam(
    patient: Patient, grid: Grid, beam: IonBeam, model: BeamModel, options: Options, progress: Progress
) -> EngineDose:
    if options.quantity != "water":
        raise BadInput(_("the pencil beam gives dose to water only; for dose to medium take --engine mc"))
    found = EngineDose(pencil_beam.beam_dose(patient, grid, beam, model, options.device))
    progress(1.0)
    return found


def _monte_carlo(
    patient: Patient, grid: Grid, beam: IonBeam, model: BeamModel, options: Options, progress: Progress
) -> EngineDose:
    # imported here: its compiled code takes a second to load, and the pencil beam needs none of it
    from tps_engine.dose.montecarlo import engine  # noqa: PLC0415

    noise = options.noise
    if noise is None and options.histories is None:
        noise = DEFAULT_NOISE
    histories = engine.Histories(
        MOST_HISTORIES if options.histories is None else options.histories,
        options.seed,
        noise=noise,
        device=options.device,
    )
    found = engine.beam_dose(patient, grid, beam, model, histories, progress)
    dose = found.dose_to_water if options.quantity == "water" else found.dose_to_medium
    # a step's straggling may give back more than the mean loss: far from dose a voxel can be below zero
    return EngineDose(
        np.maximum(dose, np.float32(0.0)),
        found.sigma,
        found.let,
        found.mean_uncertainty() if found.dose_to_water.any() else None,
        found.histories.count,
    )


ENGINES: Mapping[str, FullEngine] = {"pb": _pencil_beam, "mc": _monte_carlo}


def full_engine_of(name: str) -> FullEngine:
    """The engine of a name, with all that it gives. Raises BadInput naming those that there are."""
    if name not in ENGINES:
        raise BadInput(
            _("dose engine {name} is not available: allowed are {allowed}").format(
                name=name, allowed=", ".join(ENGINES)
            )
        )
    return ENGINES[name]


def engine_of(name: str, options: Options | None = None) -> Engine:
    """The dose alone of an engine. Raises BadInput naming those that there are."""
    full, chosen = full_engine_of(name), options or Options()

    def dose(patient: Patient, grid: Grid, beam: IonBeam, model: BeamModel) -> NDArray[np.float32]:
        return full(patient, grid, beam, model, chosen, lambda _done: None).dose

    return dose
