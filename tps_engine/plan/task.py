"""What the optimiser is given: the standard objectives, in one scenario or in many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.engine import Influence
from tps_engine.evaluate.dvh import Dvh, dvh
from tps_engine.optimise import products, robust, scenarios
from tps_engine.optimise.deliverable import Minimise
from tps_engine.optimise.functions import Function, Term
from tps_engine.optimise.lbfgs import Descent
from tps_engine.optimise.objectives import Floats, Objective, Underdose
from tps_engine.optimise.quantities import LinearDose, Pull, Quantity
from tps_engine.optimise.solver import solve
from tps_engine.plan import goals
from tps_engine.plan.goals import OptimisationVoxels
from tps_engine.plan.request import Prescription, Robustness
from tps_engine.plan.scene import PlannedField, Scene

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class _Corrected:
    """Dose of a matrix and what the exact calculation adds to it at weights near by, Gy."""

    approximate: LinearDose = field(repr=False)
    offset: Floats = field(repr=False)

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.approximate.voxels

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.approximate.spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Dose (voxels,) at weights (spots,), and the map from its gradient to theirs."""
        values, pull = self.approximate.evaluate(weights)
        return values + self.offset, pull


@dataclass(frozen=True)
class Task:
    """Objectives and a matrix a scenario, the nominal one first; dose in RBE-weighted Gy per MU."""

    names: tuple[str, ...]
    matrices: tuple[Influence, ...] = field(repr=False)
    wanted: OptimisationVoxels = field(repr=False)
    aim: str

    def minimiser(self, report: Report, offset: Floats | None = None) -> Minimise:
        """The minimiser of this task; report(iteration, value) after each.

        offset: (n,) Gy that the exact dose has more than the matrix gives, in every scenario alike.
        """
        added = np.zeros(self.matrices[0].voxels) if offset is None else offset
        doses = tuple(_Corrected(LinearDose(matrix), added) for matrix in self.matrices)
        functions = tuple(Term(dose, self.wanted.objectives) for dose in doses)
        floor = self.wanted.negligible
        if self.aim == "worst":
            return lambda start, bounds, tolerance: robust.minimise_worst(
                functions, start, bounds, tolerance, floor, report
            )
        function = self._function(functions, doses)

        def minimise(start: Floats, bounds: tuple[Floats, Floats], tolerance: float) -> Descent:
            return solve(function, start, bounds, tolerance, floor, report)

        return minimise

    def _function(self, functions: tuple[Function, ...], doses: tuple[Quantity, ...]) -> Function:
        if self.aim == "expected":
            return robust.expected(functions, (1.0 / len(functions),) * len(functions))
        if self.aim == "voxel":
            cold: tuple[Objective, ...] = tuple(o for o in self.wanted.objectives if isinstance(o, Underdose))
            hot = tuple(o for o in self.wanted.objectives if not isinstance(o, Underdose))
            return robust.VoxelWorst(doses, cold, hot)
        return functions[0]

    def offset(self, dose: NDArray[np.float32], mu: NDArray[np.float32]) -> Floats:
        """What an exact dose on the dose grid has more than the nominal matrix gives, (n,) Gy."""
        given = products.dose(self.matrices[0], mu.astype(np.float64))
        return dose.ravel()[self.wanted.flat].astype(np.float64) - given

    def histograms(
        self, scene: Scene, mu: NDArray[np.float32], prescription: Prescription, offset: Floats
    ) -> dict[str, dict[str, Dvh]]:
        """Dose-volume histograms of target and organs by scenario, RBE-weighted Gy of one fraction.

        offset: as in `minimiser`; the nominal scenario is then the exact dose.
        """
        regions = {prescription.target: scene.target, **scene.organs}
        inside = {name: mask.ravel()[self.wanted.flat] for name, mask in regions.items() if mask.any()}
        found = {}
        for name, matrix in zip(self.names, self.matrices, strict=True):
            dose = np.maximum(products.dose(matrix, mu.astype(np.float64)) + offset, 0.0)
            found[name] = {
                region: dvh(dose, mask, 1000.0 * scene.grid.voxel_cm3) for region, mask in inside.items()
            }
        return found


def build_task(
    scene: Scene,
    planned: Sequence[PlannedField],
    prescription: Prescription,
    beam_model: BeamModel,
    errors: Robustness | None,
) -> Task:
    """The task of a plan. Raises BadInput for errors that are no scenarios, and for too little memory."""
    if errors is None:
        wanted, asked = goals.standard(scene, prescription), scenarios.standard(0.0, 0.0)
    else:
        deepest = max(float(field.layout.energy.max()) for field in planned)
        depth = float(np.interp(deepest, beam_model.energies, beam_model.peaks()[0]))
        beyond = max(errors.shift, 0.01 * errors.range_percent * depth)
        wanted = goals.standard(replace(scene, planning_target=scene.target), prescription, beyond)
        asked = scenarios.standard(errors.shift, errors.range_percent)
    matrices = scenarios.matrices(scene, planned, wanted.flat, beam_model, asked, prescription.rbe)
    return Task(tuple(s.name for s in asked), matrices, wanted, errors.aim if errors else "nominal")
