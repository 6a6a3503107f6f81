"""What another oncology information system (ARIA, MOSAIQ) says of a patient's treatment."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ForeignFraction:
    """One fraction there. Times with a zone; metersets in MU; None where the other system says nothing."""

    number: int
    planned: datetime | None
    started: datetime | None
    ended: datetime | None
    planned_mu: float | None
    delivered_mu: float | None
    machine: str
    by: str
    note: str


@dataclass(frozen=True)
class ForeignPlan:
    """One plan there. `system`: the name by which people know that system."""

    system: str
    course: str
    label: str
    dose_per_fraction: float | None
    fractions_planned: int
    fractions: tuple[ForeignFraction, ...]
