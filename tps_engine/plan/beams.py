"""Layouts and metersets to the beams of a plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam, IonLayer
from tps_engine.plan.layout import Layout
from tps_engine.plan.radiation import Machine, Radiation, of
from tps_engine.plan.scene import PlannedField

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian in standard deviations."""


def to_beams(
    planned: Sequence[PlannedField],
    mu: NDArray[np.float32],
    isocentre: tuple[float, float, float],
    machine: Machine,
) -> tuple[IonBeam, ...]:
    """Beams numbered from 1. mu: metersets of the spots of all fields, one after the other; 0 is left out."""
    radiation = of(machine)
    beams, first = [], 0
    for number, field in enumerate(planned, start=1):
        behind = first + len(field.layout)
        layers = _layers(field.layout, mu[first:behind], radiation)
        name, gantry, couch = field.request.name, field.request.gantry, field.request.couch
        beams.append(IonBeam(number, name, gantry, couch, isocentre, layers, radiation.virtual_sad))
        first = behind
    return tuple(beams)


def _layers(layout: Layout, mu: NDArray[np.float32], radiation: Radiation) -> tuple[IonLayer, ...]:
    """Layers of falling energy without the spots that are off, in the order of the layout."""
    layers = []
    for energy in np.unique(layout.energy)[::-1]:
        on = (layout.energy == energy) & (mu > 0.0)
        if on.any():
            row = radiation.index_of(float(energy))
            sigma = radiation.width(row)
            layers.append(
                IonLayer(
                    energy=float(radiation.energies[row]),
                    x=layout.x[on].astype(np.float32),
                    y=layout.y[on].astype(np.float32),
                    mu=mu[on],
                    fwhm_x=float(FWHM * sigma[0]),
                    fwhm_y=float(FWHM * sigma[1]),
                )
            )
    return tuple(layers)
