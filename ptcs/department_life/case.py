"""One course that images are made for, as the OIS describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.dicom.plan import PatientIdentity
from ptcs.department_life.bodies import REGIONS, Region


@dataclass(frozen=True)
class Case:
    """done: task -> when it was done; treated: when the first beam of each fraction so far began."""

    course: str
    patient: PatientIdentity
    region: Region
    diagnosis: str
    target: str
    dose_per_fraction: float
    fractions: int
    done: Mapping[str, datetime]
    treated: tuple[datetime, ...]

    @property
    def organs(self) -> dict[str, float]:
        """Region -> highest dose of the whole course, Gy (RBE)."""
        whole = self.dose_per_fraction * self.fractions
        return {name: round(part * whole, 1) for name, part in self.region.limits.items()}

    def stamp(self, task: str) -> str:
        """The end of a task as DICOM writes it, UTC."""
        return self.done[task].astimezone(UTC).strftime("%Y%m%d%H%M%S")


def known(rows: Sequence[Mapping[str, Any]]) -> list[Case]:
    """Courses of those diagnoses that there are bodies for."""
    return [_case(row) for row in rows if row["diagnosis"] in REGIONS]


def chosen(cases: Sequence[Case], most: int) -> list[Case]:
    """At most so many: two before their first fraction if there are four, the others under treatment.

    One diagnosis after the other, so that a few patients show many of them; of each those with the fewest
    fractions first, whose records are quickly made.
    """
    begun = _in_turn(sorted((case for case in cases if case.treated), key=lambda case: len(case.treated)))
    waiting = _in_turn([case for case in cases if not case.treated])
    before = min(len(waiting), 2 if most >= 4 else 0)
    return [*begun[: most - before], *waiting[:before]]


def _in_turn(cases: Sequence[Case]) -> list[Case]:
    """First one of each diagnosis, then the second of each, ..."""
    turns: dict[str, int] = {}
    order: list[tuple[int, int, Case]] = []
    for case in cases:
        turns[case.diagnosis] = turns.get(case.diagnosis, 0) + 1
        order.append((turns[case.diagnosis], len(order), case))
    return [case for _turn, _place, case in sorted(order, key=lambda row: row[:2])]


def _case(row: Mapping[str, Any]) -> Case:
    who = row["patient"]
    return Case(
        course=row["id"],
        patient=PatientIdentity(who["patient_id"], who["name"], who["birth_date"], who["sex"]),
        region=REGIONS[row["diagnosis"]],
        diagnosis=row["diagnosis"],
        target=row["target"],
        dose_per_fraction=row["dose_per_fraction"],
        fractions=row["fractions"],
        done={name: datetime.fromisoformat(at) for name, at in row["done"].items()},
        treated=tuple(datetime.fromisoformat(at) for at in row["treated"])[: row["fractions"]],
    )
