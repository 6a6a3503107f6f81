"""Reading the archive: every object that leaves it is the one that came in."""

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.dicom import canonical
from common.errors import Tampered
from common.text import _
from ois_bridge.models.archive import DicomInstance, DicomSeries
from ois_bridge.services.context import Context


def load(context: Context, row: DicomInstance) -> Dataset:
    """An object from its file at rest. Raises Tampered when the file is not the one that was kept."""
    ds = dcmread(BytesIO(content_of(context, row)))
    if canonical.plan_hash(ds) != row.content_hash:
        raise Tampered(_("The file of an object was altered at rest; restore it from the backup."))
    return ds


def content_of(context: Context, row: DicomInstance) -> bytes:
    """The bytes of an object's file. Raises Tampered when they are not the ones that were kept."""
    try:
        content = context.files.read(row.path)
    except OSError as why:
        raise Tampered(
            _("The file of an object is gone from the archive; restore it from the backup.")
        ) from why
    if hashlib.sha256(content).hexdigest() != row.file_hash:
        raise Tampered(_("The file of an object was altered at rest; restore it from the backup."))
    return content


def loaded(context: Context, sop_uid: str, user: str, action: str) -> Dataset:
    """`load` for a use case: an altered file is audited before the refusal is raised on."""
    with context.database.reading() as session:
        row = session.get(DicomInstance, sop_uid)
        if row is None:
            raise Tampered(_("The file of an object is gone from the archive; restore it from the backup."))
    try:
        return load(context, row)
    except Tampered as why:
        context.refused(user, action, sop_uid, why)
        raise


def of_patient(session: Session, patient_key: str, modality: str = "") -> Sequence[DicomInstance]:
    """Objects of a patient, by series and number."""
    query = (
        select(DicomInstance)
        .join(DicomSeries)
        .where(DicomSeries.patient_key == patient_key)
        .order_by(DicomSeries.created, DicomInstance.number, DicomInstance.sop_uid)
    )
    if modality:
        query = query.where(DicomSeries.modality == modality)
    return session.scalars(query).all()


KEYS = {
    "PatientID": DicomSeries.stated_id,
    "StudyInstanceUID": DicomSeries.study_uid,
    "SeriesInstanceUID": DicomSeries.series_uid,
    "Modality": DicomSeries.modality,
    "SOPInstanceUID": DicomInstance.sop_uid,
    "SOPClassUID": DicomInstance.sop_class_uid,
}
"""Attributes that a query may select by."""


def matching(session: Session, keys: Mapping[str, Sequence[str]]) -> Sequence[DicomInstance]:
    """Objects whose attributes are among the values of each key; keys without values select nothing away."""
    query = select(DicomInstance).join(DicomSeries)
    for keyword, values in keys.items():
        if values and keyword in KEYS:
            query = query.where(KEYS[keyword].in_(values))
    return session.scalars(
        query.order_by(DicomSeries.created, DicomInstance.number, DicomInstance.sop_uid)
    ).all()
