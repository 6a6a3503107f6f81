"""Plans to choose from, in a script.

>>> choices = case.explore("PTV", ["rectum: mean", "bladder: mean"], dose=2.0, fractions=30, fields={"A": 90})
>>> choices.table(), choices.picture()
>>> plan = choices.plan({"rectum: mean": 20.0})         # the best target with 20 Gy there
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from common.text import _
from tps_engine import output
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.model import BeamModel
from tps_engine.evaluate.figure_choices import choices_chart
from tps_engine.optimise import pareto
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan.explore import Explored, choose, finish
from tps_engine.scripting.plan import Plan
from tps_engine.scripting.show import Picture, Table, progress


@dataclass(frozen=True)
class Choices:
    """A Pareto surface of plans; limits and values are in Gy over all fractions."""

    case: output.Case = field(repr=False)
    machine: BeamModel | IonMachine = field(repr=False)
    calibration: CtCalibration = field(repr=False)
    explored: Explored = field(repr=False)

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of what is traded; the first is the target's deviation from what is prescribed."""
        return self.explored.names

    def table(self) -> Table:
        """The plans of the surface."""
        values = self.explored.shown(self.explored.surface.values)
        rows: list[tuple[str | float, ...]] = [
            (str(number), *(float(value) for value in row)) for number, row in enumerate(values, start=1)
        ]
        return Table((_("plan"), *self.criteria), tuple(rows))

    def reach(self, limits: Mapping[str, float] | None = None) -> Table:
        """Least value of each criterion while the others keep their limits. Raises BadInput as `plan`."""
        known = self.explored.surface
        loose = 1.001 * known.values.max(axis=0) + 1e-9
        asked = np.array([(limits or {}).get(name, np.inf) for name in known.names])
        most = np.where(np.isfinite(asked), self.explored.inner(asked), loose)
        least = self.explored.shown(pareto.reachable(known, most))
        return Table((_("criterion"), _("least")), tuple(zip(known.names, map(float, least), strict=True)))

    def picture(self, *limits: Mapping[str, float]) -> Picture:
        """The surface: the target's deviation against each other criterion; choices are marked."""
        known = self.explored.surface
        marked = [self.explored.shown(choose(self.explored, one).values) for one in limits]
        return Picture(choices_chart(known.names, self.explored.shown(known.values), marked))

    def plan(self, limits: Mapping[str, float]) -> Plan:
        """A deliverable plan with criteria at or below limits, by name; see `explore.choose`.

        The mixture of plans keeps the limits; the plan's `goals` tell what is left of them after the
        machine's smallest metersets and the exact dose. Raises BadInput for limits that no mixture keeps.
        """
        choice = choose(self.explored, limits)
        with progress() as report:
            result = finish(self.explored, choice, limits, report)
        setup = self.explored.setup
        options = replace(setup.options, objectives=tuple(goal.text for goal in result.goals))
        return Plan(self.case, setup.prescription, self.machine, self.calibration, result, options)
