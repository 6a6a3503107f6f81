"""Beam-based alignment of a quadrupole: bumps through it, its strength up and down, who is kicked."""

from dataclasses import dataclass, field

import numpy as np

from common.text import _
from ptcs.commissioning.fits.alignment import Centre, centre, kicks
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Measured, Plan, Settle
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep

ANGLE_MRAD = 0.1
"""Angle of a beam on its way, rms: quadrupoles 0.1 mm off with focal lengths around 1 m."""


@dataclass(frozen=True)
class Alignment:
    """quadrupole, corrector: settings. near: reading beside the quadrupole, before it. monitors: downstream.

    bumps: values of the corrector, relative; change: of the quadrupole, up and down, both in A. What is found
    is the reading of `near` with the beam on the axis. lever_mm: from that monitor to the middle of the
    quadrupole; an angle of the beam between them, angle_mrad rms, counts as uncertainty of the axis.
    """

    quadrupole: str
    corrector: str
    near: str
    monitors: tuple[str, ...]
    bumps: tuple[float, ...]
    change: float
    samples: int = 20
    settle: Settle = field(default_factory=lambda: Settle(0.3))
    tolerance_mm: float = 0.3
    patience_s: float = 30.0
    lever_mm: float = 0.0
    angle_mrad: float = ANGLE_MRAD

    def plan(self) -> Plan:
        """Every bump with the quadrupole down and up."""
        steps = tuple((bump, sign * self.change) for bump in self.bumps for sign in (-1.0, 1.0))
        title = _("Kick response of {name}").format(name=self.quadrupole)
        return Plan(
            title, (self.corrector, self.quadrupole), steps,
            (self.near, *self.monitors), relative=True, samples=self.samples, settle=self.settle,
            patience_s=self.patience_s, kind="alignment",
        )  # fmt: skip


def found_centre(measured: Measured, bumps: int) -> tuple[Centre, np.ndarray]:
    """Centre by a measurement of `Alignment.plan`, and the place (b,) mm of the beam at each bump."""
    strength = measured.settings()[:, 1].reshape(bumps, -1)
    mean, error = measured.mean(), measured.error()
    mean = mean.reshape(bumps, -1, mean.shape[1])
    error = error.reshape(bumps, -1, error.shape[1])
    place = mean[:, :, 0].mean(axis=1)
    rows = [kicks(strength[b], mean[b, :, 1:], error[b, :, 1:]) for b in range(bumps)]
    slope, sigma = (np.array([row[i] for row in rows]) for i in (0, 1))
    return centre(place, slope, sigma), place


def align(session: Session, alignment: Alignment) -> Result:
    """Measure where a quadrupole's axis is. Raises as `Session.run`, BadInput where nobody sees it."""
    measured = session.run(alignment.plan())
    found, place = found_centre(measured, len(alignment.bumps))
    error = float(np.hypot(found.error, alignment.lever_mm * alignment.angle_mrad * 1e-3))
    quantities = (
        Quantity("offset", found.offset, error, "mm", -alignment.tolerance_mm, alignment.tolerance_mm),
        Quantity("agreement of the monitors", found.chi2, 0.0),
    )
    rows = tuple((float(x), *(float(line.at(x)) for line in found.slopes)) for x in place)
    columns = ("place mm", *(f"slope {i + 1} mm/A" for i in range(len(found.slopes))))
    return keep(session.store, Result(
        measured.id, "alignment", measured.plan.title, session.bench.user, now(), quantities,
        {"near": alignment.near, "monitors": list(alignment.monitors), "change": alignment.change,
         "lever_mm": alignment.lever_mm, "angle_mrad": alignment.angle_mrad},
        session.store.head(measured.id)["machine"], (Table("bumps", columns, rows),),
    ))  # fmt: skip
