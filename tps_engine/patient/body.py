"""The body outline found in a CT that has none drawn."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Grid

Mask = NDArray[np.bool_]

BODY_HU = -350.0
_BRIDGE_MM = 4.0


def find(hu: NDArray[np.float32], grid: Grid) -> Mask:
    """The largest piece above -350 HU, its holes filled slice by slice (nz, ny, nx).

    Bridges thinner than 8 mm are cut first, so that a couch or a mask that touches the skin stays
    outside; the piece then grows back to its own edge. Raises BadInput when nothing is above -350 HU.
    """
    matter = hu > BODY_HU
    if not matter.any():
        raise BadInput(_("the CT shows no body above -350 HU; give a structure set with an External"))
    # filled before it is thinned: lungs and bowel must not open a way through the body
    solid = np.stack([binary_fill_holes(plane) for plane in matter])
    depth = np.stack([distance_transform_edt(plane, sampling=grid.spacing[1::-1]) for plane in solid])
    core = depth > _BRIDGE_MM
    pieces, count = label(core if core.any() else solid)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count > 1 else pieces > 0
    grown = np.stack([_grown(plane, inside, grid) for plane, inside in zip(largest, solid, strict=True)])
    return np.asarray(grown)


def _grown(core: Mask, solid: Mask, grid: Grid) -> Mask:
    """The part of a slice's matter within the bridge width of its core."""
    if not core.any():
        return core
    near = distance_transform_edt(~core, sampling=grid.spacing[1::-1]) <= _BRIDGE_MM + max(grid.spacing[:2])
    return np.asarray(binary_fill_holes(near & solid))
