"""The dose of a finished plan by an engine, with the plan's own biology."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.dose import engines
from tps_engine.dose.recompute import patient_of
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan import radiation as machines
from tps_engine.plan.aims import PLAN_DOSE
from tps_engine.plan.effects import DOSE, LET_DOSE, Effects, Sums
from tps_engine.plan.radiation import Machine, Protons
from tps_engine.plan.request import PlanOptions, PlanResult, Prescription, Progress

PENCIL_BEAM = "pb"


class Images(Protocol):
    """A CT and what is drawn on it."""

    @property
    def ct(self) -> CtVolume:
        """The image."""

    @property
    def structures(self) -> StructureSet:
        """The regions."""


def dose_again(
    images: Images,
    calibration: CtCalibration,
    prescription: Prescription,
    options: PlanOptions,
    machine: Machine,
    result: PlanResult,
    engine: str,
    progress: Progress,
) -> NDArray[np.float32]:
    """RBE-weighted Gy of one fraction, (nz, ny, nx) on the plan's grid, by pb or mc.

    Raises BadInput for an engine that there is not, for these ions or at all.
    """
    full = engines.full_engine_of(engine)
    radiation, model = machines.with_model(machines.of(machine), options.model, prescription.rbe_model)
    if not isinstance(radiation, Protons) and engine != PENCIL_BEAM:
        raise BadInput(_("plans of ions: allowed is the engine pb"))
    effects = radiation.effects(model, result.grid.shape, result.regions, options.tissues)
    wanted = frozenset({DOSE, *effects.sums(PLAN_DOSE)})
    patient = patient_of(images.ct, images.structures, calibration)
    parts = []
    for number, beam in enumerate(result.beams):
        progress(number / len(result.beams), beam.name)
        if engine == PENCIL_BEAM:
            parts.append(radiation.beam(patient, result.grid, beam, wanted, effects))
        else:
            assert isinstance(radiation, Protons)
            parts.append(_by(full, patient, result, beam, radiation))
    return _weighted(effects, parts, wanted).reshape(result.grid.shape)


def _by(
    engine: engines.FullEngine, patient: Patient, result: PlanResult, beam: IonBeam, radiation: Protons
) -> Sums:
    """Sums of a beam by an engine that gives dose and LET."""
    found = engine(patient, result.grid, beam, radiation.model, engines.Options(), lambda _done: None)
    dose = found.dose.ravel().astype(np.float64)
    return {DOSE: dose} if found.let is None else {DOSE: dose, LET_DOSE: dose * found.let.ravel()}


def _weighted(effects: Effects, parts: Sequence[Sums], wanted: frozenset[str]) -> NDArray[np.float32]:
    total = {name: np.sum([part[name] for part in parts], axis=0) for name in wanted}
    return effects.values(PLAN_DOSE, total).astype(np.float32)
