"""Who stands at the sign-in: a patient by what was scanned or typed."""

import re
from collections.abc import Sequence
from datetime import date

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from common.errors import BadInput
from ois_bridge.domain import id_card
from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.domain.queue.told import SignInRefused, Told
from ois_bridge.domain.words import N_
from ois_bridge.models.clinical import Patient
from ois_bridge.services import patients

LONGEST = 64
_CARD = re.compile(r"\d{17}[\dX]")

EMPTY = N_("Please scan your barcode, or type your patient number or id card number.")
UNKNOWN = N_("This number is not known here. Please try again, or ask at the front desk.")
WRONG_CARD = N_("This id card number cannot be right: a character is wrong. Please type it again.")
WRONG_BARCODE = N_("This barcode was not read rightly. Please scan it again.")
SEVERAL = N_("This number belongs to more than one patient. Please go to the front desk.")


def find(session: Session, code: str, barcodes: BarcodeRule, today: date) -> Patient:
    """The patient with a barcode, patient number, hospital number or id card number.

    Raises SignInRefused with words for the patient: nothing given, a wrong check character, unknown, not one.
    """
    code = re.sub(r"\s", "", code)
    if not code or len(code) > LONGEST:
        raise SignInRefused(Told(EMPTY))
    forms = {code, code.upper()}
    found: Sequence[Patient] = session.scalars(
        select(Patient)
        .where(
            or_(
                Patient.barcode.in_(forms),
                Patient.patient_id.in_(forms),
                Patient.hospital_number.in_(forms),
                Patient.id_card.in_(forms),
            )
        )
        .limit(2)
    ).all()
    found = list({one.key: one for one in (patients.living(session, row) for row in found)}.values())
    if len(found) == 1:
        return found[0]
    if found:
        raise SignInRefused(Told(SEVERAL))
    raise SignInRefused(Told(_reason(code.upper(), barcodes, today)))


def _reason(code: str, barcodes: BarcodeRule, today: date) -> str:
    """Why nobody has this number: misread, or unknown."""
    try:
        if _CARD.fullmatch(code):
            id_card.checked(code, today)
    except BadInput:
        return WRONG_CARD
    try:
        if barcodes.prefix and code.startswith(barcodes.prefix) and code[len(barcodes.prefix) :].isdigit():
            barcodes.verify(code)
    except BadInput:
        return WRONG_BARCODE
    return UNKNOWN
