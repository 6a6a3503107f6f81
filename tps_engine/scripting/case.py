"""A patient's images in a script: read them, look at them, plan on them.

>>> from tps_engine.scripting.case import Case
>>> case = Case.read("patient/")                        # a CT series and its structure set
>>> plan = case.plan("PTV", dose=2.0, fractions=30, fields={"A": 90, "B": 270})
>>> plan.planes(), plan.histograms(), plan.metrics()
>>> plan.save("plan/")
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom.dataset import Dataset

from common.dicom import files, modules, structures
from common.dicom.ct import read_series
from common.errors import BadInput
from common.text import _
from tps_engine import output
from tps_engine.beamdata import model as beam_models
from tps_engine.patient import contours, stopping_power
from tps_engine.patient.grid import Grid
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, Prescription
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
    ) -> Plan:
        """An intensity-modulated plan.

        dose: RBE-weighted Gy of one fraction. fields: angles by name. organs: names, each with its largest
        dose in Gy over all fractions, or None. machine: a beam model's name or file. Raises BadInput as
        `planning.make_plan` does.
        """
        limits = tuple(OrganLimit(name, limit) for name, limit in (organs or {}).items())
        wanted = Prescription(target, dose, fractions, limits)
        model = beam_models.load(machine)
        table = stopping_power.load(calibration)
        requests = [FieldRequest(name, *_angles(angle)) for name, angle in fields.items()]
        with progress() as report:
            result = make_plan(
                self.ct, self.structures, wanted, requests, model, options, report, calibration=table
            )
        return Plan(self, wanted, model, table, result)


def _angles(angle: Angle) -> tuple[float, float]:
    return angle if isinstance(angle, tuple) else (float(angle), 0.0)
