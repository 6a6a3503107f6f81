"""What the use cases of the patient's record need beside the house's common means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ois_bridge.domain.foreign import ForeignPlan
from ois_bridge.domain.staging import Table, Texts


@dataclass(frozen=True)
class Settings:
    """How a department keeps its records (config/department/record.yaml). `toxicities`: by language."""

    review_days: int
    follow_up_months: tuple[int, ...]
    toxicities: tuple[Texts, ...]


@dataclass(frozen=True)
class Charging:
    """What the hospital's system says of a course: paid, unpaid, partly paid, ... and in its own words."""

    state: str
    detail: str


class Printer(Protocol):
    """Documents of the record."""

    def pdf(self, template: str, content: Mapping[str, Any], language: str) -> bytes:
        """A4 in the house's style."""
        ...

    def html(self, template: str, content: Mapping[str, Any], language: str) -> str:
        """The same as one page for a browser, which needs nothing else."""
        ...


class DowntimeFolder(Protocol):
    """Where lists lie that are read when the OIS is away."""

    def keep(self, files: Mapping[str, str]) -> int:
        """Have exactly these files (name -> content); returns how many were written. Raises OSError."""
        ...


class OtherOis(Protocol):
    """Another oncology information system, read and never written."""

    @property
    def name(self) -> str:
        """How people call it."""
        ...

    def plans(self, patient_id: str) -> Sequence[ForeignPlan]:
        """What it holds of a patient. Raises LinkLost when it does not answer."""
        ...


class ChargingSource(Protocol):
    """The hospital's charging."""

    def state(self, patient_id: str, course_key: str) -> Charging:
        """Raises LinkLost when it does not answer, BadInput when its answer cannot be used."""
        ...


@dataclass(frozen=True)
class RecordMeans:
    """All of it. `charging` is None where the department has no such link."""

    settings: Settings
    staging: Mapping[str, Table]
    diagnoses: Sequence[Mapping[str, Any]]
    printer: Printer
    others: Sequence[OtherOis]
    charging: ChargingSource | None
    downtime: DowntimeFolder
