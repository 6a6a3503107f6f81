"""Changing a patient's data: checked like a registration, each old value kept, images never contradicted."""

import hashlib
from dataclasses import asdict, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.dicom.plan import PatientIdentity
from common.errors import Refused
from common.text import _
from ois_bridge.domain import identity, registration
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.models.archive import DicomSeries
from ois_bridge.models.clinical import Patient
from ois_bridge.models.registration import PatientChange
from ois_bridge.services import access, patients, photos
from ois_bridge.services import registration as desk
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.search import parts

FIELDS = (
    "name", "birth_date", "sex", "id_card", "hospital_number", "barcode", "phone", "address"
)  # fmt: skip
"""What may be changed. The patient ID is what images are tied by: it stays."""


def entry_of(patient: Patient) -> PatientEntry:
    """A patient's data as the form shows them."""
    return PatientEntry(patient_id=patient.patient_id, **{field: getattr(patient, field) for field in FIELDS})


def stamp(patient: Patient) -> str:
    """A digest of the data: a form that carries an old one would overwrite another's work."""
    text = "\x1f".join([*map(str, asdict(entry_of(patient)).values()), patient.photo])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def change(
    context: Context, caller: Caller, key: str, entry: PatientEntry, seen: str, photo: bytes = b""
) -> list[str]:
    """Write what is different; returns the names of the changed fields. `seen`: the stamp of the data that
    the caller saw.

    Raises NotFound, BadInput for a field, Refused when someone else changed the data meanwhile, when a
    number is another patient's, or when images or plans of the patient state the former identity.
    """
    picture = photos.checked(photo) if photo else b""
    path = photos.new_path() if picture else ""
    staged = context.desk.photos.stage(picture) if picture else None
    try:
        with context.permitted(caller, Action.EDIT_PATIENT, key) as session:
            patient = patients.must(session.get(Patient, key))
            access.check(session, caller, key, context)
            if stamp(patient) != seen:
                raise Refused(
                    _("Someone else changed this patient's data meanwhile; look at them and change again.")
                )
            changed = _write(context, session, caller, patient, entry)
            if staged is not None:
                context.desk.photos.publish(staged, path)
                _note(context, session, caller, patient, "photo", path)
                changed.append("photo")
    except BaseException:
        if path:
            context.desk.photos.remove(path)
        raise
    finally:
        if staged is not None:
            context.desk.photos.discard(staged)
    return changed


def history(session: Session, key: str) -> list[PatientChange]:
    """Earlier values of a patient's data, the newest first."""
    query = select(PatientChange).where(PatientChange.patient_key == key)
    return list(session.scalars(query.order_by(PatientChange.changed.desc(), PatientChange.field)))


def _write(
    context: Context, session: Session, caller: Caller, patient: Patient, entry: PatientEntry
) -> list[str]:
    entry = replace(entry, patient_id=patient.patient_id, barcode=entry.barcode or patient.barcode)
    wanted = registration.checked(entry, context.now().astimezone().date())
    desk.refuse_duplicates(session, wanted, patient.key)
    _refuse_contradiction(session, patient, wanted)
    before = parts.of(patient)
    changed = [field for field in FIELDS if getattr(patient, field) != getattr(wanted, field)]
    for field in changed:
        _note(context, session, caller, patient, field, getattr(wanted, field))
    desk.set_sounds(patient)
    session.flush()
    parts.put(session, patient, before)
    return changed


def _note(
    context: Context, session: Session, caller: Caller, patient: Patient, field: str, value: str
) -> None:
    session.add(
        PatientChange(
            patient_key=patient.key,
            field=field,
            old=getattr(patient, field),
            new=value,
            changed=context.now(),
            changed_by=caller.user,
        )
    )
    setattr(patient, field, value)


def _refuse_contradiction(session: Session, patient: Patient, wanted: PatientEntry) -> None:
    """The identity that a patient's own images and plans state must stay the registered one."""
    new = PatientIdentity(patient.patient_id, wanted.name, wanted.birth_date, wanted.sex)
    for series in session.scalars(select(DicomSeries).where(DicomSeries.patient_key == patient.key)):
        stated = patients.stated(series)
        known = set(identity.contradictions(patients.identity_of(patient), stated))
        fresh = [field for field in identity.contradictions(new, stated) if field not in known]
        if fresh:
            raise Refused(
                _("Images or plans of this patient state another {fields}; they would no longer fit.").format(
                    fields=", ".join(_(field) for field in fresh)
                )
            )
