"""RBE-weighted dose of a plan by the pencil beam: dose and LET of its beams, then a model of the RBE."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.biology import rbe
from tps_engine.biology.parameters import RbeModel
from tps_engine.dose.beam import beam_dose_and_let
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient


@dataclass(frozen=True)
class EffectiveDose:
    """One fraction of all beams together, arrays (nz, ny, nx) float32.

    physical: dose to water, Gy. let: dose-averaged LET of protons in water, keV/um, 0 where no dose is.
    weighted: RBE-weighted dose, Gy (RBE), by the model named. It is not a sum over beams: RBE depends on the
    dose of the whole fraction.
    """

    model: str
    physical: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] = field(repr=False)
    weighted: NDArray[np.float32] = field(repr=False)


def effective_dose(
    patient: Patient,
    grid: Grid,
    beams: Sequence[IonBeam],
    beam_model: BeamModel,
    rbe_model: RbeModel,
    alpha_beta: NDArray[np.floating] | float,
    done: Callable[[], object] = lambda: None,
) -> EffectiveDose:
    """Dose, LET and RBE-weighted dose of one fraction of beams given together; `done` is called after each.

    alpha_beta: Gy, a value or a map (nz, ny, nx) (`biology.rbe.alpha_beta_map`). Raises BadInput for no beam,
    a map on another grid, alpha/beta that is not positive, energies or spots outside the machine.
    """
    if not beams:
        raise BadInput(_("an RBE-weighted dose needs one beam or more"))
    tissue = np.asarray(alpha_beta, dtype=np.float64)
    if tissue.shape not in ((), grid.shape):
        raise BadInput(
            _(
                "alpha/beta is given on {shape} voxels: allowed is one value, or the dose grid's {grid}"
            ).format(shape=tissue.shape, grid=grid.shape)
        )
    doses, lets = [], []
    for beam in beams:
        dose, let = beam_dose_and_let(patient, grid, beam, beam_model)
        doses.append(dose)
        lets.append(let)
        done()
    physical, mean = rbe.combine(doses, lets)
    weighted = rbe.weighted_dose(rbe_model, physical, mean, tissue)
    return EffectiveDose(rbe_model.name, physical, mean, weighted)
