"""What the front desk enters, and whether it is fit to be kept."""

import re
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TypeVar

from common.errors import BadInput
from common.text import _
from ois_bridge.domain import chinese, id_card, identity
from ois_bridge.domain.rules import SOURCE

E = TypeVar("E", "PatientEntry", "CourseEntry")

LIMITS = {"hospital_number": 32, "barcode": 32, "phone": 32, "address": 200, "ward": 64, "bed": 16}
_NUMBER = re.compile(r"[A-Za-z0-9-]*")
_PHONE = re.compile(r"[0-9+() -]*")
_NO_NAME = re.compile(r"[<>{}\[\]|\"%$#@!?*_;\U0001f000-\U0001faff]")
_WIDE = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
_NARROW = {code: code - 0xFEE0 for code in _WIDE}
"""Full-width letters and digits, as a Chinese keyboard types them."""


@dataclass(frozen=True)
class CourseEntry:
    """The first course, or one more. `diagnosis`: code or name of a diagnosis, or free words."""

    name: str = ""
    diagnosis: str = ""
    technique: str = ""
    source: str = "outpatient"
    ward: str = ""
    bed: str = ""
    physician: str = ""


@dataclass(frozen=True)
class PatientEntry:
    """A person as typed. birth_date as YYYY-MM-DD or YYYYMMDD; what an id card says may be left empty."""

    name: str
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    id_card: str = ""
    hospital_number: str = ""
    barcode: str = ""
    phone: str = ""
    address: str = ""


def checked(entry: PatientEntry, today: date) -> PatientEntry:
    """The entry in its normal form: name as a DICOM person name, birth date and sex from the id card.

    An empty patient ID or barcode stays empty. Raises BadInput naming the field and what is allowed in it.
    """
    entry = _trimmed(entry)
    card = id_card.checked(entry.id_card, today) if entry.id_card else id_card.IdCard("")
    name = chinese.person_name(entry.name)
    if not any(character.isalpha() for character in name):
        raise BadInput(_("Patient name: it is empty; type the name as the card shows it."))
    if _NO_NAME.search(name) or name.count("=") > 2 or name.count("^") > 4 * (name.count("=") + 1):
        raise BadInput(_("Patient name: < > and other signs that are no part of a name are not allowed."))
    if not (entry.birth_date or card.birth_date):
        raise BadInput(_("Birth date: type it, or the id card that says it."))
    if not (entry.sex or card.sex):
        raise BadInput(_("Sex: choose it, or type the id card that says it."))
    who = identity.checked(
        entry.patient_id or "-", name, entry.birth_date or card.birth_date, entry.sex or card.sex, today
    )
    if card.birth_date and card.birth_date != who.birth_date:
        raise BadInput(_("Birth date: the id card says another one; correct one of them."))
    if card.sex and card.sex != who.sex:
        raise BadInput(_("Sex: the id card says another one; correct one of them."))
    _check_lengths(entry)
    return replace(
        entry, name=who.name, birth_date=who.birth_date, sex=who.sex, id_card=card.number
    )  # fmt: skip


def checked_course(entry: CourseEntry) -> CourseEntry:
    """The course in its normal form. Raises BadInput."""
    entry = _trimmed(entry)
    if entry.source not in SOURCE:
        raise BadInput(_("Source: allowed are outpatient and inpatient."))
    if len(entry.name) > 120 or len(entry.diagnosis) > 500 or len(entry.technique) > 32:
        raise BadInput(
            _("Course: at most 120 characters of name, 500 of diagnosis and 32 of technique are allowed.")
        )
    _check_lengths(entry)
    return entry if entry.source == "inpatient" else replace(entry, ward="", bed="")


def _check_lengths(entry: PatientEntry | CourseEntry) -> None:
    for field, longest in LIMITS.items():
        text = getattr(entry, field, "")
        if len(text) > longest or any(ord(character) < 32 for character in text):
            raise BadInput(
                _("{field}: at most {n} characters of one line are allowed.").format(
                    field=_(NAMES[field]), n=longest
                )
            )
    for field, allowed in (("hospital_number", _NUMBER), ("barcode", _NUMBER), ("phone", _PHONE)):
        if not allowed.fullmatch(getattr(entry, field, "")):
            raise BadInput(
                _("{field}: digits, letters and hyphens are allowed.").format(field=_(NAMES[field]))
            )


def _trimmed(entry: E) -> E:
    """Blanks of all kinds become single ones. Raises BadInput for characters that nobody can type or read."""
    kept = {
        field.name: " ".join(str(getattr(entry, field.name)).translate(_NARROW).split())
        for field in fields(entry)
    }
    for name, text in kept.items():
        if not text.isprintable():
            raise BadInput(
                _("{field}: it holds characters that cannot be shown; type it anew.").format(
                    field=_(NAMES.get(name, "Course"))
                )
            )
    return replace(entry, **kept)


NAMES = {
    "name": "Name", "birth_date": "Birth date", "sex": "Sex", "id_card": "Id card",
    "hospital_number": "Hospital number", "barcode": "Barcode", "phone": "Phone", "address": "Address",
    "ward": "Ward", "bed": "Bed", "photo": "Photo", "patient_id": "Patient ID",
    "physician": "Doctor in charge", "technique": "Technique", "source": "Source", "course": "Course",
}  # fmt: skip
"""Names of the fields, as pages and refusals show them."""
