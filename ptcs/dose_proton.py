"""`ptcs dose` of proton plans: the plan's dose and each beam's, LET and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import numpy as np

from common.text import _
from ptcs import dose_output

if TYPE_CHECKING:
    from rich.progress import Progress

    from tps_engine.beamdata.model import BeamModel
    from tps_engine.dose.recompute import BeamDose
    from tps_engine.patient.grid import Grid
    from tps_engine.patient.model import Patient


@dataclass(frozen=True)
class Job:
    """A plan on a beam model. per_beam: the dose of each beam is written too."""

    asked: dose_output.Asked
    machine: BeamModel
    per_beam: bool

    def check(self) -> None:
        """Raise BadInput for what is wrong whatever the image."""
        # Imported late: the engine brings a compiler, and other commands need none.
        from tps_engine.dose import recompute  # noqa: PLC0415

        recompute.check(self.asked.plan, self.machine)

    def run(self, patient: Patient, grid: Grid, bar: Progress) -> None:
        """Calculate all fractions, and write them."""
        from tps_engine.dose import engines, recompute  # noqa: PLC0415

        plan, machine = self.asked.plan, self.machine
        with bar:
            task = bar.add_task(_("dose"), total=1.0)
            parts = recompute.recompute(
                patient, grid, plan, machine, engines.full_engine_of(self.asked.engine), self.asked.options,
                lambda done: bar.update(task, completed=done), dose_output.warn,
            )  # fmt: skip
        factor = plan.fractions * (recompute.RBE_PROTON if self.asked.kind == "effective" else 1.0)
        _report(parts)
        comment = (
            f"{self.asked.engine} {machine.name} {machine.version}, dose to {self.asked.options.quantity}"[
                :64
            ]
        )
        kind = self.asked.kind.upper()
        dose_output.write_doses(plan, parts, grid, self.asked.out, self.per_beam, kind, factor, comment)
        self._write_images(parts, grid, factor)

    def _write_images(self, parts: list[BeamDose], grid: Grid, factor: float) -> None:
        from tps_engine.dose import recompute  # noqa: PLC0415

        let, sigma = self.asked.images
        found = recompute.total_let(parts)
        if let is not None and found is not None:
            dose_output.write_image(let, found, grid, "LETd", "keV/um")
        spread = recompute.total_sigma(parts)
        if sigma is not None and spread is not None:
            dose_output.write_image(sigma, (factor * spread).astype(np.float32), grid, "sigma", "Gy")


def _report(parts: list[BeamDose]) -> None:
    """What the uncertainty of each beam is, where the engine knows it; beams without dose."""
    for part in parts:
        found = part.found
        if not part.dose.any():
            dose_output.warn(_("beam {number} gives no dose on the grid").format(number=part.beam.number))
        if found.noise is not None:
            click.echo(
                _("beam {number}: {count} protons, mean uncertainty {percent} %").format(
                    number=part.beam.number, count=found.histories, percent=f"{100.0 * found.noise:.2f}"
                )
            )
