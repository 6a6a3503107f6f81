"""What a beam passes between the plane where its optics are known and the patient."""

from dataclasses import dataclass

import numpy as np

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.optics import RangeShifter
from tps_engine.beamdata.scattering import AIR_SCATTERING, slab_moments
from tps_engine.beamdata.water import Floats
from tps_engine.patient.stopping_power import AIR


@dataclass(frozen=True)
class Upstream:
    """Heights in mm above the isocentre, along the beam.

    air_from: where air begins to count, None: it does not. surface: where the patient begins.
    shifter: the range shifter in the beam, None: none; face: height of its downstream face.
    """

    air_from: float | None
    surface: float
    shifter: RangeShifter | None = None
    face: float = 0.0

    @property
    def water(self) -> float:
        """Water-equivalent thickness of the range shifter, mm."""
        return 0.0 if self.shifter is None else self.shifter.water_equivalent

    @property
    def gap(self) -> float:
        """Air between the range shifter and the patient, mm."""
        return 0.0 if self.shifter is None else max(self.face - self.surface, 0.0)


def shifter_of(beam: IonBeam, model: BeamModel) -> RangeShifter | None:
    """The range shifter of a beam: thickness in water from the plan, else from the beam model.

    Raises BadInput when neither states it.
    """
    if beam.range_shifter is None:
        return None
    known = {shifter.id: shifter for shifter in model.range_shifters}.get(beam.range_shifter)
    wet = beam.range_shifter_wet
    if known is not None:
        return known if wet is None else RangeShifter(known.id, wet, known.thickness, known.scattering)
    if wet is None:
        raise BadInput(
            _(
                "beam {number}: range shifter {name} is not described: the plan gives no water-equivalent "
                "thickness and the beam model {model} does not list it; add it under range_shifters"
            ).format(number=beam.number, name=beam.range_shifter, model=model.name)
        )
    return RangeShifter(beam.range_shifter, wet, wet)


def upstream_of(beam: IonBeam, model: BeamModel, surface: float) -> Upstream | None:
    """What stands before a patient who begins at height `surface` mm; None when that is nothing.

    Raises BadInput for a range shifter of unknown thickness or place, or one that stands in the patient.
    """
    shifter = shifter_of(beam, model)
    if shifter is None:
        return None if model.air_from is None else Upstream(model.air_from, surface)
    face = beam.range_shifter_distance
    if face is None:
        raise BadInput(
            _(
                "beam {number}: the plan does not say where its range shifter stands "
                "(IsocenterToRangeShifterDistance); export it with that distance"
            ).format(number=beam.number)
        )
    if face < surface:
        raise BadInput(
            _(
                "beam {number}: its range shifter stands {face} mm from the isocentre, inside the patient, "
                "who begins at {surface} mm"
            ).format(number=beam.number, face=f"{face:.1f}", surface=f"{surface:.1f}")
        )
    return Upstream(model.air_from, surface, shifter, face)


def moments(model: BeamModel, upstream: Upstream, energies: Floats) -> Floats:
    """(e, 3) m0, m1, m2: at height z matter upstream adds m0 - 2 m1 z + m2 z^2 to a spot's variance, mm2.

    energies: (e,) nominal MeV.
    """
    out = np.zeros((len(energies), 3))
    for row, energy in enumerate(model.at(energies, model.mean_energy)):
        for depths, heights, factor in _slabs(upstream):
            out[row] += factor * slab_moments(model.water, float(energy), depths, heights)
    return out


def _slabs(upstream: Upstream) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
    """Slabs in the order of the beam: water depths, heights, scattering relative to that depth of water."""
    slabs = []
    shifter, depth = upstream.shifter, 0.0
    per_water = AIR_SCATTERING / float(AIR)
    top = upstream.surface if shifter is None else upstream.face + shifter.thickness
    if upstream.air_from is not None and upstream.air_from > top:
        behind = float(AIR) * (upstream.air_from - top)
        slabs.append(((0.0, behind), (upstream.air_from, top), per_water))
        depth = behind
    if shifter is not None:
        behind = depth + shifter.water_equivalent
        slabs.append(((depth, behind), (top, upstream.face), shifter.scattering))
        depth = behind
        if upstream.air_from is not None:
            behind = depth + float(AIR) * (upstream.face - upstream.surface)
            slabs.append(((depth, behind), (upstream.face, upstream.surface), per_water))
    return slabs
