"""Beamlets: every spot by itself, as a sparse matrix in the layout of the pencil beam's."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.dose.engine import Influence
from tps_engine.dose.montecarlo import transport
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.dose.montecarlo.tallies import JOULE_PER_MEV
from tps_engine.dose.parallel import spread
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats


class OneByOne(Protocol):
    """Whatever simulates the histories of one spot."""

    def one(self, seed: int, spot: int, count: int, tally: Floats) -> None:
        """Add the histories of one spot to a tally (voxels, TALLIES)."""
        ...


def check(spots: Spots, voxels: NDArray[np.int64], per_spot: int) -> None:
    """Raise BadInput for no spot, no voxel or no history."""
    if len(spots) == 0 or len(voxels) == 0 or per_spot < 1:
        raise BadInput(_("beamlets need one spot, one voxel and one history or more"))


def matrix(
    ready: OneByOne,
    medium: Medium,
    particles: Floats,
    voxels: NDArray[np.int64],
    per_spot: int,
    seed: int,
    cut: float,
    tallies: int = transport.TALLIES,
) -> Influence:
    """Dose to water in Gy per MU of every spot. particles: (n,) a MU. cut: part of the largest dose."""
    scale = particles / per_spot * JOULE_PER_MEV
    mass = medium.mass.ravel()[voxels]

    def some(first: int, behind: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        tally = np.zeros((medium.grid.size, tallies))
        found = []
        for spot in range(first, behind):
            tally[:] = 0.0
            ready.one(seed, spot, per_spot, tally)
            energy = tally[voxels, transport.WATER]
            dose = np.divide(energy * scale[spot], mass, out=np.zeros(len(voxels)), where=mass > 0.0)
            kept = np.flatnonzero(dose > cut * dose.max()) if dose.any() else np.zeros(0, dtype=np.int64)
            found.append((kept.astype(np.int32), dose[kept].astype(np.float32)))
        return found

    columns = [column for part in spread(some, len(particles)) for column in part]
    indptr = np.r_[0, np.cumsum([len(rows) for rows, _dose in columns])].astype(np.int64)
    rows, values = (np.concatenate([column[k] for column in columns]) for k in (0, 1))
    return Influence(len(voxels), indptr, rows.astype(np.int32), values.astype(np.float32))
