"""Alerts that follow a patient everywhere."""

from collections.abc import Iterable

from ois_bridge.domain import alerts
from ois_bridge.domain.alerts import Alert
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.models.registration import PatientChange
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must


def of(patient: Patient) -> list[Alert]:
    """The alerts of a patient, gravest kinds first as their table orders them."""
    return alerts.shown(patient.alerts)


def change(
    context: Context,
    caller: Caller,
    patient_key: str,
    codes: Iterable[str],
    seen: Iterable[str] | None = None,
) -> Patient:
    """Set the alerts of a patient; the old ones are kept. `seen`: those that the caller's page showed: what
    somebody else added or removed since then stays as they said.

    Raises BadInput for an unknown one, NotFound.
    """
    kept = alerts.checked(codes)
    with context.permitted(caller, Action.EDIT_ALERTS, patient_key) as session:
        patient = must(session.get(Patient, patient_key))
        access.check(session, caller, patient_key, context)
        if seen is not None:
            wanted, before = set(kept.split()), set(seen)
            there = {code for code in patient.alerts.split() if code in alerts.ALERTS}
            old = [code for code in patient.alerts.split() if code not in there]
            kept = " ".join([alerts.checked((there | (wanted - before)) - (before - wanted)), *old]).strip()
        session.add(
            PatientChange(
                patient_key=patient.key,
                field="alerts",
                old=patient.alerts,
                new=kept,
                changed=context.now(),
                changed_by=caller.user,
            )
        )
        patient.alerts = kept
    return patient
