"""A patient's images in a script: read them, look at them, plan on them.

>>> from tps_engine.scripting.case import Case
>>> case = Case.read("patient/")                        # a CT series and its structure set
>>> plan = case.plan("PTV", dose=2.0, fractions=30, fields={"A": 90, "B": 270})
>>> plan.planes(), plan.histograms(), plan.metrics()
>>> spared = case.plan("PTV", dose=2.0, fractions=30, fields={"A": 90}, constraints=["rectum: V40 < 30 %"])
>>> plan.save("plan/")
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset

from common.dicom import files, modules, structures
from common.dicom.ct import read_series
from common.errors import BadInput
from common.text import _
from tps_engine import output
from tps_engine.beamdata import ion_files
from tps_engine.beamdata import model as beam_models
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.model import BeamModel
from tps_engine.patient import contours, stopping_power
from tps_engine.patient.grid import Grid
from tps_engine.plan.explore import explore
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, Prescription
from tps_engine.scripting.choices import Choices
from tps_engine.scripting.plan import Plan
from tps_engine.scripting.show import Table, progress

Angle = float | tuple[float, float]
"""Gantry angle in degrees (IEC 61217), or gantry and couch angle."""


@dataclass(frozen=True)
class Case(output.Case):
    """The CT and structure set of a patient."""

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """The CT series and the structure set in a folder. Raises BadInput or BadDicom."""
        return cls.of(files.read_folder(Path(folder)))

    @classmethod
    def of(cls, datasets: Iterable[Dataset]) -> Self:
        """The CT series and the one structure set among data sets. Raises BadInput or BadDicom."""
        found = list(datasets)
        drawn = [ds for ds in found if modules.text(ds, "Modality") == "RTSTRUCT"]
        if len(drawn) != 1:
            raise BadInput(_("{count} structure sets: needed is one").format(count=len(drawn)))
        return cls(read_series(found), structures.from_dataset(drawn[0]))

    @property
    def grid(self) -> Grid:
        """The voxels of the CT."""
        nz, ny, nx = self.ct.hu.shape
        return Grid(self.ct.origin, self.ct.spacing, (nz, ny, nx))

    def regions(self) -> Table:
        """Name, kind and volume of every region drawn."""
        grid = self.grid
        rows = [
            (roi.name, roi.kind, float(contours.rasterise(roi.contours, grid).sum()) * grid.voxel_cm3)
            for roi in self.structures.rois.values()
            if roi.contours
        ]
        return Table((_("region"), _("kind"), _("volume (cm3)")), tuple(rows))

    def plan(
        self,
        target: str,
        *,
        dose: float,
        fractions: int,
        fields: Mapping[str, Angle],
        machine: str = "proton-generic",
        organs: Mapping[str, float | None] | None = None,
        options: PlanOptions | None = None,
        calibration: str = "generic-120kv",
        start: Plan | None = None,
        **choices: Any,
    ) -> Plan:
        """An intensity-modulated plan.

        dose: RBE-weighted Gy of one fraction. fields: angles by name. organs: names, each with its largest
        dose in Gy over all fractions, or None. machine: the name or file of a beam model or ion machine.
        start: an earlier plan to begin from. choices: fields of `PlanOptions` by name, such as
        constraints=["rectum: V40 < 30 %"], robust, model, uniform. Raises BadInput as `planning.make_plan`.
        """
        asked = self._asked(target, dose, fractions, fields, organs)
        chosen = chosen_options(options, start, choices)
        found, table = machine_of(machine), stopping_power.load(calibration)
        with progress() as report:
            result = make_plan(
                self.ct, self.structures, asked[0], asked[1], found, chosen, report, calibration=table
            )
        return Plan(self, asked[0], found, table, result, chosen)

    def explore(
        self,
        target: str,
        criteria: Sequence[str],
        *,
        dose: float,
        fractions: int,
        fields: Mapping[str, Angle],
        machine: str = "proton-generic",
        organs: Mapping[str, float | None] | None = None,
        options: PlanOptions | None = None,
        calibration: str = "generic-120kv",
        plans: int = 12,
        **choices: Any,
    ) -> Choices:
        """Plans between which to choose: the target's coverage against the criteria, such as "rectum: mean".

        plans: so many at most. Other arguments and errors as `plan`; criteria as `explore.criterion`.
        """
        asked = self._asked(target, dose, fractions, fields, organs)
        chosen = chosen_options(options, None, choices)
        found, table = machine_of(machine), stopping_power.load(calibration)
        with progress() as report:
            known = explore((self.ct, self.structures), *asked, found, chosen, table, criteria, plans, report)
        return Choices(self, found, table, known)

    def _asked(
        self,
        target: str,
        dose: float,
        fractions: int,
        angles: Mapping[str, Angle],
        organs: Mapping[str, float | None] | None,
    ) -> tuple[Prescription, list[FieldRequest]]:
        limits = tuple(OrganLimit(name, limit) for name, limit in (organs or {}).items())
        requests = [FieldRequest(name, *_angles(angle)) for name, angle in angles.items()]
        return Prescription(target, dose, fractions, limits), requests


def machine_of(name: str) -> BeamModel | IonMachine:
    """A beam model of protons or an ion machine, by name or file. Raises BadConfig."""
    return ion_files.load(name) if ion_files.found(name) else beam_models.load(name)


def chosen_options(
    options: PlanOptions | None, start: Plan | None, choices: Mapping[str, Any]
) -> PlanOptions:
    """Options with some of their fields chosen by name. Raises BadInput for a name that there is not."""
    known = [one.name for one in fields(PlanOptions)]
    for name in choices:
        if name not in known:
            raise BadInput(
                _("{name} is no choice of a plan: there are {known}").format(
                    name=name, known=", ".join(known)
                )
            )
    lines = {name: tuple(choices[name]) for name in ("objectives", "constraints") if name in choices}
    first = {"start": start.result.beams} if start is not None else {}
    return replace(options or PlanOptions(), **{**choices, **lines, **first})


def _angles(angle: Angle) -> tuple[float, float]:
    return angle if isinstance(angle, tuple) else (float(angle), 0.0)
