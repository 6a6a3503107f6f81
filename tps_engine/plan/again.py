"""The dose of a finished plan by an engine, with the plan's own biology."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.dose import engines
from tps_engine.dose.ions import recompute as ion_dose
from tps_engine.dose.recompute import patient_of
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan import radiation as machines
from tps_engine.plan.aims import PLAN_DOSE
from tps_engine.plan.effects import DOSE, LET_DOSE, PHYSICAL, Effects, Sums
from tps_engine.plan.ion_radiation import Ions
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


@dataclass(frozen=True)
class Planned:
    """A plan to calculate again, and what it was made from."""

    images: Images = field(repr=False)
    calibration: CtCalibration = field(repr=False)
    prescription: Prescription
    options: PlanOptions = field(repr=False)
    machine: Machine = field(repr=False)
    result: PlanResult = field(repr=False)


def dose_again(
    plan: Planned, engine: str, progress: Progress, options: engines.Options | None = None
) -> NDArray[np.float32]:
    """RBE-weighted Gy of one fraction, (nz, ny, nx) on the plan's grid, by pb or mc.

    Monte Carlo of ions weighs dose by the microdosimetric kinetic model alone, with z* of all nuclei that are
    followed. Raises BadInput for an engine that there is not, for ions planned with tables of alpha and beta
    over depth, and as the engines.
    """
    full, asked = engines.full_engine_of(engine), options or engines.Options()
    chosen, result = plan.options, plan.result
    wanted_model = chosen.model, plan.prescription.rbe_model
    radiation = machines.on_device(machines.of(plan.machine), asked.device)
    radiation, model = machines.with_model(radiation, *wanted_model)
    if isinstance(radiation, Ions) and engine != PENCIL_BEAM:
        return _ions_by_monte_carlo(plan, radiation, model, asked, progress)
    effects = radiation.effects(model, result.grid.shape, result.regions, chosen.tissues)
    wanted = frozenset({DOSE, *effects.sums(PLAN_DOSE)})
    patient = patient_of(plan.images.ct, plan.images.structures, plan.calibration)
    parts = []
    for number, beam in enumerate(result.beams):
        progress(number / len(result.beams), beam.name)
        if engine == PENCIL_BEAM:
            parts.append(radiation.beam(patient, result.grid, beam, wanted, effects))
        else:
            assert isinstance(radiation, Protons)
            parts.append(_by(full, patient, result, beam, radiation, asked))
    return _weighted(effects, parts, wanted).reshape(result.grid.shape)


def _ions_by_monte_carlo(
    plan: Planned, radiation: Ions, model: str, options: engines.Options, progress: Progress
) -> NDArray[np.float32]:
    ion_dose.refuse_unproven(radiation.machine, options)
    cell = machines.cell_of(plan.options.model)
    if cell is None and model != PHYSICAL:
        raise BadInput(
            _(
                "Monte Carlo of ions does not know {model}, tables over depth for the pencil beam: plan with "
                "MKM or physical, or take the engine pb"
            ).format(model=model)
        )
    patient = patient_of(plan.images.ct, plan.images.structures, plan.calibration)
    result = plan.result
    found = ion_dose.of_beams(
        patient, result.grid, result.beams, radiation.machine, options,
        lambda done: progress(done, _("dose calculation")), cell,
    )  # fmt: skip
    return found.dose


def _by(
    engine: engines.FullEngine,
    patient: Patient,
    result: PlanResult,
    beam: IonBeam,
    radiation: Protons,
    options: engines.Options,
) -> Sums:
    """Sums of a beam by an engine that gives dose and LET."""
    found = engine(patient, result.grid, beam, radiation.model, options, lambda _done: None)
    dose = found.dose.ravel().astype(np.float64)
    return {DOSE: dose} if found.let is None else {DOSE: dose, LET_DOSE: dose * found.let.ravel()}


def _weighted(effects: Effects, parts: Sequence[Sums], wanted: frozenset[str]) -> NDArray[np.float32]:
    total = {name: np.sum([part[name] for part in parts], axis=0) for name in wanted}
    return effects.values(PLAN_DOSE, total).astype(np.float32)
