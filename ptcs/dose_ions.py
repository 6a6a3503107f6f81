"""`ptcs dose` of ion plans: pencil beam, physical or RBE-weighted, and Monte Carlo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console

from common.errors import BadInput
from common.text import _
from ptcs import dose_output

if TYPE_CHECKING:
    from rich.progress import Progress

    from tps_engine.beamdata.ion_machine import IonMachine
    from tps_engine.patient.grid import Grid
    from tps_engine.patient.model import Patient


def check(carbon: bool, engine: str, per_beam: bool, ratio: float | None, cell: str | None) -> None:
    """Raise BadInput for options that do not fit the plan's ion or the engine. ratio: --alpha-beta."""
    if not carbon and (ratio is not None or cell is not None):
        raise BadInput(_("--alpha-beta and --cell are for carbon plans on a machine of tables"))
    if carbon and per_beam:
        raise BadInput(_("carbon plans: allowed is one dose of all beams together, without --per-beam"))
    if carbon and (ratio if engine == "mc" else cell) is not None:
        raise BadInput(_("carbon: --alpha-beta is for --engine pb, --cell for --engine mc"))


@dataclass(frozen=True)
class Job:
    """A plan on a machine of tables.

    ratio: alpha/beta in Gy, of an effective dose by pencil beam. cell: cell line of the microdosimetric
    kinetic model, of one by Monte Carlo.
    """

    asked: dose_output.Asked
    machine: IonMachine
    ratio: float | None
    cell: str | None

    def check(self) -> None:
        """Raise BadInput for what is wrong whatever the image."""
        # Imported late: the engine brings a compiler, and other commands need none.
        from tps_engine.biology import mkm_set  # noqa: PLC0415
        from tps_engine.dose.ions import recompute  # noqa: PLC0415

        recompute.check(self.asked.plan, self.machine)
        weighed = self.asked.kind == "effective"
        if self.asked.engine != "mc":
            if weighed != (self.ratio is not None):
                raise BadInput(_("carbon: give --alpha-beta with --dose-type effective, and only then"))
            if self.ratio is not None:
                recompute.tissue_of(self.machine, self.ratio)
            return
        recompute.refuse_unproven(self.machine, self.asked.options)
        if weighed != (self.cell is not None):
            raise BadInput(_("carbon, --engine mc: give --cell with --dose-type effective, and only then"))
        if self.cell is None:
            return
        mkm_set.load().cell(self.cell)
        if self.asked.images[1] is not None or self.asked.options.quantity != "water":
            raise BadInput(
                _("an effective dose is one to water and has no --uncertainty: take --dose-type physical")
            )

    def run(self, patient: Patient, grid: Grid, bar: Progress) -> None:
        """Calculate all fractions, and write them."""
        if self.asked.engine == "mc":
            with bar:
                self._monte_carlo(patient, grid, bar)
        else:
            self._pencil_beam(patient, grid)

    def _pencil_beam(self, patient: Patient, grid: Grid) -> None:
        from tps_engine.dose.ions.recompute import recompute  # noqa: PLC0415

        with Console(stderr=True).status(_("dose")):
            found = recompute(patient, grid, self.asked.plan, self.machine, self.ratio, dose_output.warn)
        total = (self.asked.plan.fractions * found.dose).astype("f4")
        what = (self.asked.kind.upper(), "PLAN", None)
        dose_output.write_dose(self.asked.plan, total, grid, self.asked.out, what, found.what[:64])

    def _monte_carlo(self, patient: Patient, grid: Grid, bar: Progress) -> None:
        from tps_engine.biology import mkm_set  # noqa: PLC0415
        from tps_engine.dose.ions.recompute import monte_carlo  # noqa: PLC0415

        models, options, machine = mkm_set.load(), self.asked.options, self.machine
        cells = None if self.cell is None else models.cell(self.cell)
        task = bar.add_task(_("dose"), total=1.0)
        found = monte_carlo(
            patient, grid, self.asked.plan, machine, options,
            lambda done: bar.update(task, completed=done), cells, dose_output.warn,
        )  # fmt: skip
        click.echo(
            _("{count} ions, mean uncertainty of a beam at most {percent} %").format(
                count=found.histories, percent=f"{100.0 * (found.noise or 0.0):.2f}"
            )
        )
        total = (self.asked.plan.fractions * found.dose).astype("f4")
        what = f"dose to {options.quantity}"
        if self.cell is not None:
            what = f"{models.name} {models.version} {self.cell}"
        comment = f"mc {machine.name} {machine.version}, {what}"[:64]
        kind = (self.asked.kind.upper(), "PLAN", None)
        dose_output.write_dose(self.asked.plan, total, grid, self.asked.out, kind, comment)
        let, sigma = self.asked.images
        if let is not None and found.let is not None:
            dose_output.write_image(let, found.let, grid, "LETd", "keV/um")
        if sigma is not None and found.sigma is not None:
            spread = (self.asked.plan.fractions * found.sigma).astype("f4")
            dose_output.write_image(sigma, spread, grid, "sigma", "Gy")
