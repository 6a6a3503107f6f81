"""Labels of patients, with the barcode that the front desk and the rooms scan."""

from ois_bridge.domain.identity import readable_name
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.masking import masked_name
from ois_bridge.models.clinical import Patient
from ois_bridge.models.registration import PatientChange
from ois_bridge.services import access, patients, registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.ports import Label
from ois_bridge.services.search import parts


def pdf(context: Context, caller: Caller, key: str, masked: bool, language: str) -> bytes:
    """A patient's label; one registered before barcodes were made gets its barcode now. Raises NotFound."""
    with context.permitted(caller, Action.READ_PATIENTS, key, "label printed") as session:
        patient = patients.must(session.get(Patient, key))
        access.check(session, caller, key, context)
        if not patient.barcode:
            before = parts.of(patient)
            patient.barcode = registration.free_barcode(context, session)
            session.add(
                PatientChange(
                    patient_key=key, field="barcode", old="", new=patient.barcode,
                    changed=context.now(), changed_by=caller.user,
                )
            )  # fmt: skip
            session.flush()
            parts.put(session, patient, before)
        name, second = _names(patient.name, masked, language)
        label = Label(
            name=name,
            second=second,
            patient_id=patient.patient_id,
            sex=patient.sex,
            birth_date="" if masked else patient.birth_date,
            barcode=patient.barcode,
        )
    return context.desk.labels.compose(label, language)


def _names(name: str, masked: bool, language: str) -> tuple[str, str]:
    """The name in the letters of the language, and in the other ones where the patient has both."""
    if masked:
        return masked_name(name), ""
    both = readable_name(name).split(" · ")
    first = readable_name(name, chinese=language == "zh").split(" · ")[0]
    return first, next((one for one in both if one != first), "")
