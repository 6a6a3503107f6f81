"""Columns of the list of patients: what each shows, who may see it, which ones a workplace begins with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.words import N_


@dataclass(frozen=True)
class Column:
    """`action`: the right that seeing it needs."""

    text: str
    action: Action = Action.READ_PATIENTS


COLUMNS: Mapping[str, Column] = {
    "patient_id": Column(N_("Patient ID")),
    "birth_date": Column(N_("Birth date")),
    "sex": Column(N_("Sex")),
    "hospital_number": Column(N_("Hospital number")),
    "id_card": Column(N_("Id card"), Action.READ_CONTACTS),
    "barcode": Column(N_("Barcode")),
    "phone": Column(N_("Phone"), Action.READ_CONTACTS),
    "address": Column(N_("Address"), Action.READ_CONTACTS),
    "source": Column(N_("Source")),
    "ward": Column(N_("Ward")),
    "diagnosis": Column(N_("Diagnosis")),
    "icd11": Column("ICD-11"),
    "stage": Column(N_("Stage")),
    "technique": Column(N_("Technique")),
    "physician": Column(N_("Doctor in charge")),
    "state": Column(N_("State of the course")),
    "course": Column(N_("Course")),
    "charging": Column(N_("Charging")),
    "registered": Column(N_("Registered")),
}
"""Name -> column, in the order of the table. The name of the patient always stands first."""

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "receptionist": ("patient_id", "birth_date", "sex", "hospital_number", "phone", "source", "registered"),
    "physician": ("patient_id", "birth_date", "sex", "diagnosis", "stage", "technique", "physician", "state"),
    "physicist": ("patient_id", "birth_date", "sex", "diagnosis", "technique", "physician", "state"),
    "therapist": ("patient_id", "birth_date", "sex", "barcode", "technique", "source", "state"),
}
"""What a workplace (a role) begins with; the first role that fits counts."""
MOST = 12


def allowed(may: Iterable[Action]) -> list[str]:
    """Columns that somebody with these rights may see."""
    rights = frozenset(may)
    return [name for name, column in COLUMNS.items() if column.action in rights]


def defaults(roles: Iterable[str]) -> tuple[str, ...]:
    """The columns that a person of these roles begins with."""
    own = frozenset(roles)
    return next((DEFAULTS[role] for role in DEFAULTS if role in own), DEFAULTS["therapist"])


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Chosen columns in the order of the table. Raises BadInput for unknown ones, none or too many."""
    wanted = frozenset(names)
    if not wanted <= frozenset(COLUMNS) or not 1 <= len(wanted) <= MOST:
        raise BadInput(_("Columns: choose 1 to {n} of the list.").format(n=MOST))
    return tuple(name for name in COLUMNS if name in wanted)
