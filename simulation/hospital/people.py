"""Whom the simulated hospital knows: persons who do not exist, of config/department/demo.yaml."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from common.yaml_file import CONFIG, load_checked
from simulation.his.server import Person
from simulation.hospital import other_ois

PREFIX = "DEMO-"
"""Of the patient IDs that `ptcs department seed` gives."""

TREATED_EARLIER = tuple(f"{PREFIX}{number:05d}" for number in (2, 5, 11, 17, 23))
STATES = (("paid", ""), ("insured", ""), ("paid", ""), ("partly paid", ""), ("insured", ""), ("unpaid", ""))


def persons() -> list[Person]:
    """The persons that the HIS knows and the department does not yet. Raises BadConfig."""
    scene: Mapping[str, Any] = load_checked(CONFIG / "department" / "demo.yaml", "department_demo")
    return [Person(**row) for row in scene["hospital"]]


class Charged(Mapping[str, tuple[str, str]]):
    """Patient ID -> (state, detail) for everybody of a demonstration department, by their number."""

    def __getitem__(self, patient_id: str) -> tuple[str, str]:
        number = patient_id.removeprefix(PREFIX)
        if number == patient_id or not number.isdecimal():
            raise KeyError(patient_id)
        return STATES[int(number) % len(STATES)]

    def __iter__(self) -> Iterator[str]:
        """Nobody by name: it is a rule, not a list."""
        return iter(())

    def __len__(self) -> int:
        return 0


def earlier_treatments(path: Path) -> dict[str, str]:
    """A database like ARIA's in which a few of them were treated two years ago; its row of links.yaml."""
    if not path.exists():
        begin = datetime.combine(date.today() - timedelta(days=730), time(9, 0))
        other_ois.write_aria(path, TREATED_EARLIER, begin)
    return {"name": "ARIA", "kind": "aria", "path": str(path.resolve())}
