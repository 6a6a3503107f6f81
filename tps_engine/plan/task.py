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
from tps_engine.optimise.functions import Function, on_dose
from tps_engine.optimise.lbfgs import Descent
from tps_engine.optimise.objectives import Floats, Objective, Underdose
from tps_engine.optimise.quantities import LinearDose
from tps_engine.optimise.solver import solve
from tps_engine.plan import goals
from tps_engine.plan.goals import OptimisationVoxels
from tps_engine.plan.request import Prescription, Robustness
from tps_engine.plan.scene import PlannedField, Scene

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Task:
    """Objectives and a matrix a scenario, the nominal one first; dose in RBE-weighted Gy per MU."""

    names: tuple[str, ...]
    matrices: tuple[Influence, ...] = field(repr=False)
    wanted: OptimisationVoxels = field(repr=False)
    aim: str

    def minimiser(self, report: Report) -> Minimise:
        """The minimiser of this task; report(iteration, value) after each."""
        functions = tuple(on_dose(matrix, self.wanted.objectives) for matrix in self.matrices)
        floor = self.wanted.negligible
        if self.aim == "worst":
            return lambda start, bounds, tolerance: robust.minimise_worst(
                functions, start, bounds, tolerance, floor, report
            )
        function = self._function(functions)

        def minimise(start: Floats, bounds: tuple[Floats, Floats], tolerance: float) -> Descent:
            return solve(function, start, bounds, tolerance, floor, report)

        return minimise

    def _function(self, functions: tuple[Function, ...]) -> Function:
        if self.aim == "expected":
            return robust.expected(functions, (1.0 / len(functions),) * len(functions))
        if self.aim == "voxel":
            cold: tuple[Objective, ...] = tuple(o for o in self.wanted.objectives if isinstance(o, Underdose))
            hot = tuple(o for o in self.wanted.objectives if not isinstance(o, Underdose))
            return robust.VoxelWorst(tuple(LinearDose(matrix) for matrix in self.matrices), cold, hot)
        return functions[0]

    def histograms(
        self, scene: Scene, mu: NDArray[np.float32], prescription: Prescription
    ) -> dict[str, dict[str, Dvh]]:
        """Dose-volume histograms of target and organs by scenario, RBE-weighted Gy of one fraction."""
        regions = {prescription.target: scene.target, **scene.organs}
        inside = {name: mask.ravel()[self.wanted.flat] for name, mask in regions.items() if mask.any()}
        found = {}
        for name, matrix in zip(self.names, self.matrices, strict=True):
            dose = products.dose(matrix, mu.astype(np.float64))
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
