"""Which tissue of an ion machine each voxel is."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine, Tissue
from tps_engine.biology.effect import Photons


def tissue_map(
    machine: IonMachine,
    shape: tuple[int, ...],
    default: Tissue,
    regions: Mapping[str, NDArray[np.bool_]],
    tissues: Mapping[str, Tissue],
) -> NDArray[np.int8]:
    """Number of the machine's tissue in every voxel, int8 of `shape`.

    tissues: by region; where regions overlap the last one named counts, elsewhere `default`. Raises BadInput
    for a region that does not exist or has another shape, and for a tissue that the machine has no tables of.
    """
    out = np.full(shape, machine.tissue_index(default), dtype=np.int8)
    for region, tissue in tissues.items():
        if region not in regions or regions[region].shape != shape:
            raise BadInput(
                _("no region named {name} on this grid: it has {known}").format(
                    name=region, known=", ".join(sorted(regions)) or "-"
                )
            )
        out[regions[region]] = machine.tissue_index(tissue)
    return out


def photons_of(machine: IonMachine, tissue: NDArray[np.int8]) -> Photons:
    """Photon alpha and beta of every voxel of a map of tissue numbers."""
    alpha = np.array([one.alpha for one in machine.tissues])
    beta = np.array([one.beta for one in machine.tissues])
    return Photons(alpha[tissue], beta[tissue])
