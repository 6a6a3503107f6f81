"""Taking in DICOM objects: all of it is kept, or nothing.

Order of a store: the file is written and flushed under a temporary name; the rows are written in one
transaction; the file gets its name; the transaction is committed. A row therefore always has its file.
A file without a row (the process died in between) is removed at the next start.
"""

import hashlib
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID
from sqlalchemy.orm import Session

from common.dicom import canonical, checker, files, modules
from common.dicom.plan import PatientIdentity
from common.errors import BadDicom, PtcsError, Refused, Tampered
from common.text import _
from ois_bridge.domain import identity
from ois_bridge.models.archive import DicomInstance, DicomSeries
from ois_bridge.models.clinical import Patient
from ois_bridge.services import patients, plans, records
from ois_bridge.services.context import Context

ACCEPTED = {
    modules.CT_IMAGE: "CT",
    modules.RT_STRUCTURE_SET: "RTSTRUCT",
    modules.RT_ION_PLAN: "RTPLAN",
    modules.RT_DOSE: "RTDOSE",
    modules.RT_ION_RECORD: "RTRECORD",
}
"""SOP class -> modality."""

WAITS_FOR_PATIENT = frozenset({modules.CT_IMAGE, modules.RT_STRUCTURE_SET})
"""Kept unassigned until a patient with that ID is registered. A plan or dose needs its patient first."""


@dataclass(frozen=True)
class Header:
    """What an object says about itself."""

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    patient: PatientIdentity
    refers_to: str


def store(context: Context, ds: Dataset, sender: str) -> None:
    """Keep one object. The same object twice is kept once.

    Raises BadDicom for a damaged, inconsistent or unknown object, Tampered for an altered copy of one that
    is here, Refused for one that contradicts its patient or has none, OSError when the disk is full.
    """
    try:
        header = _header(ds)
        checker.require_good(ds)
    except PtcsError as why:
        context.refused(sender, "store", modules.text(ds, "SOPInstanceUID") or "?", why)
        raise
    content = files.to_bytes(ds)
    row = DicomInstance(
        sop_uid=header.sop_uid,
        sop_class_uid=header.sop_class,
        series_uid=header.series_uid,
        number=modules.integer(ds, "InstanceNumber") if ds.get("InstanceNumber") else 0,
        refers_to=header.refers_to,
        path=f"{header.series_uid}/{header.sop_uid}.dcm",
        content_hash=canonical.plan_hash(ds),
        file_hash=hashlib.sha256(content).hexdigest(),
        size=len(content),
        received=context.now(),
        received_from=sender[:16],
    )
    staged = context.files.stage(content)
    try:
        with context.deed(sender, "store", header.sop_uid, ACCEPTED[UID(header.sop_class)]) as session:
            if not _known(session, row):
                _keep(context, session, ds, header, row)
                context.files.publish(staged, row.path)
    except BaseException:
        _undo(context, row)
        raise
    finally:
        context.files.discard(staged)


def sweep(context: Context) -> int:
    """Remove files that no row knows; returns how many. Called at start, before anything listens."""
    with context.database.reading() as session:
        known = {path for (path,) in session.query(DicomInstance.path)}
    return context.files.sweep(known)


def _header(ds: Dataset) -> Header:
    sop_class = str(modules.require(ds, "SOPClassUID"))
    if sop_class not in ACCEPTED:
        raise BadDicom(
            _("This kind of object is not taken. Allowed are {kinds}.").format(
                kinds=", ".join(sorted(ACCEPTED.values()))
            )
        )
    uids = [
        identity.checked_uid(str(modules.require(ds, keyword)))
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    ]
    return Header(uids[0], sop_class, uids[1], uids[2], modules.patient_of(ds), _refers_to(ds))


def _refers_to(ds: Dataset) -> str:
    for keyword in ("ReferencedRTPlanSequence", "ReferencedStructureSetSequence"):
        items = ds.get(keyword)
        if items:
            return str(modules.require(items[0], "ReferencedSOPInstanceUID"))
    return ""


def _known(session: Session, new: DicomInstance) -> bool:
    kept = session.get(DicomInstance, new.sop_uid)
    if kept is not None and kept.content_hash != new.content_hash:
        raise Tampered(
            _("An object with this UID and other content is here already; a changed object needs a new UID.")
        )
    return kept is not None


def _keep(context: Context, session: Session, ds: Dataset, header: Header, row: DicomInstance) -> None:
    named = patients.with_number(session, header.patient.patient_id)
    is_record = header.sop_class == modules.RT_ION_RECORD
    doubt = _doubt(named, header)
    patient = patients.living(session, named) if named is not None else None
    if doubt and not is_record:
        raise Refused(doubt)
    owner = patient.key if patient is not None and not doubt else None
    _series(context, session, header, owner, ds)
    session.add(row)
    session.flush()
    if header.sop_class == modules.RT_ION_PLAN and patient is not None:
        plans.arrive(context, session, ds, row, patient)
    if is_record:
        records.arrive(context, session, ds, row.sop_uid, doubt, row.received_from)


def _doubt(patient: Patient | None, header: Header) -> str:
    """Why an object cannot be a registered patient's; empty where nothing speaks against it."""
    if patient is None:
        if header.sop_class in WAITS_FOR_PATIENT:
            return ""
        return _("Patient ID not registered; register the patient first.")
    differs = identity.contradictions(patients.identity_of(patient), header.patient)
    if differs:
        return _("The object contradicts the registered patient in: {fields}.").format(
            fields=", ".join(_(field) for field in differs)
        )
    return ""


def _series(context: Context, session: Session, header: Header, owner: str | None, ds: Dataset) -> None:
    series = session.get(DicomSeries, header.series_uid)
    if series is not None:
        if series.stated_id != header.patient.patient_id or series.study_uid != header.study_uid:
            raise Refused(_("The object's series belongs to another patient or study."))
        return
    session.add(
        DicomSeries(
            series_uid=header.series_uid,
            study_uid=header.study_uid,
            modality=ACCEPTED[UID(header.sop_class)],
            description=str(modules.text(ds, "SeriesDescription"))[:64],
            patient_key=owner,
            stated_id=header.patient.patient_id,
            stated_name=identity.normal_name(header.patient.name),
            stated_birth_date=header.patient.birth_date,
            stated_sex=header.patient.sex,
            created=context.now(),
        )
    )
    session.flush()


def _undo(context: Context, row: DicomInstance) -> None:
    """Remove a published file whose row did not stay."""
    with context.database.reading() as session:
        kept = session.get(DicomInstance, row.sop_uid)
    if kept is None:
        context.files.remove(row.path)
