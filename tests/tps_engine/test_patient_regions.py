"""Fractions of voxels, shapes between contour planes, Boolean algebra and margins."""

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.evaluate.dvh import dvh
from tps_engine.patient import algebra, contours, masks
from tps_engine.patient.grid import Grid

CUBE = Grid((-30.0, -30.0, -30.0), (3.0, 3.0, 3.0), (21, 21, 21))


def circle(radius, z, centre=(0.0, 0.0), count=240):
    angle = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
    return np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(count, z)]
    )


def ball(radius, centre, planes):
    """Circles of a sphere on the planes that cut it."""
    cuts = [(z, radius**2 - (z - centre[2]) ** 2) for z in planes]
    return [circle(np.sqrt(square), z, centre[:2]) for z, square in cuts if square > 0.01]


@pytest.mark.requirement("TPS-MODEL")
@pytest.mark.parametrize(("radius", "pitch"), [(10.0, 1.0), (5.0, 1.0)])
def test_volume_of_a_small_sphere_on_a_coarse_grid(radius, pitch):
    """Wherever the sphere lies between the voxels, its volume is right within 1 %."""
    random = np.random.default_rng(4)
    errors = []
    for _trial in range(8):
        centre = random.uniform(-1.5, 1.5, 3)
        # a plane never touches a pole: there the contours themselves lose 1 % of the small sphere
        planes = centre[2] + pitch * (np.arange(-20, 20) + random.uniform(0.2, 0.8))
        part = contours.window_of(ball(radius, centre, planes), CUBE)
        errors.append(1000.0 * part.cm3(CUBE) / (4.0 / 3.0 * np.pi * radius**3) - 1.0)
    assert np.abs(errors).max() < 0.01


@pytest.mark.requirement("TPS-MODEL")
def test_fraction_is_the_exact_area_and_the_mask_its_half():
    grid = Grid((0.0, 0.0, 0.0), (2.0, 3.0, 4.0), (1, 6, 8))
    square = np.array([(1.5, 2.0, 0.0), (9.0, 2.0, 0.0), (9.0, 11.25, 0.0), (1.5, 11.25, 0.0)])
    part = contours.fractions([square], grid)
    assert part[0, 2].tolist() == pytest.approx([0, 0.75, 1, 1, 1, 0, 0, 0], abs=1e-6)
    assert part.sum() * 6.0 == pytest.approx(7.5 * 9.25, rel=0.01)
    assert part[0, 1, 1] == pytest.approx(0.75 * 2.5 / 3.0, abs=0.02)
    assert contours.rasterise([square], grid).sum() == 4 * 3
    # edges that run slantwise
    triangle = np.array([(0.0, 0.0, 0.0), (13.0, 1.0, 0.0), (5.0, 14.0, 0.0)])
    assert contours.fractions([triangle], grid).sum() * 6.0 == pytest.approx(88.5, rel=0.002)


@pytest.mark.requirement("TPS-MODEL")
def test_holes_by_exclusive_or_and_by_keyhole_are_the_same():
    outer, inner = circle(20.0, 0.0), circle(8.0, 0.0, (2.0, 1.0))
    # the keyhole goes in from the outer circle's first point, round the hole and back the same way
    keyhole = np.concatenate([outer, outer[:1], inner[::-1], inner[-1:], outer[:1]])
    by_two = contours.window_of([outer, inner], CUBE)
    by_one = contours.window_of([keyhole], CUBE)
    area = np.pi * (20.0**2 - 8.0**2)
    assert by_two.values.sum() * 9.0 == pytest.approx(area, rel=0.003)
    np.testing.assert_allclose(by_one.values, by_two.values, atol=1e-5)
    assert not by_one.mask(CUBE)[10, 10, 11]


@pytest.mark.requirement("TPS-MODEL")
def test_contours_beside_the_slices_are_interpolated_by_shape():
    """A cone drawn every 7.5 mm, a branch that splits, and planes that no slice meets."""
    cone = [circle(6.0 + 0.4 * z, z) for z in (-11.2, -3.7, 3.8, 11.3)]
    found = contours.fractions(cone, CUBE)
    for row in range(8, 13):
        radius = 6.0 + 0.4 * CUBE.axis(2)[row]
        assert found[row].sum() * 9.0 == pytest.approx(np.pi * radius**2, rel=0.02)
    split = [circle(9.0, -3.0), circle(4.0, 3.0, (-6.0, 0.0)), circle(4.0, 3.0, (6.0, 0.0))]
    areas = contours.fractions(split, CUBE).sum(axis=(1, 2)) * 9.0
    # the slice between: a circle of 9 mm becomes two of 4 mm, 6 mm to each side
    assert areas[11] < areas[10] < areas[9]
    assert contours.fractions(split, CUBE)[12, 10, 7:14].tolist() == pytest.approx(
        [0.5, 0.5, 0.2, 0, 0.2, 0.5, 0.5], abs=0.25
    )
    # a gap of many planes stays open
    apart = [circle(9.0, z) for z in (-21.0, -18.0, -15.0, 12.0, 15.0)]
    assert not contours.fractions(apart, CUBE)[7:13].any()


@pytest.mark.requirement("TPS-MODEL")
def test_boolean_algebra_of_regions():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 8))
    bits = {"a": 0b11110000, "b": 0b11001100, "GTV 1": 0b10101010}
    regions = {name: np.array([[[bool(value >> k & 1) for k in range(8)]]]) for name, value in bits.items()}

    def value(text):
        return sum(int(bit) << k for k, bit in enumerate(algebra.evaluate(text, regions, grid)[0, 0]))

    a, b, c = bits.values()
    assert value("a and b") == a & b
    assert value('a or b and "GTV 1"') == a | b & c
    assert value('(a or b) and "GTV 1"') == (a | b) & c
    assert value('a minus b xor not "GTV 1"') == (a & ~b) ^ (~c & 255)
    assert value("expand(a, 1) and not contract(b, 0)") == 0b11111000 & ~b & 255
    assert algebra.names_in('expand("GTV 1", 3) minus (b or b)') == ("GTV 1", "b")
    for text in ("a and", "a b", "(a or b", 'a or "b', "expand(a, x)", "expand(a, 1, 2)", "", "(" * 99 + "a"):
        with pytest.raises(BadInput, match="write for example"):
            algebra.evaluate(text, regions, grid)
    with pytest.raises(BadInput, match="no region named liver; there are GTV 1, a, b"):
        algebra.evaluate("a or liver", regions, grid)


@pytest.mark.requirement("TPS-MODEL")
def test_margins_differ_by_direction_and_go_both_ways():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.5, 2.0), (25, 31, 41))
    point = np.zeros(grid.shape, dtype=bool)
    point[12, 15, 20] = True
    grown = masks.with_margin(point, grid, masks.Margin(3.0, 9.0, 4.0, 6.0, 0.0, 8.0))
    offset = grid.points(np.arange(grid.size)) - grid.points(np.flatnonzero(point))
    reach = np.where(offset > 0, (9.0, 6.0, 8.0), (3.0, 4.0, 1e-3))
    wanted = ((offset / reach) ** 2).sum(axis=1) <= 1.0 + 1e-6
    assert (grown.ravel() == wanted).all()
    # shrinking the other way round: what is outside grows into the region
    block = np.zeros(grid.shape, dtype=bool)
    block[4:20, 5:25, 6:34] = True
    less = masks.with_margin(block, grid, masks.Margin(-2.0, -5.0, 0.0, -3.0, -4.0, 0.0))
    z, y, x = np.nonzero(less)
    assert (z.min(), z.max(), y.min(), y.max(), x.min(), x.max()) == (6, 19, 5, 22, 8, 28)
    # growing and then shrinking by the same gives a convex region back
    assert (masks.contract(masks.expand(block, grid, 5.0), grid, 5.0) == block).all()
    with pytest.raises(BadInput, match="margin of"):
        masks.even(float("nan"))


@pytest.mark.requirement("TPS-MODEL")
def test_cropping_keeps_its_distance():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (21, 21, 21))
    body = np.zeros(grid.shape, dtype=bool)
    body[2:19, 2:19, 2:19] = True
    target = np.zeros_like(body)
    target[8:20, 8:13, 8:13] = True
    cropped = masks.crop_to(target, body, grid, 3.0)
    assert np.flatnonzero(cropped.any(axis=(1, 2)))[[0, -1]].tolist() == [8, 15]
    away = masks.crop_from(target, body, grid, 0.0)
    assert away.sum() == 25
    assert not masks.crop_from(target, body, grid, 1.0).any()


@pytest.mark.requirement("TPS-MODEL")
def test_histogram_of_a_small_sphere_by_fractions():
    """Mean dose and volume in a dose that rises across a sphere of few voxels."""
    sphere = ball(7.0, (0.7, -0.4, 0.3), np.arange(-30.0, 30.0, 1.0))
    dose = np.broadcast_to(2.0 + 0.05 * CUBE.axis(0), CUBE.shape)
    found = dvh(dose, contours.fractions(sphere, CUBE), 27.0)
    assert found.mean == pytest.approx(2.0 + 0.05 * 0.7, abs=0.002)
    assert found.volume_cm3 == pytest.approx(4.0 / 3.0 * np.pi * 0.7**3, rel=0.01)
    share = contours.fractions(sphere, CUBE)
    same = dvh(dose, share > 0.0, 27.0, weights=share)
    assert same.mean == pytest.approx(found.mean, rel=1e-6)
    with pytest.raises(BadInput, match="weights"):
        dvh(dose, share > 0.0, 27.0, weights=-share)
