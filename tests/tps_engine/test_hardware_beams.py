"""Ripple filter, aperture, compensator and uniform scanning, in a box of water."""

from dataclasses import replace

import numpy as np
import pytest

from common.dicom import files, ion_plan
from common.dicom.plan import Aperture, Compensator, IonBeam, IonLayer
from common.errors import BadInput
from tps_engine.beamdata import bragg, model
from tps_engine.beamdata.optics import RangeShifter, RippleFilter
from tps_engine.dose import beam as pencil_beam
from tps_engine.dose import recompute
from tps_engine.dose.hardware import parts, plates, ripple, split, uniform
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import beam_frame

MACHINE = model.load("proton-generic")
ENERGY = float(MACHINE.energies[25])
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
ISOCENTRE_DEPTH = 60.0


def water(spacing=3.0, half=45.0, depth=120.0):
    """A box that the beam of gantry 0 enters ISOCENTRE_DEPTH above the isocentre."""
    across, down = round(2.0 * half / spacing), round(depth / spacing)
    start = 0.5 * spacing
    grid = Grid((start - half, start - ISOCENTRE_DEPTH, start - half), (spacing,) * 3, (across, down, across))
    body = np.ones(grid.shape, dtype=bool)
    return Patient(grid, np.ones(grid.shape, dtype=np.float32), body, {"External": body}, "HFS", ())


def flat_field(half=20.0, step=5.0, energy=ENERGY):
    line = np.arange(-half, half + 0.1, step)
    x, y = (part.ravel().astype(np.float32) for part in np.meshgrid(line, line))
    layer = IonLayer(energy, x, y, np.ones(len(x), dtype=np.float32), 10.0, 10.0)
    return IonBeam(1, "field", 0.0, 0.0, (0.0, 0.0, 0.0), (layer,), MACHINE.virtual_sad)


def hole(half, distance=120.0):
    return Aperture("A", (half * SQUARE,), distance, 65.0)


@pytest.fixture(scope="module")
def box():
    return water()


@pytest.fixture(scope="module")
def bare(box):
    return pencil_beam.beam_dose(box, box.grid, flat_field(), MACHINE)


@pytest.mark.requirement("TPS-DOSE")
def test_a_wide_open_aperture_changes_nothing(box, bare):
    """1.5 % of the maximum anywhere and 0.1 % in all; a lone spot is worse off the isocentric plane."""
    opened = pencil_beam.beam_dose(box, box.grid, replace(flat_field(), aperture=hole(200.0)), MACHINE)
    assert np.abs(opened - bare).max() < 0.015 * bare.max()
    assert opened.sum() == pytest.approx(float(bare.sum()), rel=1e-3)


@pytest.mark.requirement("TPS-DOSE")
def test_an_aperture_cuts_the_field_at_its_projected_edge(box, bare):
    beam = replace(flat_field(half=30.0), aperture=hole(15.0))
    dose = pencil_beam.beam_dose(box, box.grid, beam, MACHINE)
    x, middle = box.grid.axis(0), box.grid.shape[0] // 2
    row = int(np.argmin(np.abs(box.grid.axis(1))))  # the isocentric plane
    line = dose[middle, row] / dose[middle, row, np.abs(x) < 6.0].mean()
    edge = float(np.interp(-0.5, -line[x > 0.0], x[x > 0.0]))
    assert edge == pytest.approx(15.0, abs=0.7)
    assert line[np.abs(x) > 27.0].max() < 0.01
    entrance = dose[middle, 1] / dose[middle, 1, np.abs(x) < 6.0].mean()
    inside = float(np.interp(-0.8, -entrance[x > 0.0], x[x > 0.0]))
    outside = float(np.interp(-0.2, -entrance[x > 0.0], x[x > 0.0]))
    assert outside - inside < 5.0  # against 7.5 mm of a spot of 4.5 mm


@pytest.mark.requirement("TPS-DOSE")
def test_an_even_compensator_is_a_range_shifter(box):
    shifted = replace(flat_field(), range_shifter="R", range_shifter_wet=20.0, range_shifter_distance=130.0)
    plate = Compensator("C", np.full((3, 3), 20.0 / 1.159), (-100.0, 100.0), (100.0, 100.0), 130.0, 1.159)
    wanted = pencil_beam.beam_dose(box, box.grid, shifted, MACHINE)
    ours = pencil_beam.beam_dose(box, box.grid, replace(flat_field(), compensator=plate), MACHINE)
    assert np.abs(ours - wanted).max() < 0.015 * wanted.max()


@pytest.mark.requirement("TPS-DOSE")
def test_a_stepped_compensator_moves_the_range_on_its_side_alone(box):
    thickness = np.zeros((3, 41))
    thickness[:, :20] = 15.0
    plate = Compensator("C", thickness, (-40.0, 40.0), (2.0, 40.0), 120.0, 1.0)
    dose = pencil_beam.beam_dose(box, box.grid, replace(flat_field(half=25.0), compensator=plate), MACHINE)
    y, x, middle = box.grid.axis(1), box.grid.axis(0), box.grid.shape[0] // 2

    def r80(side):
        line = dose[middle][:, np.abs(x - side) < 3.0].mean(axis=1).astype(float)
        return bragg.distal_depth(y + ISOCENTRE_DEPTH, line, 0.8)

    assert r80(15.0) - r80(-15.0) == pytest.approx(15.0, abs=1.0)


@pytest.mark.requirement("TPS-DOSE")
def test_sub_beams_are_the_spot_again():
    """Protons, place and both widths at the cut and at the isocentre, of one spot off the axis."""
    spot = replace(flat_field(), layers=(replace(flat_field().layers[0], x=np.float32([12.0]), y=np.float32([-7.0]), mu=np.float32([2.0])),))  # noqa: E501  # fmt: skip
    found = parts.parts_of(replace(spot, aperture=hole(200.0)), MACHINE, 60.0)
    assert len(found) == 1
    mu, placed, own = found[0].mu, found[0].spots, found[0].model
    assert mu.sum() == pytest.approx(2.0, rel=1e-4)
    assert np.average(placed.x, weights=mu) == pytest.approx(12.0, abs=0.01)
    assert np.average(placed.y, weights=mu) == pytest.approx(-7.0, abs=0.01)
    at = np.array([ENERGY])
    wanted = float(MACHINE.at(at, MACHINE.sigma[:, 0])[0])
    spread = np.average((placed.x - 12.0) ** 2, weights=mu) + own.sigma[0, 0] ** 2
    assert np.sqrt(spread) == pytest.approx(wanted, rel=0.005)
    assert own.sigma[0, 0] < 0.5 * wanted


@pytest.mark.requirement("TPS-PHYSICS")
def test_a_ripple_filter_widens_the_peak_and_takes_its_range():
    machine = replace(MACHINE, ripple_filters=(RippleFilter("RiFi3", 1.8, 1.2),))
    beam = replace(flat_field(), ripple_filter="RiFi3")
    behind = ripple.for_beam(machine, beam)
    depth = np.arange(0.0, 140.0, 0.05)

    def curve(one):
        at = np.array([ENERGY])
        mean, spread = float(one.at(at, one.mean_energy)[0]), float(one.at(at, one.spread)[0])
        width = bragg.peak_sigma(one.water, mean, spread, one.depth_dose)
        dose = bragg.integral_depth_dose(one.water, mean, spread, one.depth_dose, depth)
        return bragg.distal_depth(depth, dose, 0.8), width

    (range_bare, width_bare), (range_wide, width_wide) = curve(machine), curve(behind)
    assert width_wide == pytest.approx(np.hypot(width_bare, 1.2), rel=0.02)
    assert range_bare - range_wide == pytest.approx(1.8, abs=0.35)
    assert ripple.for_beam(machine, flat_field()) is machine
    with pytest.raises(BadInput, match="lists RiFi3"):
        ripple.for_beam(machine, replace(beam, ripple_filter="other"))
    with pytest.raises(BadInput, match="LET behind"):
        pencil_beam.beam_dose_and_let(water(), water().grid, beam, machine)


@pytest.mark.requirement("TPS-DESIGN")
def test_a_uniform_field_is_flat_in_the_target_and_ends_with_it():
    """An ellipsoid in water: 95 % within 95..107 %, distal edge within 3.5 mm, little dose beside."""
    box = water(depth=130.0)
    points = box.grid.points(np.arange(box.grid.size))
    size = ((points / (18.0, 20.0, 18.0)) ** 2).sum(axis=1)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), MACHINE.virtual_sad)
    machine = replace(MACHINE, ripple_filters=(RippleFilter("RiFi", 3.0, 2.0),))
    options = uniform.UniformOptions(spacing=5.0, lateral=8.0, distal=4.0)
    field = uniform.design(box, points[size <= 1.0], frame, (0.0, 0.0), machine, options, "RiFi")
    dose = pencil_beam.beam_dose(box, box.grid, field.beam, machine)
    inside = dose.ravel()[size <= 1.0]
    assert inside.mean() == pytest.approx(1.0, abs=0.04)
    assert np.percentile(inside, 2.5) > 0.95 * inside.mean()
    assert np.percentile(inside, 97.5) < 1.07 * inside.mean()
    x, y, middle = box.grid.axis(0), box.grid.axis(1), box.grid.shape[0] // 2
    for across in (0.0, 9.0):
        column = dose[middle, :, int(np.argmin(np.abs(x - across)))].astype(float)
        behind = y > 0.0
        end = float(np.interp(-0.8, -column[behind], y[behind]))
        edge = 20.0 * np.sqrt(1.0 - (x[int(np.argmin(np.abs(x - across)))] / 18.0) ** 2)
        assert -1.0 < end - edge < options.distal + 3.5
    assert dose.ravel()[(np.abs(points[:, 0]) > 36.0) & (points[:, 1] < 15.0)].max() < 0.05
    assert field.beam.accessories == ("1 compensator", "1 block", "1 range modulator")
    with pytest.raises(BadInput, match="target is empty"):
        uniform.design(box, points[:0], frame, (0.0, 0.0), MACHINE, options)


@pytest.mark.requirement("TPS-DESIGN")
def test_plates_come_back_from_a_plan_and_their_dose_is_calculated(shared_data):
    plan = ion_plan.from_dataset(files.read_file(shared_data / "topas_rtion" / "rtip_demo.dcm"))
    opening = plan.beams[0].aperture
    assert len(opening.openings[0]) == 72
    assert opening.distance == pytest.approx(162.27, abs=0.01)
    plate = Compensator("C", np.arange(12.0).reshape(3, 4), (-30.0, 20.0), (20.0, 20.0), 140.0, 1.159)
    beam = replace(plan.beams[0], compensator=plate, accessories=("1 compensator", "1 block"))
    again = ion_plan.from_dataset(ion_plan.to_dataset(replace(plan, beams=(beam,)))).beams[0]
    assert again.accessories == ("1 compensator", "1 block")
    assert np.array_equal(again.compensator.thickness, plate.thickness)
    assert again.compensator.first == plate.first
    assert again.compensator.spacing == plate.spacing
    machine = replace(MACHINE, continuous=True, range_shifters=(RangeShifter("40mm", 46.0, 40.0),))
    recompute.check(plan, machine)
    unknown = replace(plan, beams=(replace(beam, accessories=("1 compensator", "1 block", "1 wedge")),))
    with pytest.raises(BadInput, match="wedge"):
        recompute.check(unknown, machine)


@pytest.mark.requirement("TPS-DOSE")
def test_plates_in_the_patient_or_closed_ones_are_refused(box):
    with pytest.raises(BadInput, match="inside the patient"):
        pencil_beam.beam_dose(box, box.grid, replace(flat_field(), aperture=hole(20.0, 30.0)), MACHINE)
    away = Aperture("A", (SQUARE + 300.0,), 120.0, 65.0)
    with pytest.raises(BadInput, match="nothing passes"):
        pencil_beam.beam_dose(box, box.grid, replace(flat_field(), aperture=away), MACHINE)


@pytest.mark.requirement("TPS-DOSE")
def test_transmission_is_the_open_part_of_a_pixel():
    line = plates.raster(-12.0, 12.0, 2.0)
    ring = Aperture("A", (8.0 * SQUARE,), 120.0, 65.0)
    passed = plates.transmission(ring, line, line)
    assert passed.sum() * 4.0 == pytest.approx(256.0, rel=1e-6)
    assert passed[6, 6] == 1.0
    assert passed[6, 10] == pytest.approx(0.5)
    assert split.PITCH_MM < 2.0
