"""The DICOM archive on the network: C-STORE into the intake, C-FIND and C-GET out of the archive."""

from collections.abc import Iterator, Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from common.errors import BadInput
from common.links.dimse import ArchiveServer
from common.text import set_language
from ois_bridge.models.archive import DicomInstance
from ois_bridge.services import archive, intake
from ois_bridge.services.context import Context

AET = "PTCS_OIS"
KNOWN = ("PTCS_OIS", "PTCS_TPS", "PTCS_TCS", "PTCS_CT")
LEVELS: Mapping[str, str] = {
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
"""Level of a query -> the attribute that is unique there."""


MOST_ASSOCIATIONS = 256
"""A connection that was opened and left without a word counts for ten seconds (the ACSE time-out): a client
that looks first whether somebody listens, then calls, takes two places. Few are ever at work at once.
"""


class Archive(ArchiveServer):
    """The archive's service, with room for many short visits."""

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        super().start()
        self._entity.maximum_associations = MOST_ASSOCIATIONS


def server(context: Context, port: int) -> ArchiveServer:
    """The archive's service, not started yet."""

    def on_store(ds: Dataset, calling: str) -> None:
        set_language("en")  # an Error Comment is ASCII
        intake.store(context, ds, calling)

    def on_find(level: str, identifier: Dataset, _calling: str) -> Iterator[Dataset]:
        set_language("en")
        return find(context, level, identifier)

    def on_get(level: str, identifier: Dataset, calling: str) -> Iterator[Dataset]:
        set_language("en")
        return get(context, level, identifier, calling)

    return Archive(AET, KNOWN, on_store, on_find, on_get, port)


def find(context: Context, level: str, identifier: Dataset) -> Iterator[Dataset]:
    """One answer for each study, series or object that matches. Raises BadInput for an unknown level."""
    unique = _unique(level)
    with context.database.reading() as session:
        seen: set[str] = set()
        for row in archive.matching(session, _keys(identifier)):
            answer = _answer(row, identifier)
            value = str(_attributes(row)[unique])
            if value not in seen:
                seen.add(value)
                yield answer


def get(context: Context, level: str, identifier: Dataset, calling: str) -> Iterator[Dataset]:
    """The matching objects. Raises BadInput without a UID, Tampered when one was altered at rest."""
    _unique(level)
    keys = _keys(identifier)
    if not any(keys.get(name) for name in LEVELS.values()):
        raise BadInput("C-GET needs a Study, Series or SOP Instance UID")
    with context.database.reading() as session:
        uids = [row.sop_uid for row in archive.matching(session, keys)]
    for uid in uids:
        yield archive.loaded(context, uid, calling, "send")


def _unique(level: str) -> str:
    if level not in LEVELS:
        raise BadInput(f"query level {level!r}: allowed are {', '.join(LEVELS)}")
    return LEVELS[level]


def _keys(identifier: Dataset) -> dict[str, Sequence[str]]:
    """The values that select: universal matching (empty, *) selects nothing away."""
    keys: dict[str, Sequence[str]] = {}
    for keyword in archive.KEYS:
        value = identifier.get(keyword)
        values = list(value) if isinstance(value, MultiValue) else [value]
        keys[keyword] = [str(one) for one in values if one not in (None, "", "*")]
    return keys


def _attributes(row: DicomInstance) -> dict[str, str | int]:
    series = row.series
    return {
        "PatientID": series.stated_id,
        "PatientName": series.stated_name,
        "PatientBirthDate": series.stated_birth_date,
        "PatientSex": series.stated_sex,
        "StudyInstanceUID": series.study_uid,
        "SeriesInstanceUID": series.series_uid,
        "SeriesDescription": series.description,
        "Modality": series.modality,
        "SOPInstanceUID": row.sop_uid,
        "SOPClassUID": row.sop_class_uid,
        "InstanceNumber": row.number,
    }


def _answer(row: DicomInstance, identifier: Dataset) -> Dataset:
    known = _attributes(row)
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    for element in identifier:
        if element.keyword in known:
            setattr(answer, element.keyword, known[element.keyword])
    return answer
