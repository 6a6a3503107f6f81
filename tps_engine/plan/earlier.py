"""A warm start: the metersets of an earlier plan on the spots of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.optimise.objectives import Floats
from tps_engine.plan.scene import PlannedField

if TYPE_CHECKING:
    from tps_engine.plan.setup import Setup

_SAME_DEGREES = 0.5
_SAME_ENERGY = 0.02
"""Two energies are near enough when they differ by this part at most."""


def weights_of(beams: Sequence[IonBeam], setup: Setup) -> Floats:
    """(spots,) MU of the nearest earlier spot of the same angles, none farther than half a lattice distance.

    Positions move with the isocentre. Raises BadInput when no spot of the new plan has one.
    """
    reach = (setup.options.layout or setup.radiation.layout).lateral
    found = [_field(one, beams, reach) for one in setup.planned]
    weights = np.concatenate(found)
    if not weights.any():
        raise BadInput(
            _("the earlier plan has no spot where this one has any; give one of the same fields and machine")
        )
    return weights


def _field(field: PlannedField, beams: Sequence[IonBeam], reach: float) -> Floats:
    layout = field.layout
    out = np.zeros(len(layout))
    for beam in beams:
        turned = abs((beam.gantry - field.request.gantry + 180.0) % 360.0 - 180.0)
        tilted = abs((beam.couch - field.request.couch + 180.0) % 360.0 - 180.0)
        if max(turned, tilted) > _SAME_DEGREES or not beam.layers:
            continue
        energies = np.array([layer.energy for layer in beam.layers])
        moved = field.frame.project(np.asarray(beam.isocentre, dtype=np.float64)[None])[0, :2]
        for energy in np.unique(layout.energy):
            layer = beam.layers[int(np.argmin(np.abs(energies - energy)))]
            if abs(layer.energy - energy) > _SAME_ENERGY * energy:
                continue
            here = np.flatnonzero(layout.energy == energy)
            spots = np.column_stack([layer.x, layer.y]).astype(np.float64) + moved
            distance, nearest = cKDTree(spots).query(np.column_stack([layout.x[here], layout.y[here]]))
            out[here] = np.where(distance <= 0.5 * reach, layer.mu[nearest], 0.0)
    return out
