"""DICOM over the network (PS3.7, PS3.8): the client side of C-ECHO, C-STORE, C-FIND and C-GET.

The server side is `common.links.dimse_server`; its names can be imported from here.
"""

import logging
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from common.dicom import modules
from common.errors import LinkLost, Refused
from common.links.dimse_server import (
    CONNECTION_TIMEOUT_S,
    STORAGE,
    UNCOMPRESSED,
    ArchiveServer,
    StoreServer,
    prepare_connection,
    tune,
)

__all__ = ["ArchiveServer", "Peer", "StoreServer", "echo", "fetch", "find", "store"]

_SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)

logging.getLogger("pynetdicom").setLevel(logging.WARNING)  # its INFO shows identifiers of patients


@dataclass(frozen=True)
class Peer:
    """A DICOM node: where it listens and its application entity title."""

    host: str
    port: int
    aet: str

    def __str__(self) -> str:
        return f"{self.aet} at {self.host}:{self.port}"


def echo(peer: Peer, calling_aet: str) -> None:
    """C-ECHO. Raises LinkLost when the peer does not answer, Refused when it does not know us."""
    with _association(peer, calling_aet, [build_context(Verification)]) as association:
        _check(association.send_c_echo(), peer, "C-ECHO")


def store(peer: Peer, datasets: Iterable[Dataset], calling_aet: str) -> None:
    """C-STORE all instances over one association, in order.

    Raises Refused with the peer's comment at the first instance that it does not take (those before it
    are stored), LinkLost when it does not answer or the association breaks.
    """
    instances = list(datasets)
    kinds: dict[tuple[str, str], None] = {}
    for ds in instances:
        if not hasattr(ds, "file_meta") or "TransferSyntaxUID" not in ds.file_meta:
            ds.file_meta = modules.file_meta(ds.SOPClassUID, ds.SOPInstanceUID)
        kinds[str(ds.SOPClassUID), _family(ds.file_meta.TransferSyntaxUID)] = None
    contexts = [build_context(sop, UNCOMPRESSED if syntax == "" else syntax) for sop, syntax in kinds]
    with _association(peer, calling_aet, contexts) as association:
        for count, ds in enumerate(instances, 1):
            what = f"{UID(ds.SOPClassUID).name} ({count} of {len(instances)})"
            _awake(association)
            try:
                status = association.send_c_store(ds)
            except (ValueError, RuntimeError) as why:
                if not association.is_established:
                    raise LinkLost(f"{peer} broke the association at {what}") from why
                raise Refused(f"{peer} takes no {what}: {why}") from why
            _check(status, peer, what)


def _awake(association: Any) -> None:
    """Wait until the association's own thread has left its last pause.

    Asked again before that, pynetdicom takes the old pause for the one that it asks for, and the thread then
    swallows the answer.
    """
    while association.is_alive() and getattr(association, "_is_paused", False):
        time.sleep(0.0001)


def _family(syntax: UID) -> str:
    """Empty for the uncompressed little-endian syntaxes, which convert into each other; else itself."""
    return "" if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian) else str(syntax)


def find(peer: Peer, calling_aet: str, level: str, **keys: str) -> list[Dataset]:
    """C-FIND in the Study Root model. level: STUDY, SERIES or IMAGE; keys: keyword=value, "" to be returned.

    Raises LinkLost, or Refused with the peer's comment.
    """
    found: list[Dataset] = []
    model = StudyRootQueryRetrieveInformationModelFind
    with _association(peer, calling_aet, [build_context(model)]) as association:
        for status, identifier in association.send_c_find(_identifier(level, keys), model):
            if not status or status.Status not in _PENDING:
                _check(status, peer, "C-FIND")
            elif identifier is not None:
                found.append(identifier)
    return found


def fetch(peer: Peer, calling_aet: str, **keys: str) -> list[Dataset]:
    """C-GET in the Study Root model: the instances that match, with their file meta information.

    keys: StudyInstanceUID, and SeriesInstanceUID and SOPInstanceUID to narrow down; or PatientID alone,
    for all studies of a patient. Raises LinkLost, Refused with the peer's comment or when the peer could
    not send every instance, ValueError without a usable key.
    """
    if set(keys) == {"PatientID"}:
        studies = find(peer, calling_aet, "STUDY", StudyInstanceUID="", **keys)
        return [
            ds
            for study in studies
            for ds in fetch(peer, calling_aet, StudyInstanceUID=study.StudyInstanceUID)
        ]
    levels = {"SOPInstanceUID": "IMAGE", "SeriesInstanceUID": "SERIES", "StudyInstanceUID": "STUDY"}
    level = next((levels[key] for key in levels if keys.get(key)), None)
    if level is None:
        raise ValueError(
            "fetch needs StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, or PatientID alone"
        )
    received: list[Dataset] = []

    def take(event: Any) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        received.append(ds)
        return _SUCCESS

    model = StudyRootQueryRetrieveInformationModelGet
    contexts = [build_context(model), *(build_context(sop, UNCOMPRESSED) for sop in STORAGE)]
    roles = [build_role(sop, scp_role=True) for sop in STORAGE]
    handlers = [(evt.EVT_C_STORE, take)]
    with _association(peer, calling_aet, contexts, roles, handlers) as association:
        for status, _ in association.send_c_get(_identifier(level, keys), model):
            if not status or status.Status not in _PENDING:
                _check(status, peer, "C-GET")
                _check_complete(status, peer)
    return received


def _check_complete(status: Dataset, peer: Peer) -> None:
    failed = status.get("NumberOfFailedSuboperations") or 0
    if failed:
        raise Refused(f"{peer} could not send {failed} of the instances asked for")


def _identifier(level: str, keys: dict[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


@contextmanager
def _association(
    peer: Peer,
    calling_aet: str,
    contexts: Sequence[Any],
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Any]:
    _probe(peer)
    entity = AE(ae_title=calling_aet)
    tune(entity)
    association = entity.associate(
        peer.host,
        peer.port,
        contexts=list(contexts),
        ae_title=peer.aet,
        max_pdu=entity.maximum_pdu_size,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_CONN_OPEN, prepare_connection), *handlers],
    )
    if not association.is_established:
        entity.shutdown()
        if association.is_rejected:
            raise Refused(f"{peer} rejects associations of {calling_aet}; register this AE title there")
        if association.is_aborted and association.rejected_contexts:
            raise Refused(f"{peer} supports none of the offered services")
        raise LinkLost(f"{peer} does not answer; see whether it runs and listens there")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        entity.shutdown()


def _probe(peer: Peer) -> None:
    """Raise LinkLost unless something listens: pynetdicom leaks its socket when it cannot connect."""
    try:
        socket.create_connection((peer.host, peer.port), timeout=CONNECTION_TIMEOUT_S).close()
    except OSError as why:
        raise LinkLost(f"{peer} does not answer ({why.strerror or why}); see whether it runs there") from why


def _check(status: Dataset, peer: Peer, what: str) -> None:
    """Raise unless a final status says success or a warning."""
    if not status or "Status" not in status:
        raise LinkLost(f"{peer} gave no answer to {what}: time-out or broken association")
    code = int(status.Status)
    if code == _SUCCESS or code >> 12 == 0xB or code in (0x0001, 0x0107, 0x0116):
        return
    comment = str(status.get("ErrorComment") or f"status 0x{code:04X}")
    raise Refused(f"{peer} refused {what}: {comment}")
