"""Protons per MU belong to a depth dose: Monte Carlo gives the beam model's dose at the reference depth."""

from dataclasses import replace

import numpy as np
import pytest
from montecarlo_beams import NARROW, run, slabs

from tps_engine.beamdata import bragg
from tps_engine.beamdata.importers import dcpt
from tps_engine.dose.montecarlo import calibration

pytestmark = pytest.mark.requirement("TPS-DOSE")
CLINIC = replace(NARROW, depth_dose=bragg.DepthDoseParameters(**dcpt.DEPTH_DOSE))


@pytest.mark.parametrize("energy", [75.0, 170.0])
def test_the_reference_dose_of_the_beam_model_is_kept(energy: float) -> None:
    width, around = 302.0, np.arange(17.5, 23.0)  # mm, depths whose mean is 20 mm
    for beam in (NARROW, CLINIC):
        found = run(slabs(step=1.0, width=width, depth=60.0), energy, 20_000, beam)
        measured = found.dose_to_water[0, :, 0].astype(float)[17:23].mean() * width**2
        nominal, mean = np.array([energy]), float(beam.at(np.array([energy]), beam.mean_energy)[0])
        stated = bragg.integral_depth_dose(beam.water, mean, 0.0, beam.depth_dose, around).mean()
        stated *= float(beam.at(nominal, beam.protons_per_mu)[0])
        assert measured == pytest.approx(stated, rel=0.007)


def test_metersets_that_are_protons_stay_protons() -> None:
    counting = replace(CLINIC, protons_per_mu=np.ones_like(CLINIC.energies))
    doses = [
        run(slabs(step=2.0, depth=40.0), 120.0, 2000, beam).dose_to_water
        for beam in (counting, replace(counting, depth_dose=NARROW.depth_dose))
    ]
    np.testing.assert_array_equal(*doses)


def test_a_short_range_has_its_reference_dose_in_its_plateau() -> None:
    low = replace(CLINIC, mean_energy=np.full_like(CLINIC.energies, 40.0))  # range 15 mm
    ratio = calibration._dose_ratio(low, NARROW.depth_dose, np.array([100.0]))
    assert ratio[0] == pytest.approx(1.0, abs=0.03)
