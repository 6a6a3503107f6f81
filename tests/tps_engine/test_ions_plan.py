"""Dose of ion plans: two beams together, RBE-weighted by tissue, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from common.dicom.plan import IonBeam, IonLayer
from common.errors import BadInput
from tps_engine.beamdata import ion_files
from tps_engine.beamdata.ion_machine import IonMachine, Tissue
from tps_engine.biology import effect, tissues
from tps_engine.dose.ions import engine, spots
from tps_engine.dose.ions.plan import plan_dose
from tps_engine.optimise import functions, paired, products, solver
from tps_engine.optimise.objectives import SquaredDeviation
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import beam_frame

GRID = Grid((-60.0, -90.0, -60.0), (5.0, 5.0, 5.0), (25, 37, 25))
BODY = np.ones(GRID.shape, dtype=bool)
WATER = Patient(GRID, np.ones(GRID.shape, dtype=np.float32), BODY, {"External": BODY}, "HFS", ())
LATE, EARLY = Tissue(0.1, 0.05), Tissue(0.5, 0.05)


@pytest.fixture(scope="module")
def carbon() -> IonMachine:
    return ion_files.load("carbon-generic")


def beam_of(machine: IonMachine, number: int, gantry: float) -> IonBeam:
    """A cube of 40 mm about the isocentre from 5 mm spots, a few MU each."""
    place = np.arange(-20.0, 20.1, 5.0)
    x, y = (a.ravel().astype(np.float32) for a in np.meshgrid(place, place))
    reach = 92.5 if gantry == 0.0 else 62.5
    rows = np.flatnonzero((machine.peak > reach - 15.0) & (machine.peak < reach + 25.0))[::3]
    layers = tuple(
        IonLayer(float(machine.energies[row]), x, y, np.full(len(x), 0.2 + 0.06 * k, np.float32), 9.0, 9.0)
        for k, row in enumerate(rows)
    )
    return IonBeam(number, f"beam {number}", gantry, 0.0, (0.0, 0.0, 0.0), layers, machine.sad)


@pytest.mark.requirement("TPS-BIO")
def test_two_beams_act_together_by_the_tissue_of_each_voxel(carbon: IonMachine) -> None:
    beams = [beam_of(carbon, 1, 0.0), beam_of(carbon, 2, 90.0)]
    half = BODY.copy()
    half[:12] = False
    kinds = tissues.tissue_map(carbon, GRID.shape, LATE, {"half": half}, {"half": EARLY})
    both = plan_dose(WATER, GRID, beams, carbon, kinds)
    single = [plan_dose(WATER, GRID, [beam], carbon, kinds) for beam in beams]
    assert both.weighted is not None
    np.testing.assert_allclose(both.physical, single[0].physical + single[1].physical, rtol=1e-4, atol=1e-6)
    lit = both.physical > 0.3 * both.physical.max()
    rbe = both.weighted[lit] / both.physical[lit]
    assert 1.2 < rbe.min() < rbe.max() < 6.0
    # the effect of a fraction given at once is more than that of the beams one by one
    photons = tissues.photons_of(carbon, kinds)
    alone = sum(photons.effect_of(np.asarray(one.weighted, dtype=np.float64)) for one in single)
    together = photons.effect_of(both.weighted.astype(np.float64))
    assert (together >= alone * (1.0 - 1e-5) - 1e-9).all()
    assert together[lit].mean() > alone[lit].mean()
    # late-responding tissue (alpha/beta 2 Gy) has the higher RBE; the plan is the same on both sides
    late, early = both.weighted[9:12, 18, 12].mean(), both.weighted[13:16, 18, 12].mean()
    assert late > 1.1 * early
    assert both.physical[9:12, 18, 12].mean() == pytest.approx(both.physical[13:16, 18, 12].mean(), rel=0.01)


@pytest.mark.requirement("TPS-DOSE")
def test_a_plan_with_helium_has_let(carbon: IonMachine) -> None:
    helium = ion_files.load("helium-generic")
    found = plan_dose(WATER, GRID, [beam_of(helium, 1, 0.0)], helium, let=True)
    assert found.let is not None
    assert found.weighted is None
    lit = found.physical > 0.3 * found.physical.max()
    assert 2.0 < found.let[lit].min() < found.let[lit].max() < 40.0
    with pytest.raises(BadInput, match="no table of LET"):
        plan_dose(WATER, GRID, [beam_of(carbon, 1, 0.0)], carbon, let=True)


@pytest.mark.requirement("TPS-DOSE")
def test_what_an_ion_plan_may_not_hold(carbon: IonMachine) -> None:
    beam = beam_of(carbon, 1, 0.0)
    with pytest.raises(BadInput, match="does not model"):
        plan_dose(WATER, GRID, [replace(beam, range_shifter="RS1")], carbon)
    wrong = replace(beam.layers[0], energy=beam.layers[0].energy + 0.5)
    with pytest.raises(BadInput, match="MeV/u"):
        plan_dose(WATER, GRID, [replace(beam, layers=(wrong,))], carbon)
    with pytest.raises(BadInput, match="one field or more"):
        plan_dose(WATER, GRID, [], carbon)
    with pytest.raises(BadInput, match="dose grid"):
        plan_dose(WATER, GRID, [beam], carbon, np.zeros((2, 2, 2), dtype=np.int8))
    with pytest.raises(BadInput, match="alpha"):
        tissues.tissue_map(carbon, GRID.shape, Tissue(0.2, 0.02), {}, {})
    with pytest.raises(BadInput, match="no region"):
        tissues.tissue_map(carbon, GRID.shape, LATE, {}, {"brain": LATE})
    with pytest.raises(BadInput, match="above 0"):
        effect.Photons(-1.0, 0.05)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_carbon_spots_are_optimised_to_a_uniform_rbe_weighted_dose(carbon: IonMachine) -> None:
    """3 Gy (RBE) in a cube of 30 mm: physical dose falls towards its far side, where the RBE is higher."""
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), carbon.sad)
    points = GRID.points(np.arange(GRID.size))
    beam = beam_of(carbon, 1, 0.0)
    rows = np.flatnonzero((carbon.peak > 73.0) & (carbon.peak < 112.0))
    energy = np.repeat(carbon.energies[rows], len(beam.layers[0].x))
    x, y = (np.tile(part, len(rows)) for part in (beam.layers[0].x, beam.layers[0].y))
    some = spots.nominal(carbon, energy, x, y)
    voxels = spots.field_of(carbon, WATER.rsp, GRID, frame, points, some)
    found = engine.influence(voxels, carbon, some, np.zeros(GRID.size, dtype=np.int8))
    assert found.alpha is not None
    assert found.root_beta is not None
    quantity = paired.IonDose(found.alpha, found.root_beta, LATE.alpha, LATE.beta)
    target = np.flatnonzero((np.abs(points) < 15.5).all(axis=1))
    aim = functions.Term(quantity, (SquaredDeviation(target, 3.0, 1.0),))
    zero, one = np.zeros(len(some)), np.full(len(some), np.inf)
    solved = solver.solve(aim, np.full(len(some), 0.05), (zero, one), tolerance=1e-3)
    weights = solved.weights
    weighted = quantity.evaluate(weights)[0][target]
    assert weighted.mean() == pytest.approx(3.0, rel=0.01)
    assert weighted.std() < 0.05 * 3.0
    dose = products.dose(found.dose, weights)[target]
    depth = points[target, 1]
    near, far = dose[depth == depth.min()].mean(), dose[depth == depth.max()].mean()
    assert near > 1.1 * far
    assert 1.3 < 3.0 / near < 3.0 / far < 4.5
