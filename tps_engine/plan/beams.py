"""Layouts and metersets to the beams of a plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam, IonLayer
from tps_engine.beamdata.model import BeamModel
from tps_engine.plan.layout import Layout
from tps_engine.plan.scene import PlannedField

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian in standard deviations."""


def to_beams(
    planned: Sequence[PlannedField],
    mu: NDArray[np.float32],
    isocentre: tuple[float, float, float],
    beam_model: BeamModel,
) -> tuple[IonBeam, ...]:
    """Beams numbered from 1. mu: metersets of the spots of all fields, one after the other; 0 is left out."""
    beams, first = [], 0
    for number, field in enumerate(planned, start=1):
        behind = first + len(field.layout)
        layers = _layers(field.layout, mu[first:behind], beam_model)
        name, gantry, couch = field.request.name, field.request.gantry, field.request.couch
        beams.append(IonBeam(number, name, gantry, couch, isocentre, layers, beam_model.virtual_sad))
        first = behind
    return tuple(beams)


def _layers(layout: Layout, mu: NDArray[np.float32], beam_model: BeamModel) -> tuple[IonLayer, ...]:
    """Layers of falling energy without the spots that are off, in the order of the layout."""
    layers = []
    for energy in np.unique(layout.energy)[::-1]:
        on = (layout.energy == energy) & (mu > 0.0)
        if on.any():
            row = beam_model.index_of(float(energy))
            layers.append(
                IonLayer(
                    energy=float(beam_model.energies[row]),
                    x=layout.x[on].astype(np.float32),
                    y=layout.y[on].astype(np.float32),
                    mu=mu[on],
                    fwhm_x=float(FWHM * beam_model.sigma[row, 0]),
                    fwhm_y=float(FWHM * beam_model.sigma[row, 1]),
                )
            )
    return tuple(layers)
