"""The DCPT beam-model tables: CSV, optics as an emittance at a plane that the header names.

Columns: nominal energy MeV, mean energy MeV, energy spread MeV, protons per MU, sigma x, y mm, divergence
x, y rad, correlation x, y (positive: diverging downstream). Mean energies and protons per MU were found from
measured ranges and doses with simulations in TOPAS, so that they belong to the water of Geant4.
"""

import re
from pathlib import Path

import numpy as np

from common.errors import BadInput
from tps_engine.beamdata.importers.common import Table, lines_of, numbers

EXCITATION_EV = 78.0
"""Mean excitation energy of Geant4's water (ICRU Report 90), eV. With PSTAR's 75 eV a proton leaves 0.45 %
more dose than those that protons per MU count, and fields in a known phantom end 0.5 to 1.1 mm early."""

VIRTUAL_SAD_MM = (2000.0, 2560.0)
"""Virtual source-axis distances of the gantry rooms, as their plans state them."""

DEPTH_DOSE = {
    "fluence_loss_per_cm": 0.0183,
    "straggling_factor": 1.12,
    "local_fraction": 0.096,
    "secondary_fraction": 0.539,
    "secondary_length_cm": 8.11,
    "secondary_length_power": 0.727,
}
"""Depth dose that goes with these protons per MU: up to 2.5 % less dose per proton before the peak than the
generic one. With the generic one the clinic's doses are exceeded by 1.0 to 1.5 %, as they are by MCsquare
(0.8 to 1.5 %): protons per MU were calibrated with another Monte Carlo. This one keeps the absolute dose."""

_PLANE = re.compile(r"BMODPOS\s+([0-9.]+)\s*mm")


def read(path: Path) -> Table:
    """Read a table. Raises BadInput naming the line that cannot be used."""
    plane, rows = None, []
    for number, line in enumerate(lines_of(path), start=1):
        if line.lstrip().startswith("#"):
            found = _PLANE.search(line)
            plane = float(found.group(1)) if found else plane
        elif line.strip():
            rows.append(numbers(path, number, line.split(","), 10))
    if plane is None:
        raise BadInput(f"{path.name}: no header line BMODPOS ... mm: this is no DCPT beam model")
    if len(rows) < 2:
        raise BadInput(f"{path.name}: {len(rows)} energies: a beam model needs 2 or more")
    table = np.asarray(rows)
    milli = table[:, 6:8] * 1000.0
    ours = np.column_stack([table[:, 0:3], table[:, 4:6], milli, table[:, 8:10], table[:, 3]])
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    return Table(name, path.name, ours, plane, VIRTUAL_SAD_MM, EXCITATION_EV, depth_dose=DEPTH_DOSE)
