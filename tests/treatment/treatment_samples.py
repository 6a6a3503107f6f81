"""A small plan, its monitor and machine, and a perfect or noisy counter for the treatment tests."""

import numpy as np

from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from treatment.accounting import Counters
from treatment.delivery_map import DeliveryMap, Machine
from treatment.monitor import Monitor, Tolerance

MONITOR = Monitor(
    counts_per_mu=20000.0,
    quantum_counts=6,
    secondary_noise=0.002,
    position_noise_mm=0.15,
    tolerance=Tolerance(),
)
MACHINE = Machine("PTCS-SYN-1", (100.4, 120.6, 140.0), (-150.0, 150.0), (-200.0, 200.0), 5.0)
ROOM = {
    "gantry": 90.0,
    **{f"couch_{axis}": 0.0 for axis in ("x", "y", "z", "pitch", "roll", "yaw")},
    "temperature": 22.0,
    "pressure": 1003.0,
}


def layer(energy, spots, seed):
    draw = np.random.default_rng(seed)
    return IonLayer(
        energy=energy,
        x=draw.uniform(-60, 60, spots).astype(np.float32),
        y=draw.uniform(-60, 60, spots).astype(np.float32),
        mu=draw.uniform(0.02, 0.5, spots).astype(np.float32),
        fwhm_x=10.0,
        fwhm_y=11.0,
    )


def beam(number, gantry=90.0, isocentre=(1.0, 2.0, 3.0), spots=(4, 3)):
    layers = tuple(
        layer(energy, count, 10 * number + index)
        for index, (energy, count) in enumerate(zip((140.0, 120.6, 100.4), spots, strict=False))
    )
    return IonBeam(number, f"F{number}", gantry, 0.0, isocentre, layers)


def plan(beams=None, **changes):
    fields = {
        "patient": PatientIdentity("P-17", "Example^Ann", "19600203", "F"),
        "sop_instance_uid": "1.2.3.4",
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.1",
        "frame_of_reference_uid": "1.2.3.2",
        "structure_set_uid": "1.2.3.3",
        "label": "Test",
        "machine": "PTCS-SYN-1",
        "beams": beams or (beam(1), beam(2, gantry=270.0)),
        "fractions": 30,
        "prescription": 2.0,
        "target": "PTV",
        "created": "20260101120000",
    }
    return IonPlan(**{**fields, **changes})


def counted(wanted: DeliveryMap, primary) -> Counters:
    """Counters of a run that added `primary` counts at the planned places."""
    primary = np.asarray(primary, dtype=np.int64)
    seen = primary > 0
    return Counters(
        primary=primary,
        secondary=primary.copy(),
        x=np.where(seen, wanted.x, 0.0),
        y=np.where(seen, wanted.y, 0.0),
        size_x=np.where(seen, wanted.size_x, 0.0),
        size_y=np.where(seen, wanted.size_y, 0.0),
        start_tick=np.where(seen, 1000 + np.arange(len(primary)), 0),
        end_tick=np.where(seen, 1001 + np.arange(len(primary)), 0),
        factor=10.0,
        origin_wall_ns=1_700_000_000_000_000_000,
    )
