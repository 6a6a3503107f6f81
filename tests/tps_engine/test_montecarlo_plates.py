"""Monte Carlo through an aperture and a compensator, in a box of water."""

from dataclasses import replace

import numpy as np
import pytest

from common.dicom.plan import Aperture, Compensator, IonBeam, IonLayer
from common.errors import BadInput
from tps_engine.beamdata import bragg, model
from tps_engine.dose import beam as pencil_beam
from tps_engine.dose.montecarlo import engine
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient

pytestmark = pytest.mark.requirement("TPS-DOSE")
MACHINE = model.load("proton-generic")
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
FRONT = 60.0
"""Water above the isocentre, mm."""


@pytest.fixture(scope="module")
def box():
    grid = Grid((-43.5, 0.5 - FRONT, -43.5), (3.0, 1.0, 3.0), (30, 120, 30))
    body = np.ones(grid.shape, dtype=bool)
    return Patient(grid, np.ones(grid.shape, dtype=np.float32), body, {"External": body}, "HFS", ())


def field(half=24.0, step=4.0):
    line = np.arange(-half, half + 0.1, step)
    x, y = (part.ravel().astype(np.float32) for part in np.meshgrid(line, line))
    layer = IonLayer(float(MACHINE.energies[25]), x, y, np.ones(len(x), dtype=np.float32), 10.0, 10.0)
    return IonBeam(1, "field", 0.0, 0.0, (0.0, 0.0, 0.0), (layer,), MACHINE.virtual_sad)


def hole(half, distance=120.0):
    return Aperture("A", (half * SQUARE,), distance, 65.0)


def plate(thickness, columns=3, distance=120.0, rsp=1.0):
    """A compensator 160 mm wide."""
    width = 160.0 / (columns - 1)
    return Compensator("C", thickness, (-80.0, 80.0), (width, 80.0), distance, rsp)


def dose(box, beam, count=40_000):
    return engine.beam_dose(box, box.grid, beam, MACHINE, engine.Histories(count, seed=1, threads=2))


def r80(box, values, side=0.0):
    """Depth of 80 % behind the peak within 9 mm of x = side."""
    line = values[12:18][:, :, np.abs(box.grid.axis(0) - side) < 9.0].mean(axis=(0, 2), dtype=np.float64)
    return bragg.distal_depth(box.grid.axis(1) + FRONT, line, 0.8)


@pytest.fixture(scope="module")
def bare(box):
    return dose(box, field())


def test_an_open_aperture_and_a_plate_of_nothing_change_nothing(box, bare):
    held = replace(field(), aperture=hole(200.0), compensator=plate(np.zeros((3, 3)), distance=100.0))
    found = dose(box, held)
    assert found.dose_to_water.sum() == pytest.approx(float(bare.dose_to_water.sum()), rel=0.005)
    assert r80(box, found.dose_to_water) == pytest.approx(r80(box, bare.dose_to_water), abs=0.3)


def test_the_aperture_cuts_at_its_projected_edge(box):
    found = dose(box, replace(field(30.0), aperture=hole(15.0))).dose_to_water
    x, row = box.grid.axis(0), int(np.argmin(np.abs(box.grid.axis(1))))
    line = found[12:18, row - 6 : row + 7].mean(axis=(0, 1), dtype=np.float64)
    line /= line[np.abs(x) < 6.0].mean()
    edges = [float(np.interp(-0.5, -line[sign * x > 0.0][::sign], sign * x[sign * x > 0.0][::sign])) for sign in (1, -1)]  # noqa: E501  # fmt: skip
    assert edges == pytest.approx([15.0, 15.0], abs=0.7)
    assert line[np.abs(x) > 27.0].max() < 0.02


def test_an_even_compensator_pulls_the_range_back_by_its_water(box, bare):
    even = replace(field(), compensator=plate(np.full((3, 3), 20.0), rsp=1.16))
    found = dose(box, even)
    pulled = r80(box, bare.dose_to_water) - r80(box, found.dose_to_water)
    assert pulled == pytest.approx(1.16 * 20.0, abs=0.4)
    balance = found.balance
    total = balance.deposited + balance.escaped + balance.neutral + balance.separation + balance.upstream
    assert total == pytest.approx(balance.started, rel=1e-6)
    assert balance.upstream > bare.balance.upstream + 8.0


def test_a_stepped_compensator_pulls_back_its_side_alone(box):
    thickness = np.zeros((3, 81))
    thickness[:, :40] = 15.0
    found = dose(box, replace(field(), compensator=plate(thickness, 81))).dose_to_water
    assert r80(box, found, 14.0) - r80(box, found, -14.0) == pytest.approx(15.0, abs=0.6)


def test_it_agrees_with_the_pencil_beam_behind_both(box):
    ramp = np.repeat(np.linspace(0.0, 20.0, 81)[None, :], 3, axis=0)
    held = replace(field(30.0), aperture=hole(18.0), compensator=plate(ramp, 81, 100.0))
    ours = dose(box, held).dose_to_water.astype(np.float64)
    beam = pencil_beam.beam_dose(box, box.grid, held, MACHINE).astype(np.float64)
    inside = beam > 0.5 * beam.max()  # chosen by the dose without noise
    assert ours[inside].sum() / beam[inside].sum() == pytest.approx(1.0, abs=0.03)
    for side in (-9.0, 9.0):
        assert r80(box, ours, side) == pytest.approx(r80(box, beam, side), abs=1.0)


def test_plates_in_the_patient_closed_ones_and_those_on_a_device_are_refused(box):
    with pytest.raises(BadInput, match="cores only"):
        asked = engine.Histories(40, device="cuda")
        engine.beam_dose(box, box.grid, replace(field(), aperture=hole(15.0)), MACHINE, asked)
    with pytest.raises(BadInput, match="inside the"):
        dose(box, replace(field(), aperture=hole(10.0, distance=30.0)), 40)
    far = Aperture("A", (3.0 * SQUARE + 200.0,), 120.0, 65.0)
    with pytest.raises(BadInput, match="nothing passes"):
        dose(box, replace(field(), aperture=far), 400)
