"""What a scanned-ion treatment plan is, as data. Positions follow IEC 61217 and DICOM PS3.3 C.8.8.25.

Spot positions x, y lie in the isocentric plane of the IEC gantry system; angles in degrees;
lengths in mm; energies in MeV (per nucleon for ions); metersets in MU.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IonLayer:
    """One energy layer of a beam.

    x, y: (n,) float32 spot positions in mm. mu: (n,) float32 meterset of each spot in MU.
    fwhm_x, fwhm_y: nominal spot size at isocentre in air, mm (NaN where a foreign plan does not say).
    paintings: number of paintings.
    """

    energy: float
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    mu: NDArray[np.float32]
    fwhm_x: float
    fwhm_y: float
    tune_id: str = ""
    paintings: int = 1

    @property
    def spot_count(self) -> int:
        """Number of spots."""
        return len(self.mu)


@dataclass(frozen=True)
class Aperture:
    """A collimator with one opening or more.

    openings: each (n, 2) x, y mm of a closed outline, projected onto the isocentric plane. distance: from the
    isocentre to the downstream face, mm. thickness: mm.
    """

    id: str
    openings: tuple[NDArray[np.float64], ...] = field(repr=False)
    distance: float
    thickness: float
    material: str = "BRASS"


@dataclass(frozen=True)
class Compensator:
    """A plate whose thickness varies across the beam.

    thickness: (rows, columns) mm; first: x, y mm of the first pixel's centre; spacing: (between columns,
    between rows) mm, all projected onto the isocentric plane; rows run towards -y. distance: from the
    isocentre to the downstream face, mm. rsp: stopping power relative to water.
    """

    id: str
    thickness: NDArray[np.float64] = field(repr=False)
    first: tuple[float, float]
    spacing: tuple[float, float]
    distance: float
    rsp: float
    material: str = "PMMA"


@dataclass(frozen=True)
class IonBeam:
    """One field: a fixed gantry and couch angle, an isocentre and its energy layers.

    isocentre: (x, y, z) in DICOM patient coordinates, mm. couch: patient support angle, deg.
    virtual_sad: (x, y) virtual source-axis distances, mm. range_shifter: its id, or None.
    accessories: what else a foreign plan puts into the beam (blocks, compensators, ...), by name;
    a beam with accessories is for display and dose calculation and must not be delivered.
    aperture, compensator: those of the accessories whose geometry is held. ripple_filter: its id, or None.
    range_shifter_wet: its water-equivalent thickness, mm. range_shifter_distance: from the isocentre to its
    downstream face, mm. None where the plan does not say.
    """

    number: int
    name: str
    gantry: float
    couch: float
    isocentre: tuple[float, float, float]
    layers: tuple[IonLayer, ...]
    virtual_sad: tuple[float, float] = (2000.0, 2000.0)
    snout_position: float = 400.0
    range_shifter: str | None = None
    accessories: tuple[str, ...] = ()
    range_shifter_wet: float | None = None
    range_shifter_distance: float | None = None
    aperture: Aperture | None = None
    compensator: Compensator | None = None
    ripple_filter: str | None = None

    @property
    def meterset(self) -> float:
        """Sum of all spot metersets, MU."""
        return float(sum(layer.mu.sum(dtype=np.float64) for layer in self.layers))

    @property
    def spot_count(self) -> int:
        """Number of spots in all layers."""
        return sum(layer.spot_count for layer in self.layers)


@dataclass(frozen=True)
class PatientIdentity:
    """Who a DICOM object belongs to. birth_date as YYYYMMDD, sex as M, F or O."""

    patient_id: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True)
class IonPlan:
    """A proton or ion plan of one fraction group, as RT Ion Plan carries it.

    prescription: RBE-weighted dose per fraction to the target, Gy (0 where a foreign plan does not say).
    rbe_model: its name, "" where a foreign plan does not say. radiation: PROTON, or ION for `nuclide`, its
    mass and atomic number: carbon-12 or helium-4.
    dose_sop_instance_uid: the RT Dose calculated for this plan, or "". meterset_unit: unit of all metersets,
    MU, or NP (number of particles) in a foreign plan, which no machine here delivers.
    """

    patient: PatientIdentity
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    structure_set_uid: str
    label: str
    machine: str
    beams: tuple[IonBeam, ...]
    fractions: int
    prescription: float
    target: str
    rbe_model: str = "constant 1.1"
    radiation: str = "PROTON"
    nuclide: tuple[int, int] = (12, 6)
    patient_position: str = "HFS"
    dose_sop_instance_uid: str = ""
    meterset_unit: str = "MU"
    created: str = ""
    """Date and time of creation, YYYYMMDDhhmmss."""
