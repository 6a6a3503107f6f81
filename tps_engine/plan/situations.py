"""What may happen to a plan: each error on each phase of breathing, with matrices of what the spots give."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common import memory
from tps_engine.dose import engine
from tps_engine.dose.engine import Influence, side_by_side
from tps_engine.optimise.scenarios import Scenario, standard
from tps_engine.patient.grid import Floats
from tps_engine.patient.model import Patient
from tps_engine.plan.effects import Effects, Matrices
from tps_engine.plan.geometry import Place
from tps_engine.plan.radiation import Radiation
from tps_engine.plan.request import Robustness
from tps_engine.plan.scene import PlannedField, Scene

_SPARE = 0.7


@dataclass(frozen=True)
class Situation:
    """Matrices over the spots of all fields, one set a phase that the dose is the mean of."""

    name: str
    phases: tuple[Matrices, ...] = field(repr=False)

    def part(self, first: int, behind: int) -> "Situation":
        """The spots first .. behind."""
        return replace(
            self,
            phases=tuple(
                {name: _columns(matrix, first, behind) for name, matrix in phase.items()}
                for phase in self.phases
            ),
        )


@dataclass(frozen=True)
class Maker:
    """What all matrices of a plan have in common."""

    radiation: Radiation
    planned: Sequence[PlannedField] = field(repr=False)
    sums: frozenset[str]
    effects: Effects = field(repr=False)

    def matrices(self, patient: Patient, points: Floats, error: Scenario, share: int) -> Matrices:
        """Of all fields at points (n, 3) in one image, within `share` bytes. Spots keep their places."""
        rsp = patient.rsp * np.float32(1.0 + error.range_part)
        parts: list[Matrices] = []
        left = share
        for one in self.planned:
            isocentre = one.frame.isocentre + np.asarray(error.shift)
            place = Place(rsp, patient.grid, replace(one.frame, isocentre=isocentre), points)
            parts.append(self.radiation.matrices(place, one.spots, self.sums, self.effects, left))
            left -= _bytes(parts[-1])
        return {name: _together([part[name] for part in parts]) for name in parts[0]}


def situations(
    scene: Scene, maker: Maker, flat: NDArray[np.int64], errors: Robustness | None, limit: int | None
) -> tuple[Situation, ...]:
    """The nominal situation first. limit: bytes for all matrices, None: what is free, 6 GiB at most.

    Raises BadInput for errors that are no scenarios and, before time is spent, for too little memory.
    """
    points = scene.grid.points(flat)
    images = [("", scene.patient, points)]
    images += [(one.name, one.patient, one.of(points)) for one in scene.phases]
    asked = _errors(errors)
    share = allowed_bytes(limit) // (len(asked) * len(images))
    found = []
    for error in asked:
        made = [
            (_named(name, error), maker.matrices(patient, here, error, share))
            for name, patient, here in images
        ]
        if errors is not None and errors.accumulate:
            found.append(Situation(error.name, tuple(matrices for _name, matrices in made)))
        else:
            found += [Situation(name, (matrices,)) for name, matrices in made]
    return tuple(found)


def allowed_bytes(limit: int | None) -> int:
    """Bytes for all matrices of a plan. limit: as `situations` takes it."""
    return min(engine.MEMORY_LIMIT, int(_SPARE * memory.available())) if limit is None else limit


def number_of(errors: Robustness | None) -> int:
    """How many sets of matrices a plan needs."""
    return len(_errors(errors)) * (1 + (len(errors.phases) if errors else 0))


def _errors(errors: Robustness | None) -> Sequence[Scenario]:
    return standard(errors.shift, errors.range_percent) if errors else standard(0.0, 0.0)


def _named(phase: str, error: Scenario) -> str:
    return error.name if not phase else f"{phase}, {error.name}"


def _bytes(matrices: Matrices) -> int:
    """Memory of matrices that share their indices."""
    indices = next(iter(matrices.values())).indices.nbytes
    return indices + sum(matrix.data.nbytes for matrix in matrices.values())


def _columns(matrix: Influence, first: int, behind: int) -> Influence:
    start, end = matrix.indptr[first], matrix.indptr[behind]
    return Influence(
        matrix.voxels,
        matrix.indptr[first : behind + 1] - start,
        matrix.indices[start:end],
        matrix.data[start:end],
    )


def _together(parts: list[Influence]) -> Influence:
    return parts[0] if len(parts) == 1 else side_by_side(parts)
