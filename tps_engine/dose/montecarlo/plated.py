"""Protons through an aperture and a compensator, between what stands above these plates and below.

The aperture stops what does not pass its opening at both faces: nothing is scattered by its metal. In the
compensator a proton passes the thickness where its straight path meets the downstream face, in plastic, with
the physics of the grid. Air between the two plates is left out.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.optics import RangeShifter
from tps_engine.beamdata.scattering import PLASTIC_SCATTERING
from tps_engine.dose.hardware import parts
from tps_engine.dose.montecarlo import nozzle, rng, source, transport, work
from tps_engine.dose.montecarlo.fresh import discard_stale
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.dose.montecarlo.tables import ENERGY
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats
from tps_engine.plan.geometry import BeamFrame

SAD_X, SAD_Y, TOP, BOTTOM, TRAY, FIRST_X, FIRST_Y, SPACING_X, SPACING_Y = range(9)
"""Numbers of plates: virtual source distances, heights of the aperture's faces and of the compensator's lower
face, mm (NaN: no such plate); first pixel and spacing of the compensator on the isocentric plane."""

_WIDE = 2e4  # mm
_THIN_MM = 1e-3
_TYPICAL_MM = 10.0  # a thickness in which eight deflections suffice


@dataclass(frozen=True)
class Plates:
    """corners: (n, 2) x, y mm of all openings on the isocentric plane; ends: (k,) behind the last of each.

    thickness: (rows, columns) mm of the compensator. numbers: (9,) as above. rsp: of the compensator.
    """

    corners: NDArray[np.float64] = field(repr=False)
    ends: NDArray[np.int64] = field(repr=False)
    thickness: NDArray[np.float64] = field(repr=False)
    numbers: NDArray[np.float64] = field(repr=False)
    rsp: float = 1.0

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What the kernel takes as plates."""
        return (self.corners, self.ends, self.thickness, self.numbers)

    @property
    def top(self) -> float:
        """Height of the highest face, mm."""
        tray = self.numbers[TRAY] + float(self.thickness.max())
        return float(np.nanmax([self.numbers[TOP], tray]))

    @property
    def bottom(self) -> float:
        """Height of the lowest face, mm."""
        return float(np.nanmin([self.numbers[BOTTOM], self.numbers[TRAY]]))


def plates_of(beam: IonBeam, surface: float) -> Plates | None:
    """The plates of a beam, None: it has none. surface: height in mm at which the patient begins.

    Raises BadInput for plates inside the patient.
    """
    if not parts.has_plates(beam):
        return None
    parts.check_place(beam, surface)
    numbers = np.full(9, np.nan)
    numbers[SAD_X], numbers[SAD_Y] = beam.virtual_sad
    corners, ends, thickness, rsp = np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros((1, 1)), 1.0
    if beam.aperture is not None:
        numbers[TOP], numbers[BOTTOM] = (
            beam.aperture.distance + beam.aperture.thickness,
            beam.aperture.distance,
        )
        openings = [np.asarray(opening, dtype=np.float64) for opening in beam.aperture.openings]
        corners = np.concatenate([*openings, corners])
        ends = np.cumsum([len(opening) for opening in openings]).astype(np.int64)
    if beam.compensator is not None:
        plate = beam.compensator
        numbers[TRAY], rsp = plate.distance, plate.rsp
        numbers[FIRST_X : SPACING_Y + 1] = (*plate.first, *plate.spacing)
        thickness = np.ascontiguousarray(plate.thickness, dtype=np.float64)
    return Plates(np.ascontiguousarray(corners), ends, thickness, numbers, rsp)


@njit(nogil=True, cache=True)
def _opens(x, y, corners, ends):  # type: ignore[no-untyped-def]
    """Whether a point of the isocentric plane lies in an opening: even-odd rule."""
    begin = 0
    for end in ends:
        inside, before = False, end - 1
        for k in range(begin, end):
            ay, by = corners[before, 1], corners[k, 1]
            if (ay > y) != (by > y):
                cross = corners[before, 0] + (y - ay) * (corners[k, 0] - corners[before, 0]) / (by - ay)
                if x < cross:
                    inside = not inside
            before = k
        if inside:
            return True
        begin = end
    return False


@njit(nogil=True, cache=True)
def _at_height(p, height, numbers):  # type: ignore[no-untyped-def]
    """Where the straight path of p passes a height, projected from the source to the isocentric plane."""
    way = (height - p[2]) / p[5]
    x, y = p[0] + way * p[3], p[1] + way * p[4]
    return x / (1.0 - height / numbers[SAD_X]), y / (1.0 - height / numbers[SAD_Y])


@njit(nogil=True, cache=True)
def _move(p, height):  # type: ignore[no-untyped-def]
    """Move p along its straight path to a height."""
    way = (height - p[2]) / p[5]
    p[0], p[1], p[2] = p[0] + way * p[3], p[1] + way * p[4], height


@njit(nogil=True, cache=True)
def _thickness(x, y, plate, numbers):  # type: ignore[no-untyped-def]
    """Thickness in mm at a point of the isocentric plane, linear between pixels; the edge's beside it."""
    rows, columns = plate.shape
    column = min(max((x - numbers[FIRST_X]) / numbers[SPACING_X], 0.0), columns - 1.0)
    row = min(max((numbers[FIRST_Y] - y) / numbers[SPACING_Y], 0.0), rows - 1.0)
    left, above = min(int(column), max(columns - 2, 0)), min(int(row), max(rows - 2, 0))
    right, below = min(left + 1, columns - 1), min(above + 1, rows - 1)
    u, v = column - left, row - above
    upper = plate[above, left] * (1.0 - u) + plate[above, right] * u
    return upper * (1.0 - v) + (plate[below, left] * (1.0 - u) + plate[below, right] * u) * v


@njit(nogil=True, cache=True)
def collimate(plates, water, bank, count, balance):  # type: ignore[no-untyped-def]
    """Keep those of bank[:count] that pass the aperture; returns how many, now at the front."""
    corners, ends, _plate, numbers = plates
    kept = 0
    for one in range(count):
        p = bank[one]
        passes = True
        for face in (TOP, BOTTOM):
            x, y = _at_height(p, numbers[face], numbers)
            passes = passes and _opens(x, y, corners, ends)
        if passes:
            _move(p, numbers[BOTTOM])
            transport.take(bank[kept], p)
            kept += 1
        else:
            balance[transport.UPSTREAM] += transport.at(water, ENERGY, p[6])
    return kept


@njit(nogil=True, cache=True)
def compensate(plates, slab, scratch, room, bank, count, balance):  # type: ignore[no-untyped-def]
    """Take bank[0, :count] through the compensator; returns how many protons leave it, in bank[0].

    slab: one slab of its plastic as in `nozzle.Nozzle.arrays`; its thickness is each proton's own.
    """
    _corners, _ends, plate, numbers = plates
    _top, _thick, density, water, ratio, relative = slab
    material, shape, spacing, tally, own = room
    material[0] = 0
    for axis in range(3):
        shape[axis], spacing[axis] = 1, 2.0 * _WIDE
    left = 0
    for one in range(count):
        p = bank[0, one]
        x, y = _at_height(p, numbers[TRAY], numbers)
        deep = max(_thickness(x, y, plate, numbers), _THIN_MM)
        _move(p, numbers[TRAY] + deep)
        p[0], p[1], p[2], p[5] = p[0] + _WIDE, p[1] + _WIDE, 0.0, -p[5]
        spacing[2] = deep
        geometry = (material, density, shape, spacing)
        physics = (water[0], ratio, relative)
        left += nozzle.through(
            physics, geometry, scratch, bank[0, one : one + 1], 1, bank[1, left:], (tally, own), balance
        )
    for one in range(left):
        p = bank[1, one]
        p[0], p[1], p[2], p[5] = p[0] - _WIDE, p[1] - _WIDE, numbers[TRAY], -p[5]
        transport.take(bank[0, one], p)
    return left


@njit(nogil=True, cache=True)
def _pass(plates, slab, scratch, room, bank, count, water, balance):  # type: ignore[no-untyped-def]
    """Both plates, the higher one first."""
    numbers = plates[3]
    first = not numbers[TRAY] > numbers[BOTTOM]
    if first and numbers[TOP] == numbers[TOP]:
        count = collimate(plates, water, bank[0], count, balance)
    if numbers[TRAY] == numbers[TRAY]:
        count = compensate(plates, slab, scratch, room, bank, count, balance)
    if not first and numbers[TOP] == numbers[TOP]:
        count = collimate(plates, water, bank[0], count, balance)
    return count


@njit(nogil=True, cache=True)
def _run(seed, first, count, edges, spots, beam, matter, physics, geometry, tally, balance):  # type: ignore[no-untyped-def]
    """Histories first .. first + count of a batch, through slabs, plates and slabs."""
    above, plates, slab, below = matter
    place = beam[1]
    state, p, cell = np.empty(2, dtype=np.uint64), np.zeros(transport.PLACES), np.zeros(3, dtype=np.int64)
    stack, emitted = np.zeros((transport.STACK, transport.PLACES)), np.zeros((transport.EMITTED, 2))
    scratch = (state, p, cell, stack, emitted)
    room = (
        np.zeros(1, dtype=np.uint8), np.ones(3, dtype=np.int64), np.zeros(3),
        np.zeros((1, transport.TALLIES)), np.zeros(transport.BALANCE),
    )  # fmt: skip
    bank, water = np.zeros((2, nozzle.BANK, transport.PLACES)), physics[0]
    held = np.zeros((nozzle.BANK, transport.PLACES))
    offset = work.offset_of(state, seed, first)
    for k in range(count):
        spot = spots[work.spot_of(edges, count, k + offset)]
        rng.start(state, seed, np.uint64(first + k))
        source.emit(state, spot, place, water, bank[0, 0], balance)
        passed = nozzle.descend(above, scratch, room, bank, balance)
        passed = _pass(plates, slab, scratch, room, bank, passed, water, balance)
        for one in range(passed):
            transport.take(held[one], bank[0, one])
        for one in range(passed):
            _move(held[one], 0.0)  # as `descend` expects; its path is the same line
            transport.take(bank[0, 0], held[one])
            left = nozzle.descend(below, scratch, room, bank, balance)
            work.into_grid(left, beam, physics, geometry, scratch, bank, tally, balance)


discard_stale(Path(__file__).parent, Path(_run.stats.cache_path))


@dataclass(frozen=True)
class PlatedWork:
    """All that a batch of protons through plates reads. behind: what they meet below, and the grid."""

    above: nozzle.Nozzle
    plates: Plates
    slab: nozzle.Nozzle
    behind: work.Work

    def batch(self, seed: int, first: int, count: int, edges: Floats) -> tuple[Floats, Floats]:
        """Tally (voxels, TALLIES) and energy balance of histories first .. first + count of all spots."""
        own = self.behind
        tally = np.zeros((own.medium.grid.size, transport.TALLIES))
        balance = np.zeros(transport.BALANCE)
        beam = (own.protons.rotation, own.protons.place, own.slabs.air)
        matter = (self.above.arrays, self.plates.arrays, self.slab.arrays, own.slabs.arrays)
        _run(
            np.uint64(seed), first, count, edges, own.protons.spots, beam, matter, own.physics, own.geometry,
            tally, balance,
        )  # fmt: skip
        return tally, balance


def prepare(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    upstream: Upstream | None,
    plates: Plates,
) -> PlatedWork:
    """Everything for the protons of some spots. Raises BadInput for energies outside the machine."""
    whole = upstream or Upstream(None, 0.0)
    over = whole.shifter is not None and whole.face >= plates.bottom
    bare = replace(whole, shifter=None)
    low = None if whole.air_from is None else min(whole.air_from, plates.bottom)
    behind = work.prepare(medium, frame, model, spots, replace(bare if over else whole, air_from=low))
    above = nozzle.slabs_of(whole if over else bare, plates.top, behind.tables, medium.table)
    plastic = RangeShifter("compensator", _TYPICAL_MM * plates.rsp, _TYPICAL_MM, PLASTIC_SCATTERING)
    slab = nozzle.slabs_of(Upstream(None, 0.0, plastic, 0.0), 0.0, behind.tables, medium.table)
    return PlatedWork(above, plates, slab, behind)


def refuse_closed(dose_is_nothing: bool, beam: IonBeam) -> None:
    """Raise BadInput where plates let nothing through."""
    if dose_is_nothing:
        raise BadInput(
            _("beam {number}: nothing passes its aperture and compensator").format(number=beam.number)
        )
