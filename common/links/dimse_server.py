"""DICOM over the network, the server side: takes C-ECHO and C-STORE, and answers C-FIND and C-GET.

Only associations of known AE titles, addressed to the own one, are accepted, on 127.0.0.1. Callbacks run on
one thread an association; several may run at the same time.
"""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any
from weakref import WeakSet

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    DeformableSpatialRegistrationStorage,
    EncapsulatedPDFStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTBeamsTreatmentRecordStorage,
    RTDoseStorage,
    RTImageStorage,
    RTIonBeamsTreatmentRecordStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SpatialRegistrationStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from common.errors import BadInput, LinkLost, PtcsError, Unauthorised

STORAGE = (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTIonPlanStorage,
    RTBeamsTreatmentRecordStorage,
    RTIonBeamsTreatmentRecordStorage,
    RTImageStorage,
    SpatialRegistrationStorage,
    DeformableSpatialRegistrationStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
)
"""Storage SOP classes that are taken and given."""

UNCOMPRESSED = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_ACCEPTED = [
    *UNCOMPRESSED,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
]
_IMAGES = (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

_SUCCESS, _PENDING, _CANCELLED = 0x0000, 0xFF00, 0xFE00
_NOT_AUTHORISED, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND, _PROCESSING_FAILURE = 0x0124, 0xA700, 0xC000, 0x0110
_COMMENT_LENGTH = 64  # Error Comment is LO, in the default repertoire

CONNECTION_TIMEOUT_S = 5.0
_GRACE_S, _STOP_LIMIT_S = 0.5, 0.5

OnStore = Callable[[Dataset, str], None]
OnQuery = Callable[[str, Dataset, str], Iterable[Dataset]]

log = logging.getLogger(__name__)


def tune(entity: Any) -> None:
    """Time-outs and packet size of an application entity: large images in few packets, loss soon known."""
    entity.maximum_pdu_size = 1 << 18
    entity.connection_timeout = CONNECTION_TIMEOUT_S
    entity.acse_timeout = 10
    entity.dimse_timeout = 60
    entity.network_timeout = 60


def prepare_connection(event: Any) -> None:
    """Set up a new connection (handler of EVT_CONN_OPEN).

    Without Nagle's algorithm, which makes each small message wait 40 ms. And closed for certain at its end:
    pynetdicom's own shutdown leaves the socket open when the peer was the first to go.
    """
    connection = event.assoc.dul.socket
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection._shutdown_socket = partial(_shut, connection)


def _shut(connection: Any) -> None:
    if connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        connection.socket.close()


class StoreServer:
    """Takes C-ECHO and C-STORE.

    on_store(ds, calling_aet): keeps an instance (ds.file_meta is set); the peer gets success when it
    returns. What it raises becomes the status of a failure, the text (64 ASCII characters) its comment:
    Unauthorised 0x0124, BadInput 0xC000, LinkLost and OSError 0xA700, other PtcsErrors 0x0124.
    """

    def __init__(self, aet: str, known: Iterable[str], on_store: OnStore, port: int = 0) -> None:
        """aet: own title. known: calling titles that are accepted. port: 0 for any free one."""
        self.aet = aet
        self.port = port
        self._known = sorted(known)
        self._on_store = on_store
        self._entity: Any = None
        self._associations: WeakSet[Any] = WeakSet()

    def start(self) -> None:
        """Listen on 127.0.0.1; afterwards `port` is the bound one. Raises OSError when the port is taken."""
        entity = AE(ae_title=self.aet)
        tune(entity)
        entity.maximum_associations = 32
        entity.require_called_aet = True
        entity.require_calling_aet = self._known
        for service in self._services():
            entity.add_supported_context(service, UNCOMPRESSED)
        for sop in STORAGE:
            syntaxes = _ACCEPTED if sop in _IMAGES else [*UNCOMPRESSED, DeflatedExplicitVRLittleEndian]
            entity.add_supported_context(sop, syntaxes, scu_role=True, scp_role=True)
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=self._handlers())
        self.port = int(server.server_address[1])
        self._entity = entity

    def stop(self) -> None:
        """Stop listening, abort open associations and close their connections."""
        entity, self._entity = self._entity, None
        if entity is None:
            return
        # an association that is just ending must end: pynetdicom's thread dies of an abort in that state
        self._join(_GRACE_S)
        entity.shutdown()
        self._join(_STOP_LIMIT_S)
        for association in list(self._associations):
            if not association.dul.is_alive():
                _shut(association.dul.socket)

    def _join(self, limit_s: float) -> None:
        """Wait for the threads of all associations, not longer than the limit in all."""
        deadline = monotonic() + limit_s
        for association in list(self._associations):
            for thread in (association, association.dul):
                thread.join(max(0.0, deadline - monotonic()))

    def _services(self) -> list[str]:
        return [Verification]

    def _handlers(self) -> list[Any]:
        return [
            (evt.EVT_CONN_OPEN, self._open),
            (evt.EVT_C_ECHO, lambda _event: _SUCCESS),
            (evt.EVT_C_STORE, self._store),
        ]

    def _open(self, event: Any) -> None:
        prepare_connection(event)
        self._associations.add(event.assoc)

    def _store(self, event: Any) -> Dataset:
        calling = str(event.assoc.requestor.ae_title).strip()
        try:
            ds = event.dataset
            ds.file_meta = event.file_meta
            self._on_store(ds, calling)
        except Exception as why:  # noqa: BLE001 process border: the peer gets a status, the log the cause
            return failure(why)
        return status(_SUCCESS)


class ArchiveServer(StoreServer):
    """Takes C-STORE as StoreServer does, and answers C-FIND and C-GET in the Study Root model.

    on_find(level, identifier, calling_aet) yields one data set a match, with the keys that were asked for.
    on_get(level, identifier, calling_aet) gives the instances to send. Errors map as in StoreServer.
    """

    def __init__(
        self,
        aet: str,
        known: Iterable[str],
        on_store: OnStore,
        on_find: OnQuery,
        on_get: OnQuery,
        port: int = 0,
    ) -> None:
        """See StoreServer."""
        super().__init__(aet, known, on_store, port)
        self._on_find = on_find
        self._on_get = on_get

    def _services(self) -> list[str]:
        models = [StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet]
        return [Verification, *models]

    def _handlers(self) -> list[Any]:
        return [*super()._handlers(), (evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]

    def _find(self, event: Any) -> Iterator[tuple[Any, Dataset | None]]:
        level, identifier, calling = _query(event)
        try:
            for match in self._on_find(level, identifier, calling):
                if event.is_cancelled:
                    yield _CANCELLED, None
                    return
                match.SpecificCharacterSet = "ISO_IR 192"
                match.QueryRetrieveLevel = level
                match.RetrieveAETitle = self.aet
                yield _PENDING, match
        except Exception as why:  # noqa: BLE001 process border: the peer gets a status, the log the cause
            yield failure(why), None

    def _get(self, event: Any) -> Iterator[Any]:
        level, identifier, calling = _query(event)
        try:
            instances = list(self._on_get(level, identifier, calling))
        except Exception as why:  # noqa: BLE001 process border: the peer gets a status, the log the cause
            yield 1
            yield failure(why), Dataset()
            return
        yield len(instances)
        for ds in instances:
            if event.is_cancelled:
                yield _CANCELLED, None
                return
            yield _PENDING, ds


def _query(event: Any) -> tuple[str, Dataset, str]:
    identifier = event.identifier
    return (
        str(identifier.get("QueryRetrieveLevel", "")),
        identifier,
        str(event.assoc.requestor.ae_title).strip(),
    )


def status(code: int, comment: str = "") -> Dataset:
    """A status data set, with an Error Comment cut to what the attribute holds."""
    answer = Dataset()
    answer.Status = code
    if comment:
        plain = comment.encode("ascii", "replace").decode().replace("\\", "/")
        answer.ErrorComment = plain[:_COMMENT_LENGTH]
    return answer


def failure(why: Exception) -> Dataset:
    """The status that an error of a callback becomes; an unexpected error is logged and not told."""
    if isinstance(why, BadInput):
        return status(_CANNOT_UNDERSTAND, str(why))
    if isinstance(why, (LinkLost, OSError)):
        log.error("DICOM request failed: %s", why)
        return status(_OUT_OF_RESOURCES, f"cannot be kept now: {why}")
    if isinstance(why, (Unauthorised, PtcsError)):
        return status(_NOT_AUTHORISED, str(why))
    log.error("DICOM request failed", exc_info=why)
    return status(_PROCESSING_FAILURE, "internal error; see the log of the server")
