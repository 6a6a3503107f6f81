"""`ptcs dose` of carbon plans: pencil beam, physical or RBE-weighted, and Monte Carlo, physical."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console

from common.errors import BadInput
from common.text import _
from ptcs import dose_output

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress

    from common.dicom.plan import IonPlan
    from tps_engine.dose.engines import Options
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
    """What to calculate and where to write it. kind: physical or effective."""

    plan: IonPlan
    patient: Patient
    grid: Grid
    machine: str
    out: Path
    kind: str

    def run(
        self,
        engine: str,
        options: Options,
        bar: Progress,
        images: tuple[Path | None, Path | None],
        ratio: float | None,
        cell: str | None,
    ) -> None:
        """By the engine of that name; arguments as those of its method."""
        if engine == "mc":
            with bar:
                self.monte_carlo(options, bar, images, cell)
        else:
            self.pencil_beam(ratio)

    def pencil_beam(self, ratio: float | None) -> None:
        """All fractions by the pencil beam. ratio: alpha/beta in Gy, with an effective dose only."""
        # Imported late: the engine brings a compiler, and other commands need none.
        from tps_engine.beamdata import ion_files  # noqa: PLC0415
        from tps_engine.dose.ions.recompute import recompute  # noqa: PLC0415

        if (self.kind == "effective") != (ratio is not None):
            raise BadInput(_("carbon: give --alpha-beta with --dose-type effective, and only then"))
        with Console(stderr=True).status(_("dose")):
            found = recompute(self.patient, self.grid, self.plan, ion_files.load(self.machine), ratio)
        total = (self.plan.fractions * found.dose).astype("f4")
        what = (self.kind.upper(), "PLAN", None)
        dose_output.write_dose(self.plan, total, self.grid, self.out, what, found.what[:64])

    def monte_carlo(
        self, options: Options, bar: Progress, images: tuple[Path | None, Path | None], cell: str | None
    ) -> None:
        """All fractions by Monte Carlo. images: where LETd and the uncertainty go, None: nowhere.

        cell: cell line of the microdosimetric kinetic model, with an effective dose only.
        """
        from tps_engine.beamdata import ion_files  # noqa: PLC0415
        from tps_engine.biology import mkm_set  # noqa: PLC0415
        from tps_engine.dose.ions.recompute import monte_carlo  # noqa: PLC0415

        if (self.kind == "effective") != (cell is not None):
            raise BadInput(_("carbon, --engine mc: give --cell with --dose-type effective, and only then"))
        if cell is not None and (images[1] is not None or options.quantity != "water"):
            raise BadInput(
                _("an effective dose is one to water and has no --uncertainty: take --dose-type physical")
            )
        models = mkm_set.load()
        cells = None if cell is None else models.cell(cell)
        machine = ion_files.load(self.machine)
        task = bar.add_task(_("dose"), total=1.0)
        found = monte_carlo(
            self.patient, self.grid, self.plan, machine, options,
            lambda done: bar.update(task, completed=done), cells,
        )  # fmt: skip
        click.echo(
            _("{count} ions, mean uncertainty of a beam at most {percent} %").format(
                count=found.histories, percent=f"{100.0 * (found.noise or 0.0):.2f}"
            )
        )
        total = (self.plan.fractions * found.dose).astype("f4")
        what = f"dose to {options.quantity}" if cell is None else f"{models.name} {models.version} {cell}"
        comment = f"mc {machine.name} {machine.version}, {what}"[:64]
        kind = (self.kind.upper(), "PLAN", None)
        dose_output.write_dose(self.plan, total, self.grid, self.out, kind, comment)
        let, sigma = images
        if let is not None and found.let is not None:
            dose_output.write_image(let, found.let, self.grid, "LETd", "keV/um")
        if sigma is not None and found.sigma is not None:
            spread = (self.plan.fractions * found.sigma).astype("f4")
            dose_output.write_image(sigma, spread, self.grid, "sigma", "Gy")
