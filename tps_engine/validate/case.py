"""What a validation case is: quantities with tolerances, a verdict, pictures; and what it may use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import PtcsError
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.montecarlo.media import Medium

PASSED, FAILED, NOT_RUN = "PASSED", "FAILED", "NOT_RUN"


class NotRun(Exception):
    """A case cannot be run here; the text says what is missing."""


@dataclass(frozen=True)
class Check:
    """One number against one tolerance: low <= value <= high. A limit of None is none.

    what: the quantity, for a reader. reference: what it is compared with. A value that is no number fails.
    """

    what: str
    value: float
    unit: str
    low: float | None
    high: float | None
    reference: str = ""

    @property
    def ok(self) -> bool:
        """Whether the value lies within its tolerance."""
        if not np.isfinite(self.value):
            return False
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        value = float(self.value) if np.isfinite(self.value) else None
        return {
            "what": self.what, "value": value, "unit": self.unit, "low": self.low, "high": self.high,
            "reference": self.reference, "ok": self.ok,
        }  # fmt: skip


def within(what: str, value: float, limit: float, unit: str, reference: str = "") -> Check:
    """A check that a deviation lies within +-limit."""
    return Check(what, float(value), unit, -limit, limit, reference)


def at_least(what: str, value: float, limit: float, unit: str, reference: str = "") -> Check:
    """A check that a value is not below a limit."""
    return Check(what, float(value), unit, limit, None, reference)


def at_most(what: str, value: float, limit: float, unit: str, reference: str = "") -> Check:
    """A check that a value is not above a limit."""
    return Check(what, float(value), unit, None, limit, reference)


@dataclass(frozen=True)
class Picture:
    """A PNG and its caption."""

    caption: str
    png: bytes = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What a case found. notes: sentences on how it was calculated that a reader needs."""

    checks: tuple[Check, ...]
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


class OtherMonteCarlo(Protocol):
    """An independent Monte Carlo code that is run now."""

    @property
    def name(self) -> str:
        """Its name and version, for the report."""

    def dose(
        self, medium: Medium, energy: float, sigma: float, protons: int, seed: int
    ) -> NDArray[np.float32]:
        """Dose to water, (nz, ny, nx) on the medium's grid in Gy per proton, of one spot along +y.

        energy: MeV without spread. sigma: mm, parallel. The spot's axis is x = z = 0. Raises PtcsError.
        """


@dataclass(frozen=True)
class Setup:
    """What cases work with. data: the folder of shared data, None: absent. quick: the short form of a case.

    noise: mean uncertainty, percent of dose above half maximum, of Monte Carlo doses that gamma is taken of.
    """

    model: BeamModel
    data: Path | None = None
    quick: bool = False
    noise: float = 0.5
    other: OtherMonteCarlo | None = None

    def file(self, *parts: str) -> Path:
        """A file or folder of the shared data. Raises NotRun where it is absent."""
        if self.data is None:
            raise NotRun(_("the shared data is not on this machine; give --data"))
        path = self.data.joinpath(*parts)
        if not path.exists():
            raise NotRun(_("{path} is missing in the shared data").format(path="/".join(parts)))
        return path


@dataclass(frozen=True)
class Case:
    """One case. name: what --only takes. engine: pb, mc, or both. against: what it is compared with."""

    name: str
    group: str
    title: str
    engine: str
    against: str
    run: Callable[[Setup], Outcome] = field(repr=False)
    quick: bool = True
    """Whether the case belongs to the short run."""


@dataclass(frozen=True)
class Result:
    """A case and what came of it. why: for a case that was not run, or that ended in an error."""

    case: Case
    status: str
    why: str
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        """As plain data, without pictures."""
        return {
            "name": self.case.name, "group": self.case.group, "title": self.case.title,
            "engine": self.case.engine, "against": self.case.against, "status": self.status, "why": self.why,
            "checks": [check.to_json() for check in self.outcome.checks], "notes": list(self.outcome.notes),
        }  # fmt: skip


def carry_out(case: Case, setup: Setup) -> Result:
    """Run one case. An error that PTCS raises on purpose is a failed case, not a failed run."""
    if setup.quick and not case.quick:
        return Result(case, NOT_RUN, _("left out of the short run"), Outcome(()))
    try:
        outcome = case.run(setup)
    except NotRun as why:
        return Result(case, NOT_RUN, str(why), Outcome(()))
    except PtcsError as why:
        return Result(case, FAILED, str(why), Outcome(()))
    good = bool(outcome.checks) and all(check.ok for check in outcome.checks)
    return Result(case, PASSED if good else FAILED, "", outcome)


def verdict(results: Sequence[Result]) -> str:
    """PASSED when every case that ran passed and at least one ran."""
    states = {result.status for result in results}
    if FAILED in states:
        return FAILED
    return PASSED if PASSED in states else NOT_RUN
