"""A beam with aperture or compensator as parts that any dose engine calculates: beam model, spots, matter."""

from dataclasses import dataclass

import numpy as np

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.optics import RangeShifter
from tps_engine.beamdata.scattering import PLASTIC_SCATTERING, slab_moments
from tps_engine.beamdata.water import Floats
from tps_engine.dose import spots as spot_module
from tps_engine.dose.hardware import plates, split
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream, moments, upstream_of

LEVEL_MM = 1.0
"""Steps of water-equivalent thickness; a sub-beam between two is shared between them."""

_END_MM = 2.0
_THIN_MM = 1e-3


@dataclass(frozen=True)
class Part:
    """Sub-beams that pass the same thickness. mu: (n,). upstream: what they still pass after the cut."""

    model: BeamModel
    spots: Spots
    mu: Floats
    upstream: Upstream


def modelled(beam: IonBeam) -> int:
    """How many kinds of accessories of a beam the dose engines model."""
    held = (beam.aperture, beam.compensator, beam.ripple_filter)
    return sum(part is not None for part in held)


def has_plates(beam: IonBeam) -> bool:
    """Whether a beam passes an aperture or a compensator."""
    return beam.aperture is not None or beam.compensator is not None


def parts_of(beam: IonBeam, model: BeamModel, surface: float, pitch: float = split.PITCH_MM) -> list[Part]:
    """The parts of a beam; their metersets sum to what the aperture lets through.

    model: behind the ripple filter. surface: height in mm above the isocentre at which the patient begins.
    pitch: of sub-beams, mm. Sub-beams that end in the compensator are left out. Raises BadInput for plates
    in the patient, no beam left, and as `upstream_of` does.
    """
    placed, mu = spot_module.of_beam(beam, model)
    if not len(placed):
        return []
    before = upstream_of(beam, model, surface) or Upstream(None, surface)
    height = _cut(beam, surface)
    above = before.shifter is not None and before.face >= height
    shifter = before.shifter if above else None
    energies = np.unique(placed.energy)
    added = moments(model, Upstream(before.air_from, height, shifter, before.face), energies)
    found: list[Part] = []
    for gaussian in split.gaussians(model, energies, added):
        cut = split.split(
            model, energies, gaussian, placed, mu, beam.virtual_sad, height, beam.aperture, pitch
        )
        found += _levels(beam, cut, before, height, above)
    if not any(len(part.mu) for part in found):
        raise BadInput(
            _("beam {number}: nothing passes its aperture and compensator").format(number=beam.number)
        )
    return found


def _cut(beam: IonBeam, surface: float) -> float:
    check_place(beam, surface)
    return next(plate.distance for plate in (beam.aperture, beam.compensator) if plate is not None)


def check_place(beam: IonBeam, surface: float) -> None:
    """Raise BadInput for plates in a patient who begins at a height of `surface` mm."""
    faces = [plate.distance for plate in (beam.aperture, beam.compensator) if plate is not None]
    if min(faces) < surface:
        raise BadInput(
            _(
                "beam {number}: aperture or compensator stands {face} mm from the isocentre, inside the "
                "patient, who begins at {surface} mm"
            ).format(number=beam.number, face=f"{min(faces):.1f}", surface=f"{surface:.1f}")
        )


def _levels(beam: IonBeam, cut: split.SubBeams, before: Upstream, height: float, above: bool) -> list[Part]:
    """Sub-beams by the water that they pass in the compensator."""
    count = len(cut.mu)
    if count == 0:
        return []
    wet = np.zeros(count) if beam.compensator is None else _water(beam, cut, height)
    low = np.floor(wet / LEVEL_MM).astype(int)
    upper = wet / LEVEL_MM - low
    ranges = cut.model.water.range_of(cut.model.at(cut.spots.energy, cut.model.mean_energy))
    found = []
    for level in np.unique(np.r_[low, low + 1]):
        share = np.where(low == level, 1.0 - upper, np.where(low + 1 == level, upper, 0.0)) * cut.mu
        chosen = (share > 0.0) & (ranges > before.water + level * LEVEL_MM + _END_MM)
        if chosen.any():
            spots = cut.spots
            columns = (spots.energy, spots.x, spots.y, spots.sigma_x, spots.sigma_y)
            some = Spots(*(column[chosen] for column in columns))
            upstream = _matter(beam, cut.model, before, height, above, float(level) * LEVEL_MM)
            found.append(Part(cut.model, some, share[chosen], upstream))
    return found


def _water(beam: IonBeam, cut: split.SubBeams, height: float) -> Floats:
    """Water-equivalent thickness (n,) where the paths of sub-beams pass the compensator, mm."""
    plate = beam.compensator
    assert plate is not None
    sad = np.asarray(beam.virtual_sad)
    at_cut = cut.place * (1.0 - height / sad)
    there = np.column_stack([cut.spots.x, cut.spots.y])
    part = plate.distance / height if height > 1.0 else 0.0
    path = (there + (at_cut - there) * part) / (1.0 - plate.distance / sad)
    return plates.water_thickness(plate, path[:, 0], path[:, 1])


def _matter(
    beam: IonBeam, model: BeamModel, before: Upstream, height: float, above: bool, wet: float
) -> Upstream:
    """What sub-beams pass after the cut, as one slab: compensator, and a range shifter that stands below.

    A range shifter above the cut takes its range here, and no more scattering: that is in the sub-beams.
    """
    air = None if before.air_from is None else min(before.air_from, height)
    plate, shifter = beam.compensator, before.shifter
    if shifter is None and wet <= 0.0:
        return Upstream(air, before.surface)
    faces, tops = [], []
    if plate is not None and wet > 0.0:
        faces.append(plate.distance)
        tops.append(plate.distance + wet / plate.rsp)
    if shifter is not None and not above:
        faces.append(before.face)
        tops.append(before.face + shifter.thickness)
    face, top = (min(faces), max(tops)) if faces else (height, height + _THIN_MM)
    water = before.water + wet
    factor = PLASTIC_SCATTERING
    if above:
        energy = float(model.mean_energy.max())
        whole = slab_moments(model.water, energy, (0.0, water), (1.0, 0.0))[2]
        behind = slab_moments(model.water, energy, (before.water, water), (1.0, 0.0))[2] if wet > 0.0 else 0.0
        factor *= float(behind / whole)
    return Upstream(air, before.surface, RangeShifter("hardware", water, top - face, factor), face)
