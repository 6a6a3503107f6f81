"""Small DICOM objects as data, seeded, for the tests of this folder."""

import itertools

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.dicom.rt_dose import DoseGrid
from common.dicom.structures import Roi, StructureSet

PATIENT = PatientIdentity("TEST-1", "Demo^病人", "19550301", "M")
STUDY, SERIES, FRAME = "2.25.11", "2.25.12", "2.25.13"


def small_ct() -> CtVolume:
    """6 x 8 x 10 voxels of noise around water."""
    random = np.random.default_rng(1)
    hu = random.integers(-1000, 2000, (6, 8, 10)).astype(np.float32)
    uids = tuple(f"2.25.2{index}" for index in range(6))
    return CtVolume(
        hu,
        (-15.25, -12.5, 30.125),
        (3.0, 2.5, 3.0),
        PATIENT,
        STUDY,
        SERIES,
        FRAME,
        uids,
        created="20261122101500",
    )


def small_structures() -> StructureSet:
    """A square on two slices, and a region without contours."""
    square = np.array([[-5, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]], dtype=float)
    contours = tuple(square + np.array([0, 0, z]) for z in (33.125, 36.125))
    rois = {
        "PTV": Roi(1, "PTV", "PTV", contours, (255, 0, 0)),
        "膀胱": Roi(2, "膀胱", "ORGAN", ()),
    }
    return StructureSet(
        PATIENT, "2.25.31", STUDY, "2.25.32", FRAME, SERIES, "TEST", rois, created="20261122101600"
    )


def _floats(random: np.random.Generator, count: int, low: float, high: float) -> NDArray[np.float32]:
    return random.uniform(low, high, count).astype(np.float32)


def small_plan(radiation: str = "PROTON") -> IonPlan:
    """Two beams of three layers; one layer has a single spot, one beam a range shifter."""
    random = np.random.default_rng(2)

    def layer(energy: float, count: int) -> IonLayer:
        mu = _floats(random, count, 0.01, 4.0)
        x, y = _floats(random, count, -60, 60), _floats(random, count, -60, 60)
        return IonLayer(energy, x, y, mu, 8.5, 9.25, tune_id="T4", paintings=1)

    layers = [(layer(151.37, 5), layer(148.2, 1), layer(144.93, 7)) for _ in range(2)]
    beams = (
        IonBeam(1, "Left", 90.0, 0.0, (1.5, -20.25, 38.0), layers[0]),
        IonBeam(2, "Right", 270.0, 10.0, (1.5, -20.25, 38.0), layers[1], range_shifter="RS3"),
    )
    return IonPlan(
        PATIENT, "2.25.41", STUDY, "2.25.42", FRAME, "2.25.31", "Test plan", "PTCS-SYN-1", beams,
        fractions=28, prescription=1.8, target="PTV", rbe_model="constant 1.1", radiation=radiation,
        dose_sop_instance_uid="2.25.51", created="20261122120000",
    )  # fmt: skip


def small_dose() -> DoseGrid:
    """A smooth grid with a maximum of 60 Gy."""
    z, y, x = np.meshgrid(np.arange(5), np.arange(7), np.arange(9), indexing="ij")
    dose = (60.0 * np.exp(-((z - 2) ** 2 + (y - 3) ** 2 + (x - 4) ** 2) / 9.0)).astype(np.float32)
    return DoseGrid(
        dose, (-10.0, -20.5, 30.125), (3.0, 2.5, 4.0), PATIENT, "2.25.51", STUDY, "2.25.52", FRAME, "2.25.41",
        structure_set_uid="2.25.31", created="20261122120000",
    )  # fmt: skip


def small_record() -> TreatmentRecord:
    """Part 2 of a fraction: a whole beam, an interrupted one, and one that was not begun."""
    random = np.random.default_rng(3)
    starts = itertools.count(1_795_000_000_123_456_789, 2_000_000_000)

    def layer(energy: float, count: int, delivered: int) -> LayerRecord:
        mu = _floats(random, count, 0.01, 4.0)
        done = np.where(np.arange(count) < delivered, mu, np.float32(0)).astype(np.float32)
        start = next(starts) if delivered else 0
        return LayerRecord(
            energy, _floats(random, count, -60, 60), _floats(random, count, -60, 60), done,
            (done * 1.001).astype(np.float32), _floats(random, count, 3, 4), _floats(random, count, 3, 4), mu,
            start, start + 1_000_000_007 if delivered else 0, "T4" if delivered else "", 1,
        )  # fmt: skip

    def beam(
        number: int, layers: tuple[LayerRecord, ...], ended: str, kind: str, cause: str = ""
    ) -> BeamRecord:
        return BeamRecord(
            number, f"B{number}", 90.0, 10.0, (1.5, -2.25, 3.125), 400.0, 41.5, layers, ended, kind, cause,
            "RS3" if number == 2 else None,
        )  # fmt: skip

    beams = (
        beam(1, (layer(151.37, 5, 5), layer(148.2, 1, 1), layer(144.93, 7, 7)), "NORMAL", "CONTINUATION"),
        beam(2, (layer(151.37, 5, 3), layer(148.2, 4, 0)), "OPERATOR", "TREATMENT", "中断辐照 by operator"),
        beam(3, (layer(151.37, 2, 0),), "MACHINE", "TREATMENT", "permit lost"),
    )
    return TreatmentRecord(
        PATIENT, "2.25.61", STUDY, "2.25.62", "2.25.41", fraction=3, fractions_planned=28, part=2,
        machine="PTCS-SYN-1", beams=beams, start_ns=1_795_000_000_000_000_001,
        end_ns=1_795_000_101_000_000_003, operators=("Li^Ming", "Wang^Fang"), verified_by="therapist",
        clock_factor=10.0, monitor={"counts_per_mu": 20000.0, "k_tp": 1.0123456789012345},
    )  # fmt: skip
