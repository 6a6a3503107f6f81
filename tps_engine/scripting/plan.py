"""A plan in a script: its numbers and pictures, its dose again by another engine, its DICOM objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom import files, ion_plan, modules, rt_dose
from common.dicom.plan import IonPlan
from common.errors import BadInput
from common.text import _
from tps_engine import output
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.model import BeamModel
from tps_engine.biology import parameters, rbe
from tps_engine.biology.stated import Biology, stated
from tps_engine.device import choice
from tps_engine.dose import engines, recompute
from tps_engine.dose.effective import EffectiveDose, effective_dose
from tps_engine.evaluate import figures
from tps_engine.evaluate.drawing import Volume
from tps_engine.evaluate.dvh import Dvh
from tps_engine.evaluate.gamma import GammaCriteria, GammaResult, gamma
from tps_engine.patient import contours
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan.again import Planned, dose_again
from tps_engine.plan.effects import PHYSICAL
from tps_engine.plan.request import PlanOptions, PlanResult, Prescription
from tps_engine.scripting.show import Picture, Table, progress

Dose = NDArray[np.float32]
"""RBE-weighted Gy of one fraction, (nz, ny, nx) on the plan's grid."""


@dataclass(frozen=True)
class Plan:
    """A plan and the dose of exactly its metersets."""

    case: output.Case = field(repr=False)
    prescription: Prescription
    machine: BeamModel | IonMachine = field(repr=False)
    calibration: CtCalibration = field(repr=False)
    result: PlanResult = field(repr=False)
    options: PlanOptions = field(default_factory=PlanOptions, repr=False)

    @property
    def dose(self) -> Dose:
        """The planned dose."""
        return self.result.dose

    @property
    def biology(self) -> Biology | None:
        """What a proton plan's dose is weighed by; None for ions, and for physical dose."""
        if isinstance(self.machine, IonMachine) or self.result.model == PHYSICAL:
            return None
        return stated(parameters.load(), self.result.model, self.options.tissues)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a planner should know before using the plan."""
        unfinished = (_("the optimisation ended before it converged; review the plan with care"),)
        return self.result.warnings + (() if self.result.converged else unfinished)

    def histogram(self, dose: Dose | None = None) -> dict[str, Dvh]:
        """Dose-volume histograms by region, of the planned dose or another, by parts of voxels."""
        return output.histograms(self.dose if dose is None else dose, self.result.inside, self.result.grid)

    def metrics(self, dose: Dose | None = None) -> Table:
        """D98, D95, D50, D2, mean and maximum of every region, Gy of one fraction."""
        rows: list[tuple[str | float, ...]] = [
            (name, *_numbers(found)) for name, found in self.histogram(dose).items()
        ]
        return Table((_("region"), *_headings()), tuple(rows))

    def goals(self) -> Table:
        """What became of every objective and constraint asked for, Gy over all fractions or keV/um."""
        kinds = {True: _("constraint"), False: _("objective")}
        rows: list[tuple[str | float, ...]] = [
            (one.text, kinds[one.hard], one.wanted, one.reached, _("yes") if one.kept else _("no"), one.price)
            for one in self.result.goals
        ]
        headings = (_("asked for"), _("kind"), _("limit"), _("reached"), _("kept"), _("price"))
        return Table(headings, tuple(rows))

    def scenarios(self) -> Table:
        """Of a robust plan: D98, D95, D50, D2, mean and maximum of the target in every scenario, Gy."""
        found = self.result.scenarios
        target = self.prescription.target
        rows: list[tuple[str | float, ...]] = [(name, *_numbers(of[target])) for name, of in found.items()]
        return Table((_("scenario"), *_headings()), tuple(rows))

    def delivery(self) -> Table:
        """Estimated seconds: energy switches, settling on spots, moving between spots, beam on, all."""
        found = self.result.time
        parts = (found.switching, found.settling, found.moving, found.beam_on, found.total)
        headings = (_("switching"), _("settling"), _("moving"), _("beam on"), _("total"))
        return Table((_("delivery"), *headings), (("s", *parts),))

    def recompute(self, engine: str = "mc", **options: Any) -> Dose:
        """The dose of the plan by an engine, pb or mc, with the plan's RBE.

        options: fields of `dose.engines.Options` by name, such as noise=0.01, histories, seed or device.
        Raises BadInput for an unknown engine or option, and for Monte Carlo of ions whose plan was weighed by
        tables over depth, or whose fragments are not right (helium; approximate_fragments=True asks for it).
        """
        asked = engine_options(options)
        source = Planned(
            self.case, self.calibration, self.prescription, self.options, self.machine, self.result
        )
        with progress() as report:
            return dose_again(source, engine, report, asked)

    def effective(self, model: str, tissues: Mapping[str, str | float] | None = None) -> EffectiveDose:
        """Dose, LET and RBE-weighted dose of one fraction by a model of the set `proton-rbe` (McNamara, ...).

        tissues: for a region a tissue of the set or its alpha/beta in Gy. Raises BadInput for unknown names,
        and for ions, whose biology is the machine's.
        """
        return _weighted(self, model, tissues or {})

    def compare(self, dose: Dose, percent: float = 2.0, distance: float = 2.0) -> GammaResult:
        """Gamma of another dose against the planned one, % of its maximum and mm."""
        return gamma(self.dose, dose, self.result.grid.spacing, GammaCriteria(percent, distance))

    def planes(self, **others: Dose) -> Picture:
        """The planned dose, and others by name, in three planes over the CT."""
        named = [(_("planned"), self.dose), *others.items()]
        volumes = [(name, Volume(dose, self.result.grid)) for name, dose in named]
        return Picture(figures.dose_planes(self._backdrop(), volumes, _("Planned dose of one fraction")))

    def histograms(self, dose: Dose | None = None) -> Picture:
        """Dose-volume histograms as a picture; of another dose too, dashed."""
        found = self.histogram()
        other = None if dose is None else self.histogram(dose)
        wanted = self.prescription.dose_per_fraction
        return Picture(figures.dvh_chart(found, other, wanted, _("Dose-volume histograms")))

    def gamma_map(self, found: GammaResult, dose: Dose) -> Picture:
        """A gamma result in three planes and as a histogram. dose: the one that was compared."""
        volume = Volume(dose, self.result.grid)
        return Picture(figures.gamma_map(self._backdrop(), volume, found, _("gamma")))

    def save(self, folder: Path | str) -> tuple[Path, ...]:
        """Write plan.dcm (RT Ion Plan), dose.dcm (RT Dose of all fractions), and return their paths.

        Where the RBE is not one number, physical.dcm too: the physical dose. Raises OSError. The folder is
        made if need be; a file is written whole or not at all.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        plan, dose = self.objects()
        content = {"dose.dcm": rt_dose.to_dataset(dose), "plan.dcm": ion_plan.to_dataset(plan)}
        if self.biology is None or self.biology.model.constant is None:
            total = self.result.physical * np.float32(self.prescription.fractions)
            physical = output.dose_grid(
                plan, total, self.result.grid, modules.new_uid(), "PHYSICAL", summation="PLAN"
            )
            content["physical.dcm"] = rt_dose.to_dataset(physical)
        for name, dataset in content.items():
            files.write_file(dataset, place / name)
        return (place / "plan.dcm", *(place / name for name in content if name != "plan.dcm"))

    def objects(self, machine: str = "") -> tuple[IonPlan, rt_dose.DoseGrid]:
        """The plan and the dose of all its fractions, as data. machine: its name, else the beam model's."""
        uids = (modules.new_uid(), modules.new_uid())
        result, name, known = self.result, machine or self.machine.name, self.biology
        model = result.model if known is None else known.line
        what: dict[str, Any] = {"rbe_model": model, "radiation": result.species, "label": _label(self)}
        if isinstance(self.machine, IonMachine):
            what["nuclide"] = (self.machine.mass_number, self.machine.charge)
        plan = output.ion_plan(self.case, self.prescription, result.beams, name, uids, **what)
        # Dose Summation Type PLAN is the dose of all fractions (PS3.3 C.8.8.3).
        total = self.dose * np.float32(self.prescription.fractions)
        kind = "PHYSICAL" if result.model == "physical" else "EFFECTIVE"
        comment = f"RBE model: {result.model if known is None else known.name}"[:64]
        return plan, output.dose_grid(
            plan, total, result.grid, uids[1], kind, summation="PLAN", comment=comment
        )

    def _backdrop(self) -> figures.Backdrop:
        return _backdrop(self.case, self.prescription)


def _backdrop(case: output.Case, wanted: Prescription) -> figures.Backdrop:
    """CT and target, what doses are drawn over."""
    nz, ny, nx = case.ct.hu.shape
    grid = Grid(case.ct.origin, case.ct.spacing, (nz, ny, nx))
    target = contours.rasterise(case.structures.roi(wanted.target).contours, grid)
    return figures.Backdrop(
        Volume(case.ct.hu, grid), Volume(target, grid), wanted.target, wanted.dose_per_fraction
    )


def _weighted(plan: Plan, model: str, tissues: Mapping[str, str | float]) -> EffectiveDose:
    """The dose of a proton plan by an RBE model. Raises BadInput."""
    if isinstance(plan.machine, IonMachine):
        raise BadInput(_("RBE models of protons do not hold for other ions: plan with another model"))
    known = parameters.load()
    result = plan.result
    ratio = rbe.alpha_beta_map(known, result.grid.shape, result.regions, tissues)
    patient = recompute.patient_of(plan.case.ct, plan.case.structures, plan.calibration)
    with progress() as report:
        report(0.0, model)
        return effective_dose(patient, result.grid, result.beams, plan.machine, known.model(model), ratio)


def engine_options(chosen: Mapping[str, Any]) -> engines.Options:
    """Options of an engine by name. Raises BadInput for a name, or a device, that there is not."""
    known = [one.name for one in fields(engines.Options)]
    for name in chosen:
        if name not in known:
            raise BadInput(
                _("{name} is no option of an engine: there are {known}").format(
                    name=name, known=", ".join(known)
                )
            )
    options = engines.Options(**chosen)
    choice.chosen(options.device)
    return options


def _label(plan: Plan) -> str:
    return f"{'SFUD' if plan.options.uniform else 'IMPT'} {plan.prescription.target}"[:16]


def _headings() -> tuple[str, ...]:
    return ("D98", "D95", "D50", "D2", _("mean"), _("maximum"))


def _numbers(found: Dvh) -> tuple[float, ...]:
    return (*(found.dose_to(percent) for percent in (98.0, 95.0, 50.0, 2.0)), found.mean, found.maximum)
