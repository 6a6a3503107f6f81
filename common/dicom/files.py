"""DICOM files (PS3.10): read, write, and read a folder, with errors that say what to do."""

import os
import warnings
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.uid import DeflatedExplicitVRLittleEndian

from common.dicom import modules
from common.errors import BadDicom, BadInput
from common.files import write_atomic

_UNDEFINED = 0xFFFFFFFF


def read_file(path: Path) -> Dataset:
    """Read one DICOM file whole. Raises BadInput when it cannot be opened, BadDicom when it is damaged.

    SOP class and instance are taken from the file meta information where the data set leaves them empty.
    """
    try:
        with warnings.catch_warnings():
            # a file that ends inside a sequence: pydicom warns and drops everything read so far
            warnings.filterwarnings("error", "End of file reached", UserWarning)
            ds = dcmread(path)
    except InvalidDicomError as why:
        raise BadDicom(f"{path.name} is no DICOM file (no DICM prefix)") from why
    except OSError as why:
        raise BadInput(f"cannot read {path}: {os.strerror(why.errno or 0)}") from why
    except (*modules.DAMAGE, UserWarning) as why:
        raise BadDicom(f"{path.name} is damaged or cut off; copy or export it again") from why
    _check_whole(ds, path)
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        meta = modules.text(ds.file_meta, f"MediaStorage{keyword}")
        if keyword in ds and not modules.has(ds, keyword) and meta:
            setattr(ds, keyword, meta)
        if not modules.has(ds, keyword):
            raise BadDicom(f"{path.name} has no {keyword}; it is damaged, or a DICOMDIR")
    return ds


def _check_whole(ds: Dataset, path: Path) -> None:
    """Raise BadDicom unless the last element ends where the file ends. A cut between two is not seen here."""
    last = ds.get_item(max(ds.keys())) if ds.keys() else None
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED:
        return
    deflated = ds.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if not deflated and last.value_tell + last.length != path.stat().st_size:
        raise BadDicom(f"{path.name} is damaged or cut off; copy or export it again")


def read_folder(folder: Path) -> list[Dataset]:
    """All DICOM files directly in a folder, by file name; other files are passed over.

    A file that ends in .dcm or carries the DICM prefix must be readable (BadDicom). Raises BadInput when
    the folder is absent or holds none.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give the folder that holds the DICOM files")
    found = [read_file(path) for path in sorted(folder.iterdir()) if path.is_file() and _is_dicom(path)]
    if not found:
        raise BadInput(f"{folder} holds no DICOM file; give the folder that holds them")
    return found


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def to_bytes(ds: Dataset) -> bytes:
    """A data set as a DICOM file's content, in the transfer syntax of its file meta information."""
    if not hasattr(ds, "file_meta") or "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta = modules.file_meta(ds.SOPClassUID, ds.SOPInstanceUID)
    buffer = DicomBytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return bytes(buffer.getvalue())


def write_file(ds: Dataset, path: Path) -> None:
    """Write a DICOM file atomically. Raises OSError (disk full, no permission)."""
    write_atomic(path, to_bytes(ds))
