"""The parts that all DICOM objects share: new data sets, the patient module, checked reading of values."""

import hashlib
import math
import struct
import uuid
from collections.abc import Sequence as Items
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from common.dicom.plan import PatientIdentity
from common.errors import BadDicom

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
RT_DOSE = UID("1.2.840.10008.5.1.4.1.1.481.2")
RT_STRUCTURE_SET = UID("1.2.840.10008.5.1.4.1.1.481.3")
RT_ION_PLAN = UID("1.2.840.10008.5.1.4.1.1.481.8")
RT_ION_RECORD = UID("1.2.840.10008.5.1.4.1.1.481.9")
STUDY_COMPONENT = UID("1.2.840.10008.3.1.2.3.1")

MANUFACTURER = "PTCS"
IMPLEMENTATION = UID("2.25.178412937509812345678901234567890123")

DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    NotImplementedError,
    EOFError,
    OSError,
    RuntimeError,
    struct.error,
    BytesLengthException,
)
"""What pydicom raises on damaged bytes."""

# A value that breaks its VR must not reach stderr as a warning: it may be a name or an identifier.
# What matters of a value is checked where it is used, and by common.dicom.checker.
config.settings.reading_validation_mode = config.IGNORE


def new_uid(*entropy: str) -> str:
    """A new UID below 2.25 (PS3.5 B.2); with `entropy`, always the same one for the same texts."""
    if not entropy:
        return f"2.25.{uuid.uuid4().int}"
    digest = hashlib.sha256("\n".join(entropy).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def file_meta(sop_class: str, sop_instance_uid: str) -> FileMetaDataset:
    """File meta information for Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = MANUFACTURER
    return meta


def new_dataset(
    sop_class: str,
    modality: str,
    patient: PatientIdentity,
    uids: tuple[str, str, str],
    created: str = "",
) -> Dataset:
    """A data set with its SOP, patient, study, series and equipment modules.

    uids: SOP instance, study, series. created: YYYYMMDDhhmmss or "", becomes the date of the instance.
    """
    sop_instance, study, series = uids
    ds = Dataset()
    ds.file_meta = file_meta(sop_class, sop_instance)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = UID(sop_class)
    ds.SOPInstanceUID = UID(sop_instance)
    ds.Modality = modality
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = patient.sex
    ds.StudyInstanceUID = UID(study)
    ds.SeriesInstanceUID = UID(series)
    if created:
        ds.InstanceCreationDate, ds.InstanceCreationTime = created[:8], created[8:]
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        setattr(ds, keyword, "")
    ds.Manufacturer = MANUFACTURER
    ds.StudyID, ds.SeriesNumber = "1", 1
    return ds


def patient_of(ds: Dataset) -> PatientIdentity:
    """The patient module of any object; empty texts where it says nothing."""
    return PatientIdentity(
        patient_id=text(ds, "PatientID"),
        name=text(ds, "PatientName"),
        birth_date=text(ds, "PatientBirthDate"),
        sex=text(ds, "PatientSex"),
    )


def reference(sop_class: str, sop_instance_uid: str) -> Dataset:
    """An item that refers to one SOP instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = UID(sop_class)
    item.ReferencedSOPInstanceUID = UID(sop_instance_uid)
    return item


def decimal(value: float) -> str:
    """A number as DS text of at most 16 characters. Raises BadDicom for NaN and infinity."""
    if not math.isfinite(value):
        raise BadDicom(f"{value} cannot be written as a decimal string; only finite numbers can")
    return format_number_as_ds(float(value))


def limited(what: str, value: str, limit: int) -> str:
    """`value`, or BadDicom when it is longer than its VR allows or holds a backslash."""
    if len(value) > limit or "\\" in value:
        raise BadDicom(
            f"{what} has {len(value)} characters: allowed are {limit} without backslash; shorten it"
        )
    return value


def _value(ds: Dataset, keyword: str) -> Any:
    try:
        return ds.get(keyword)
    except DAMAGE as why:
        raise BadDicom(f"{keyword} is unreadable ({type(why).__name__}); export the object again") from why


def has(ds: Dataset, keyword: str) -> bool:
    """Whether an element is there and not empty."""
    value = _value(ds, keyword)
    return value is not None and not (hasattr(value, "__len__") and len(value) == 0)


def require(ds: Dataset, keyword: str) -> Any:
    """The value of an element. Raises BadDicom when it is absent, empty or undecodable."""
    if not has(ds, keyword):
        raise BadDicom(f"{keyword} is missing; export the object with it")
    return _value(ds, keyword)


def text(ds: Dataset, keyword: str, default: str = "") -> str:
    """The value as text, or `default` when absent or empty."""
    value = _value(ds, keyword)
    return default if value is None or str(value) == "" else str(value)


def number(ds: Dataset, keyword: str, default: float | None = None) -> float:
    """One finite number. Raises BadDicom when it is none, or absent without a default."""
    value = _value(ds, keyword)
    if default is not None and (value is None or value == ""):
        return default
    return numbers(ds, keyword, 1)[0]


def moment(ds: Dataset, date: str, time: str) -> str:
    """A date and a time element as YYYYMMDDhhmmss, without fractions; "" when there is no date."""
    day, clock = text(ds, date), text(ds, time).partition(".")[0]
    return f"{day}{clock:0<6}" if day else ""


def integer(ds: Dataset, keyword: str) -> int:
    """One whole number. Raises BadDicom."""
    value = number(ds, keyword)
    if value != int(value):
        raise BadDicom(f"{keyword} is {value}: allowed are whole numbers")
    return int(value)


def numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly `count` finite numbers. Raises BadDicom."""
    value = require(ds, keyword)
    parts = [value] if isinstance(value, (str, int, float)) else list(value)
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError) as why:
        raise BadDicom(f"{keyword} holds something that is no number") from why
    if len(found) != count:
        raise BadDicom(f"{keyword} must hold {count} finite number(s), it holds {len(found)}")
    if not all(math.isfinite(part) for part in found):
        raise BadDicom(f"{keyword} holds a value that is no number (NaN or infinite); send the object again")
    return found


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none when it is absent. Raises BadDicom when it is no sequence."""
    value = _value(ds, keyword)
    if value is None:
        return []
    if not isinstance(value, Sequence):
        raise BadDicom(f"{keyword} is no sequence; export the object again")
    return list(value)


def sequence(parts: Items[Dataset]) -> Sequence:
    """A pydicom sequence of items."""
    return Sequence(list(parts))


def check_class(ds: Dataset, sop_class: str, name: str) -> None:
    """Raise BadDicom unless the object is of the class."""
    found = text(ds, "SOPClassUID")
    if found != sop_class:
        raise BadDicom(f"this is {UID(found).name or 'an object without SOP class'}: allowed here is {name}")
