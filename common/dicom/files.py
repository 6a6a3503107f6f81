"""DICOM files (PS3.10): read, write, and read a folder, with errors that say what to do."""

import os
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO

from common.dicom import modules
from common.errors import BadDicom, BadInput
from common.files import write_atomic


def read_file(path: Path) -> Dataset:
    """Read one DICOM file whole. Raises BadInput when it cannot be opened, BadDicom when it is damaged."""
    try:
        ds = dcmread(path)
    except InvalidDicomError as why:
        raise BadDicom(f"{path.name} is no DICOM file (no DICM prefix)") from why
    except OSError as why:
        raise BadInput(f"cannot read {path}: {os.strerror(why.errno or 0)}") from why
    except (EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as why:
        raise BadDicom(f"{path.name} is damaged or cut off; copy or export it again") from why
    if "SOPClassUID" not in ds or "SOPInstanceUID" not in ds:
        raise BadDicom(f"{path.name} names no SOP class or instance; it is damaged, or a DICOMDIR")
    return ds


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
