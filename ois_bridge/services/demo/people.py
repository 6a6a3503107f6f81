"""Persons who do not exist, and what brings them here."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from common.yaml_file import CONFIG, load_checked
from ois_bridge.domain import id_card
from ois_bridge.domain.registration import CourseEntry, PatientEntry

AREA = "990000"
"""No such area code is given out: no living person has this card."""

PREFIX = "DEMO-"


@dataclass(frozen=True)
class Disease:
    """One row of `diseases`: a diagnosis and how it is treated. `dose`: Gy (RBE) a fraction."""

    code: str
    fractions: int
    dose: float
    particle: str
    target: str
    region: str


def scene() -> Mapping[str, Any]:
    """The names, diseases and staff of config/department/demo.yaml. Raises BadConfig."""
    return load_checked(CONFIG / "department" / "demo.yaml", "department_demo")


def disease(scene: Mapping[str, Any], chance: random.Random, sex: str) -> Disease:
    """One that a person of this sex can have, as often as its weight says."""
    rows = [row for row in scene["diseases"] if row.get("sex", sex) == sex]
    row = chance.choices(rows, [row["weight"] for row in rows])[0]
    return Disease(**{name: row[name] for name in Disease.__dataclass_fields__})


def person(
    scene: Mapping[str, Any], chance: random.Random, number: int, sex: str, today: date
) -> PatientEntry:
    """The `number`-th person, without a telephone: nobody is ever messaged."""
    born = today - timedelta(days=int(chance.triangular(8, 88, 62) * 365.25))
    order = 2 * (number % 499) + (1 if sex == "M" else 2)
    digits = f"{AREA}{born:%Y%m%d}{order:03d}"
    surname, given = chance.choice(scene["surnames"]), chance.choice(scene["given"][sex])
    return PatientEntry(
        name=f"{surname}{given}",
        patient_id=f"{PREFIX}{number:05d}",
        id_card=digits + id_card.check_character(digits),
        hospital_number=f"H{number:07d}",
        address=f"{chance.choice(scene['streets'])}{chance.randint(1, 299)}号",
    )


def first_course(
    scene: Mapping[str, Any], chance: random.Random, what: Disease, physician: str
) -> CourseEntry:
    """The course that the front desk enters with the person."""
    inpatient = chance.random() < 0.35
    return CourseEntry(
        diagnosis=what.code,
        technique="IMPT" if what.particle == "proton" else "IMCT",
        source="inpatient" if inpatient else "outpatient",
        ward=chance.choice(scene["wards"]) if inpatient else "",
        bed=str(chance.randint(1, 48)) if inpatient else "",
        physician=physician,
    )
