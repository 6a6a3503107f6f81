"""How many protons of this Monte Carlo a meterset is: both engines give a beam model's reference dose."""

import numpy as np

from tps_engine.beamdata import bragg, model
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import spots as spot_module
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats

REFERENCE_DEPTH_MM = 20.0
"""Depth in water of the reference dose of one layer: in its plateau, where IAEA TRS-398 has it measured."""

PART_OF_RANGE = 0.5
"""Of a range shorter than twice the reference depth: where its reference dose is taken instead."""

OWN = "proton-generic"
"""The beam model whose depth dose is that of this Monte Carlo."""


def protons(machine: BeamModel, spots: Spots, mu: Floats) -> Floats:
    """Number of protons (n,) of metersets (n,) in MU that leave the beam model's dose at the reference depth.

    A machine's protons per MU are those of the depth dose that it was calibrated with; another calculation of
    nuclear reactions leaves another dose per proton, so that measured dose and protons per MU cannot both be
    kept. The dose is kept. Raises BadInput for energies outside the machine.
    """
    counted = spot_module.protons(machine, spots, mu)
    own = model.load(OWN).depth_dose
    if machine.depth_dose == own or (machine.protons_per_mu == 1.0).all():  # metersets that are protons stay
        return counted
    energies, which = np.unique(spots.energy, return_inverse=True)
    return np.asarray(counted * _dose_ratio(machine, own, energies)[which])


def _dose_ratio(machine: BeamModel, own: bragg.DepthDoseParameters, energies: Floats) -> Floats:
    """Dose per proton of the beam model over that of this Monte Carlo, (e,), at the reference depth."""
    found = np.empty(len(energies))
    rows = zip(machine.at(energies, machine.mean_energy), machine.at(energies, machine.spread), strict=True)
    for index, (energy, spread) in enumerate(rows):
        depth = min(REFERENCE_DEPTH_MM, PART_OF_RANGE * float(machine.water.range_of(energy)))
        theirs, ours = (
            bragg.integral_depth_dose(machine.water, float(energy), float(spread), one, np.array([depth]))
            for one in (machine.depth_dose, own)
        )
        found[index] = theirs[0] / ours[0]
    return found
