"""Faces and fingerprints: enrolled with the patient's consent, removed when it is taken back.

The features stay in the reader; the OIS knows only what the reader calls them.
"""

import hashlib
import logging
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, LinkLost, Refused
from common.text import _
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.words import N_
from ois_bridge.models.clinical import Patient
from ois_bridge.models.queue import BiometricTemplate
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

log = logging.getLogger(__name__)

KINDS = {"face": N_("face"), "fingerprint": N_("fingerprint")}
LONGEST = 200


def of_patient(session: Session, patient_key: str) -> Sequence[BiometricTemplate]:
    """What is enrolled of a patient, the newest first."""
    query = select(BiometricTemplate).where(BiometricTemplate.patient_key == patient_key)
    return session.scalars(query.order_by(BiometricTemplate.enrolled.desc())).all()


def handle(template: str) -> str:
    """What stands in a page for a template: the reader's own name is not shown."""
    return hashlib.sha256(template.encode()).hexdigest()[:16]


def enrol(
    context: Context, caller: Caller, patient_key: str, device: str, kind: str, consent: str
) -> BiometricTemplate:
    """Bind whom the reader at a device sees to a patient. `consent`: who agreed, and how.

    Raises BadInput without a consent, Refused where the reader sees nobody or somebody else's template,
    LinkLost, NotFound.
    """
    caller.check(Action.ENROL_FEATURES)
    if kind not in KINDS:
        raise BadInput(_("Kind: allowed are {names}.").format(names=", ".join(KINDS)))
    if not 1 <= len(readable(consent.strip(), _("Consent"))) <= LONGEST:
        raise BadInput(_("Without the patient's consent nothing is enrolled: write who agreed, and how."))
    # before the transaction: a reader may take seconds
    template = context.readers.read(device)
    with context.permitted(caller, Action.ENROL_FEATURES, patient_key, kind) as session:
        patient = must(session.get(Patient, patient_key))
        access.check(session, caller, patient.key, context)
        if not template:
            raise Refused(_("The reader sees nobody; ask the patient to stand before it, and try again."))
        known = session.get(BiometricTemplate, template)
        if known is not None and known.patient_key != patient.key:
            raise Refused(_("The reader knows this person as another patient; compare the records."))
        row = known or BiometricTemplate(template=template, patient_key=patient.key)
        row.kind, row.consent = kind, consent.strip()
        row.enrolled, row.enrolled_by = context.now(), caller.user
        session.add(row)
    return row


def remove(context: Context, caller: Caller, patient_key: str, which: str) -> bool:
    """Forget a template (`which`: its handle), here and in the readers.

    Returns whether the readers deleted it too; one that does not answer keeps it, and has to be told by hand.
    """
    with context.permitted(caller, Action.ENROL_FEATURES, patient_key, "remove") as session:
        access.check(session, caller, patient_key, context)
        found = [row for row in of_patient(session, patient_key) if handle(row.template) == which]
        row = must(found[0] if found else None)
        template = row.template
        session.delete(row)
    try:
        return context.readers.forget(template) > 0
    except LinkLost as why:
        log.warning("a template was removed here, and not in a reader: %s", why)
        return False
