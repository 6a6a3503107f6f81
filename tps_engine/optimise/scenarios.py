"""Influence matrices of what may happen: the patient shifted, the range off, phases of breathing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import engine
from tps_engine.dose.engine import Influence
from tps_engine.dose.field import FieldVoxels, prepare
from tps_engine.optimise.objectives import Floats
from tps_engine.patient.model import Patient
from tps_engine.plan.scene import PlannedField, Scene

Make = Callable[[FieldVoxels, PlannedField, int], Influence]
"""The matrix of one field in prepared voxels within a number of bytes: LET x dose, or another engine's."""


@dataclass(frozen=True)
class Scenario:
    """shift: of the isocentre against the patient, mm (x, y, z of the patient). range_part: 0.035 is +3.5 %
    of stopping power everywhere, so that protons stop earlier.
    """

    name: str
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    range_part: float = 0.0


def standard(shift_mm: float = 3.0, range_percent: float = 3.5) -> tuple[Scenario, ...]:
    """The nominal scenario, shifts to and fro along three axes, stopping power up and down: nine at most.

    0 leaves its scenarios out. Raises BadInput for negative numbers or a range of 50 % or more.
    """
    if shift_mm < 0.0 or not 0.0 <= range_percent < 50.0:
        raise BadInput(_("scenarios need a shift of 0 mm or more and a range error of 0 to 50 %"))
    found = [Scenario(_("nominal"))]
    for axis, name in enumerate("xyz"):
        for step in (-shift_mm, shift_mm):
            if step != 0.0:
                shift = [0.0, 0.0, 0.0]
                shift[axis] = step
                found.append(Scenario(f"{name} {step:+.1f} mm", (shift[0], shift[1], shift[2])))
    for part in (-range_percent, range_percent):
        if part != 0.0:
            found.append(
                Scenario(_("range {percent} %").format(percent=f"{part:+.1f}"), range_part=part / 100)
            )
    return tuple(found)


def matrices(
    scene: Scene,
    planned: Sequence[PlannedField],
    flat: NDArray[np.int64],
    beam_model: BeamModel,
    scenarios: Sequence[Scenario],
    rbe: float = 1.0,
    memory_limit: int = engine.MEMORY_LIMIT,
    make: Make | None = None,
) -> tuple[Influence, ...]:
    """One matrix a scenario over the spots of all fields, in the voxels `flat` of the scene's grid.

    RBE x physical Gy per MU, or what `make` makes instead. Spots keep their places in the beam: the
    patient moves under them. All matrices together take `memory_limit` bytes at most: BadInput before
    time is spent otherwise.
    """
    points = scene.grid.points(flat)
    share = memory_limit // max(len(scenarios), 1)
    return tuple(
        _matrix(
            scene.patient.rsp * np.float32(1.0 + scenario.range_part),
            scene.patient,
            [_shifted(field, scenario.shift) for field in planned],
            points,
            make or _dose_of(beam_model, rbe),
            share,
        )
        for scenario in scenarios
    )


def phase_matrices(
    phases: Sequence[tuple[Patient, Floats]],
    planned: Sequence[PlannedField],
    beam_model: BeamModel,
    rbe: float = 1.0,
    memory_limit: int = engine.MEMORY_LIMIT,
) -> tuple[Influence, ...]:
    """One matrix a breathing phase: (patient of the phase, (n, 3) mm where each planning voxel lies then).

    Raises BadInput where phases differ in their number of points, and as `matrices`.
    """
    if len({len(points) for _patient, points in phases}) != 1:
        raise BadInput(_("every phase needs a position of each planning voxel"))
    share = memory_limit // len(phases)
    return tuple(
        _matrix(patient.rsp, patient, planned, points, _dose_of(beam_model, rbe), share)
        for patient, points in phases
    )


def _dose_of(beam_model: BeamModel, rbe: float) -> Make:
    def make(voxels: FieldVoxels, field: PlannedField, memory_limit: int) -> Influence:
        return engine.influence(voxels, beam_model, field.spots, memory_limit, factor=rbe)

    return make


def _shifted(field: PlannedField, shift: tuple[float, float, float]) -> PlannedField:
    return replace(field, frame=replace(field.frame, isocentre=field.frame.isocentre + np.asarray(shift)))


def _matrix(
    rsp: NDArray[np.float32],
    patient: Patient,
    planned: Sequence[PlannedField],
    points: Floats,
    make: Make,
    memory_limit: int,
) -> Influence:
    share = memory_limit // len(planned)
    parts = []
    for field in planned:
        voxels = prepare(rsp, patient.grid, field.frame, points)
        parts.append(make(voxels, field, share))
    return engine.side_by_side(parts)
