"""Ripple filter: a plate of ridges that widens the Bragg peak, as a change of the beam model."""

from dataclasses import replace

import numpy as np

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel


def for_beam(model: BeamModel, beam: IonBeam) -> BeamModel:
    """The beam model behind the ripple filter of a beam; the same model for a beam without one.

    Mean thickness takes range from the mean energy; the spread of thickness adds to that of range in
    quadrature, as an energy spread (Weber & Kraft, Phys Med Biol 44 (1999) 2765). The scattering of a few
    mm of plastic far from the patient is in the measured spot sizes and not counted again. Raises BadInput
    for a filter that the model does not list or energies that end in it.
    """
    if beam.ripple_filter is None:
        return model
    known = {row.id: row for row in model.ripple_filters}
    found = known.get(beam.ripple_filter)
    if found is None:
        raise BadInput(
            _("beam {number}: ripple filter {name}: the beam model {model} lists {allowed}").format(
                number=beam.number, name=beam.ripple_filter, model=model.name, allowed=", ".join(known) or "-"
            )
        )
    ranges = model.water.range_of(model.mean_energy) - found.water_equivalent
    if ranges.min() <= float(model.water.csda[0]):
        raise BadInput(
            _("energies of {model} end in its ripple filter of {wet} mm").format(
                model=model.name, wet=f"{found.water_equivalent:g}"
            )
        )
    mean = model.water.energy_of(ranges)
    # a spread of energy is one of range times dR/dE, which the filter leaves as it was in range
    before = model.spread * np.array([model.water.range_slope(float(value)) for value in model.mean_energy])
    slope = np.array([model.water.range_slope(float(value)) for value in mean])
    return replace(model, mean_energy=mean, spread=np.hypot(before, found.sigma) / slope)
