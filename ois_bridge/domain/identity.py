"""What identifies a patient, how it is written, and whether two statements name the same person."""

import re
from dataclasses import replace
from datetime import date

from common.dicom.plan import PatientIdentity
from common.errors import BadInput
from common.text import _
from ois_bridge.domain.words import N_

_ID = re.compile(r"[^\s\\/?#%\x00-\x1f\x7f]{1,64}")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
SEXES = ("M", "F", "O")


def checked(patient_id: str, name: str, birth_date: str, sex: str, today: date) -> PatientIdentity:
    """An identity fit to be registered; birth_date as YYYYMMDD or YYYY-MM-DD.

    Raises BadInput naming the field that is wrong and what is allowed in it.
    """
    patient_id, name, sex = patient_id.strip(), normal_name(name), sex.strip().upper()
    if not _ID.fullmatch(patient_id):
        raise BadInput(_("Patient ID: 1 to 64 characters without spaces, slashes, ? # % are allowed."))
    if not 1 <= len(name) <= 64 or "\\" in name or any(ord(c) < 32 for c in name):
        raise BadInput(_("Patient name: 1 to 64 characters are allowed, as Family^Given."))
    if sex not in SEXES:
        raise BadInput(_("Sex: allowed are M, F and O."))
    return PatientIdentity(patient_id, name, _birth_date(birth_date, today), sex)


def _birth_date(text: str, today: date) -> str:
    iso = _ISO_DATE.fullmatch(text.strip())
    digits = "".join(iso.groups()) if iso else text.strip()
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        born = None
    if born is None or len(digits) != 8 or born > today or born.year < today.year - 130:
        raise BadInput(_("Birth date: a past date as YYYY-MM-DD is needed."))
    return digits


def normal_name(name: str) -> str:
    """A DICOM person name without empty trailing components and groups (PS3.5, 6.2.1)."""
    groups = [group.strip().rstrip("^").strip() for group in name.split("=")]
    return "=".join(groups).rstrip("=")


def readable_name(name: str, chinese: bool = False) -> str:
    """A DICOM person name as people write it: given name first in Latin letters, unspaced in Chinese ones.

    `chinese`: for a Chinese reader, who needs no Latin letters where there are Chinese ones.
    """
    groups = [_readable(group.split("^")) for group in name.split("=")]
    found = list(dict.fromkeys(group for group in groups if group))
    own = [group for group in found if not group.isascii()]
    return " · ".join(own if chinese and own else found)


def _readable(parts: list[str]) -> str:
    if "".join(parts).isascii():
        return " ".join(part for part in [*parts[1:3], parts[0]] if part)
    return "".join(parts[:2])


def readable_date(text: str) -> str:
    """YYYYMMDD as YYYY-MM-DD."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 else text


def contradictions(registered: PatientIdentity, stated: PatientIdentity) -> tuple[str, ...]:
    """Names of the fields in which a DICOM object contradicts the registered patient.

    Patient ID and name must agree; a birth date or sex that the object leaves empty is no contradiction.
    """
    stated = replace(stated, name=normal_name(stated.name))
    found = []
    if stated.patient_id != registered.patient_id:
        found.append(N_("patient ID"))
    if stated.name.casefold() != normal_name(registered.name).casefold():
        found.append(N_("name"))
    if stated.birth_date and stated.birth_date != registered.birth_date:
        found.append(N_("birth date"))
    if stated.sex and stated.sex != registered.sex:
        found.append(N_("sex"))
    return tuple(found)


def checked_uid(uid: str) -> str:
    """A DICOM UID fit to be a file name. Raises BadInput."""
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise BadInput(_("A DICOM UID of digits and dots, at most 64 characters, is needed."))
    return uid
