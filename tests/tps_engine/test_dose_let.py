"""LET of the pencil beam against the Monte Carlo engine, and the RBE-weighted dose of a plan."""

from dataclasses import replace

import numpy as np
import pytest
from montecarlo_beams import GENERIC, run, slabs
from tps_phantoms import water_box

from common.errors import BadInput
from tps_engine.beamdata.bragg import HaloParameters
from tps_engine.beamdata.model import TABLE_STEP_MM, kernel_tables
from tps_engine.biology import parameters, rbe
from tps_engine.dose import effective, let
from tps_engine.dose.beam import beam_dose
from tps_engine.patient import model as patient_model
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import dose_grid
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("row", [6, 50])
def test_let_in_water_is_that_of_the_monte_carlo_engine(row):
    """Laterally integrated: 0.15 keV/um in the plateau, 10 % and 0.3 keV/um where it rises."""
    energy = float(GENERIC.energies[row])
    grid = slabs(2.0, 300.0, 200.0)
    found = run(grid, energy, 8000, beam=GENERIC)
    theirs, dose = (values[0, :, 0].astype(float) for values in (found.let, found.dose_to_water))
    depth = grid.axis(1)
    every, core, second = let.let_of_parts(
        GENERIC.water, float(GENERIC.mean_energy[row]), float(GENERIC.spread[row]), GENERIC.depth_dose, depth
    )
    end = float(GENERIC.water.range_of(energy))
    plateau = (depth > 0.05 * end) & (depth < 0.75 * end)
    assert np.abs(every - theirs)[plateau].mean() < 0.08
    rising = (depth >= 0.75 * end) & (dose > 0.2 * dose.max())
    assert (np.abs(every - theirs)[rising] < 0.3 + 0.1 * theirs[rising]).all()
    some = (depth < end) & (depth > 0.0)
    assert (core[some] <= every[some] + 0.5).all()
    assert second[some].min() > 2.0


@pytest.mark.requirement("TPS-DOSE")
def test_parts_of_the_beam_share_dose_times_let():
    """Core and halo add up to the whole, and the halo's LET is the higher one in the plateau."""
    beam = replace(GENERIC, halo=HaloParameters(0.05, 0.75, 14.0, 0.45, 0.28))
    energies = (float(beam.energies[40]),)
    whole, core, halo = (let.let_tables(beam, energies, 0.0, part)[0] for part in ("all", "core", "halo"))
    np.testing.assert_allclose(core + halo, whole, rtol=1e-4, atol=1e-4 * whole.max())
    row = int(60.0 / TABLE_STEP_MM)
    dose = [kernel_tables(beam, energies, 0.0, part).idd[0, row] for part in ("core", "halo")]
    assert halo[row] / dose[1] > 2.0 * core[row] / dose[0]


@pytest.fixture(scope="module")
def plan():
    ct, structures = water_box()
    wanted = Prescription("cube", 2.0, 30, ())
    fields = (FieldRequest("A", 0.0), FieldRequest("B", 90.0))
    result = make_plan(ct, structures, wanted, fields, GENERIC, PlanOptions(dose_spacing=5.0))
    return patient_model.build(ct, structures, ["organ"], "cube", stopping_power.load()), result


@pytest.mark.requirement("TPS-BIO")
def test_rbe_weighted_dose_of_a_plan(plan):
    patient, result = plan
    grid = dose_grid(patient.grid, patient.body, 5.0)
    models = parameters.load()
    doses = [beam_dose(patient, grid, beam, GENERIC) for beam in result.beams]
    for name in ("constant 1.1", "McNamara", "Wedenberg", "Carabe"):
        found = effective.effective_dose(patient, grid, result.beams, GENERIC, models.model(name), 2.0)
        np.testing.assert_allclose(found.physical, np.sum(doses, axis=0), rtol=1e-5, atol=1e-6)
        high = found.physical > 0.9 * found.physical.max()
        factor = found.weighted[high] / found.physical[high]
        assert found.model == name
        assert 1.05 < factor.mean() < (1.1001 if name == "constant 1.1" else 1.6)
        assert 1.0 < found.let[high].mean() < 6.0
    late = effective.effective_dose(patient, grid, result.beams, GENERIC, models.model("McNamara"), 10.0)
    assert late.weighted.max() < found.weighted.max()
    cells = np.full(grid.shape, 2.0)
    same = effective.effective_dose(patient, grid, result.beams, GENERIC, models.model("Carabe"), cells)
    np.testing.assert_array_equal(same.weighted, found.weighted)
    assert rbe.combine(doses, doses)[0].shape == grid.shape
    with pytest.raises(BadInput, match="one beam or more"):
        effective.effective_dose(patient, grid, (), GENERIC, models.model("Carabe"), 2.0)
    with pytest.raises(BadInput, match="the dose grid's"):
        effective.effective_dose(
            patient, grid, result.beams, GENERIC, models.model("Carabe"), np.full((2, 2, 2), 2.0)
        )
