"""CT numbers to stopping power, contours to masks, and what is refused or warned of."""

from dataclasses import replace

import numpy as np
import pytest
from tps_phantoms import box, regions, water_box

from common.errors import BadInput
from tps_engine.patient import contours, masks, model, stopping_power
from tps_engine.patient.grid import Grid, dose_grid, resample_nearest

TABLE = stopping_power.load()


def circle(radius, z, centre=(0.0, 0.0)):
    angle = np.linspace(0.0, 2.0 * np.pi, 180, endpoint=False)
    return np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(180, z)]
    )


@pytest.mark.requirement("TPS-MODEL")
def test_stopping_power_of_tissues():
    hu = np.array([-3000.0, -1000.0, 0.0, 40.0, -98.0, 1524.0, 9000.0], dtype=np.float32)
    rsp = TABLE.relative_stopping_power(hu)
    assert rsp.dtype == np.float32
    assert rsp == pytest.approx([0.0011, 0.0011, 1.0, 1.041, 0.952, 1.694, 2.47], abs=1e-4)
    with pytest.raises(BadInput, match="no numbers"):
        TABLE.relative_stopping_power(np.array([np.nan], dtype=np.float32))


@pytest.mark.requirement("TPS-MODEL")
def test_rasterised_volume_and_holes():
    grid = Grid((-40.0, -40.0, 0.0), (1.0, 1.5, 3.0), (5, 54, 81))
    ring = [circle(30.0, 6.0), circle(10.0, 6.0), circle(4.0, 6.0, (1.0, 2.0))]
    mask = contours.rasterise(ring, grid)
    assert mask.sum(axis=(1, 2)).tolist()[0::4] == [0, 0]
    area = mask[2].sum() * 1.5
    assert area == pytest.approx(np.pi * (30.0**2 - 10.0**2 + 4.0**2), rel=0.01)
    # an outline through voxel centres keeps the voxels on both sides alike
    square = contours.rasterise(box((-10.0, 10.0), (-10.0, 9.5), [6.0]), grid)
    used = np.flatnonzero(square[2].any(axis=0))
    assert (grid.axis(0)[used[0]], grid.axis(0)[used[-1]]) == (-10.0, 10.0)


@pytest.mark.requirement("TPS-MODEL")
def test_slices_between_contours_are_interpolated_and_gaps_stay_open():
    grid = Grid((-40.0, -40.0, 0.0), (1.0, 1.0, 2.0), (31, 81, 81))
    cone = [circle(10.0, 4.0), circle(20.0, 10.0), circle(30.0, 16.0), circle(10.0, 50.0)]
    mask = contours.rasterise(cone, grid)
    width = mask[:, 40].sum(axis=1)
    assert width[2:9] == pytest.approx([21, 27.7, 34.3, 41, 47.7, 54.3, 61], abs=2)
    assert width[14:22].max() == 0
    assert contours.fractions(cone, grid)[25, 40].sum() == pytest.approx(20.0, abs=0.1)


@pytest.mark.requirement("TPS-MODEL")
def test_margin_is_in_millimetres_on_anisotropic_voxels():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 2.0, 5.0), (9, 21, 41))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[4, 10, 20] = True
    grown = masks.expand(mask, grid, 6.0)
    far = np.linalg.norm(grid.points(np.flatnonzero(grown)) - np.array([20.0, 20.0, 20.0]), axis=1)
    near = np.linalg.norm(grid.points(np.flatnonzero(~grown)) - np.array([20.0, 20.0, 20.0]), axis=1)
    assert far.max() <= 6.0 < near.min()


@pytest.mark.requirement("TPS-MODEL")
def test_dose_grid_covers_the_body_and_keeps_masks_in_place():
    ct = Grid((-10.0, -20.0, 5.0), (1.0, 1.0, 2.5), (20, 60, 40))
    body = np.zeros(ct.shape, dtype=bool)
    body[3:17, 10:50, 8:30] = True
    grid = dose_grid(ct, body, 3.0)
    assert grid.spacing == (3.0, 3.0, 3.0)
    mask = resample_nearest(body, ct, grid)
    assert mask.sum() * grid.voxel_cm3 == pytest.approx(body.sum() * ct.voxel_cm3, rel=0.2)
    mine = grid.points(np.flatnonzero(mask)).mean(axis=0)
    assert mine == pytest.approx(ct.points(np.flatnonzero(body)).mean(axis=0), abs=1.5)


@pytest.mark.requirement("TPS-MODEL")
def test_outside_the_body_is_air_and_couch_and_metal_are_told():
    ct, structures = water_box()
    hu = ct.hu.copy()
    hu[:, :2] = 200.0
    hu[20, 30, 25] = 3000.0
    patient = model.build(replace(ct, hu=hu), structures, ["organ"], "cube", TABLE)
    assert patient.rsp[~patient.body].max() == pytest.approx(0.0011)
    assert patient.region("cube").sum() * patient.grid.voxel_cm3 == pytest.approx(27.0, rel=0.15)
    assert any("metal" in text and "cube" in text and "organ" not in text for text in patient.warnings)
    assert any("couch" in text for text in patient.warnings)


@pytest.mark.requirement("TPS-MODEL")
def test_what_cannot_be_planned_on_is_refused():
    ct, structures = water_box()

    def refused(target, message, **rois):
        changed = replace(structures, rois={**structures.rois, **regions(**rois).rois})
        with pytest.raises(BadInput, match=message):
            model.build(ct, changed, [], target, TABLE)

    refused("liver", "no region named liver: this structure set holds External, cube, organ")
    refused("low", "low is cut by the image edge", low=("PTV", box((-9, 9), (-9, 9), ct.z[:4])))
    refused("side", "side is cut by the image edge", side=("PTV", box((60, 90), (-9, 9), ct.z[18:22])))
    refused("far", "region far lies outside the image", far=("PTV", box((-9, 9), (-9, 9), [500.0])))
    refused("out", "outside the body", out=("PTV", box((66, 72), (-9, 9), ct.z[18:22])))
    refused("dust", "encloses no voxel", dust=("PTV", box((0.1, 0.2), (0.1, 0.2), ct.z[18:19])))
    refused("empty", "no closed contour", empty=("PTV", ()))
    elsewhere = replace(structures, frame_of_reference_uid="1.9")
    with pytest.raises(BadInput, match="frames of reference"):
        model.build(ct, elsewhere, [], "cube", TABLE)
