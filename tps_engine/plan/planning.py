"""From images, regions and a prescription to beams with metersets and their dose."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.text import _
from tps_engine.patient import stopping_power
from tps_engine.plan import finish, solving
from tps_engine.plan.effects import Sums
from tps_engine.plan.radiation import Machine
from tps_engine.plan.request import FieldRequest, PlanOptions, PlanResult, Prescription, Progress
from tps_engine.plan.setup import Setup, prepare
from tps_engine.plan.solving import Solved
from tps_engine.plan.task import Task

_PASSES = 3


def silent(_fraction: float, _step: str) -> None:
    """Report to nobody."""


def make_plan(
    ct: CtVolume,
    structures: StructureSet,
    prescription: Prescription,
    fields: Sequence[FieldRequest],
    machine: Machine,
    options: PlanOptions | None = None,
    progress: Progress = silent,
    calibration: stopping_power.CtCalibration | None = None,
) -> PlanResult:
    """A plan: spots, optimised metersets within the machine's limits, and their dose.

    machine: a beam model of protons, or an ion machine. Raises BadInput for: no such region, a target cut by
    the image edge or outside the body, a field that enters the body where the image ends, a target out of
    the machine's range or scan limits, no field, CT values that are no numbers, a line, model or quantity
    that is not known, a dose matrix that does not fit in memory.
    """
    chosen = options or PlanOptions()
    table = calibration or stopping_power.load()
    setup = prepare((ct, structures), prescription, fields, machine, chosen, table, progress)
    progress(0.3, _("optimisation"))
    solved, tasks = solving.first_pass(setup, counting(progress, 0.3, 0.75))
    return complete(setup, solved, tasks, progress)


def complete(setup: Setup, solved: Solved, tasks: tuple[Task, ...], progress: Progress) -> PlanResult:
    """The last passes, which work on the difference of the matrix to the dose that is shown, and the plan."""
    progress(0.75, _("dose calculation"))
    mu, standings, values = solved.mu, solved.standings, solved.values
    report = counting(progress, 0.8, 0.9)
    given = finish.exact(setup, mu)
    for _pass in range(_PASSES if setup.task.wanted.constraints else 1):
        exact_tasks = finish.corrected(setup, tasks, given, mu)
        solved = solving.last_pass(setup, exact_tasks, mu, report)
        mu, standings, values = solved.mu, solved.standings, values + solved.values
        progress(0.9, _("dose calculation"))
        mu, given = finish.to_prescription(setup, mu)
        if _kept(setup, given, mu):
            break
    progress(1.0, _("plan finished"))
    return finish.result(setup, replace(solved, mu=mu, standings=standings, values=values), given)


def _kept(setup: Setup, given: Sequence[Sums], mu: finish.Metersets) -> bool:
    """Whether the dose that is shown keeps every constraint."""
    task = finish.corrected(setup, (setup.task,), given, mu)[0]
    return all(one.kept for one in finish.reached(setup, task, mu.astype("f8")) if one.hard)


def counting(progress: Progress, first: float, last: float) -> Callable[[int, float], None]:
    """Turn iterations into a fraction that approaches the end of a step from `first` to `last`."""
    done = 0

    def report(_iteration: int, _value: float) -> None:
        nonlocal done
        done += 1
        progress(first + (last - first) * (1.0 - 0.985**done), _("optimisation"))

    return report
