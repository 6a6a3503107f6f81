"""Does a DICOM object make sense? What conformance checkers of single attributes do not see.

`check` looks at plans, treatment records, structure sets, CT slices and dose grids. A good object gives an
empty list; an ERROR means that the object must not be used, a WARNING that a person should know.
"""

from collections.abc import Callable
from datetime import datetime

from pydicom.dataset import Dataset

from common.dicom import modules
from common.dicom.checker_images import check_ct, check_dose, check_structures
from common.dicom.checker_plan import check_plan
from common.dicom.checker_record import check_record
from common.dicom.findings import ERROR, WARNING, Finding, Report
from common.errors import BadDicom

__all__ = ["ERROR", "WARNING", "Finding", "check", "require_good"]

_KINDS: dict[str, tuple[str, Callable[[Dataset, Report], None]]] = {
    modules.RT_ION_PLAN: ("RTPLAN", check_plan),
    modules.RT_ION_RECORD: ("RTRECORD", check_record),
    modules.RT_STRUCTURE_SET: ("RTSTRUCT", check_structures),
    modules.RT_DOSE: ("RTDOSE", check_dose),
    modules.CT_IMAGE: ("CT", check_ct),
}


def check(ds: Dataset) -> list[Finding]:
    """All findings in an object, errors first. An object of another kind is an error."""
    report = Report()
    kind = _KINDS.get(modules.text(ds, "SOPClassUID"))
    if kind is None:
        report.error("SOPClassUID", "this kind of object is not known here: allowed are CT, RT Ion Plan, "
                     "RT Ion Beams Treatment Record, RT Structure Set and RT Dose")  # fmt: skip
        return report.findings
    modality, look = kind
    _check_common(ds, modality, report)
    look(ds, report)
    return sorted(report.findings, key=lambda finding: finding.severity != ERROR)


def require_good(ds: Dataset) -> list[Finding]:
    """The warnings of an object. Raises BadDicom with the first three errors when it has any."""
    findings = check(ds)
    errors = [finding for finding in findings if finding.severity == ERROR]
    if errors:
        more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        raise BadDicom("; ".join(finding.text for finding in errors[:3]) + more)
    return findings


def _check_common(ds: Dataset, modality: str, report: Report) -> None:
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        report.uid(ds, keyword)
    report.one_of(ds, "Modality", (modality,))
    report.text(ds, "PatientID")
    sex, birth = modules.text(ds, "PatientSex"), modules.text(ds, "PatientBirthDate")
    if sex not in ("", "M", "F", "O"):
        report.warning("PatientSex", "PatientSex is none of M, F, O")
    if birth and not _is_date(birth):
        report.warning("PatientBirthDate", "PatientBirthDate is no date: allowed is YYYYMMDD")


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return len(text) == 8
