"""What somebody outside the care team is given of a restricted patient: that there is one, and not who.

A session that reads for a caller knows which records are closed to that caller. Rows of such a patient
lose what tells who it is in the moment they are loaded, so that no page or list can show it by oversight.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import QueryContext, Session
from sqlalchemy.orm.attributes import set_committed_value

from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient

NAME = "Restricted record=保密病历"
_INFO = "closed records"

PATIENT = {
    "patient_id": "–", "name": NAME, "birth_date": "", "sex": "O", "id_card": "", "hospital_number": "",
    "barcode": "", "phone": "", "address": "", "pinyin": "", "initials": "", "photo": "",
}  # fmt: skip
COURSE = {
    "name": "–", "diagnosis": "", "diagnosis_en": "", "diagnosis_code": "", "icd11": "", "icd10": "",
    "stage": "", "ward": "", "bed": "", "physician": "", "state_reason": "",
}  # fmt: skip
APPOINTMENT = {"note": ""}


class Closed:
    """Keys of the patients that are closed to a caller; asked for when the first row needs them."""

    def __init__(self, ask: Callable[[], frozenset[str]]) -> None:
        self._ask = ask

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys."""
        return self._ask()


def put_on(session: Session, closed: Closed) -> None:
    """Hide from now on what is closed. Only for sessions that write nothing."""
    session.info[_INFO] = closed


def is_closed(session: Session, patient_key: str) -> bool:
    """Whether a patient is hidden in this session."""
    closed: Closed | None = session.info.get(_INFO)
    return closed is not None and patient_key in closed.keys


def _hide(key: str, hidden: dict[str, str]) -> Callable[[Any, QueryContext], None]:
    def loaded(row: Any, context: QueryContext) -> None:
        if is_closed(context.session, getattr(row, key) or ""):
            for name, value in hidden.items():
                set_committed_value(row, name, value)

    return loaded


event.listen(Patient, "load", _hide("key", PATIENT))
event.listen(Course, "load", _hide("patient_key", COURSE))
event.listen(Appointment, "load", _hide("patient_key", APPOINTMENT))
