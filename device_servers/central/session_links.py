"""Where plans, approvals and records travel: DICOM and HTTP to the OIS, files in the room's directory."""

import logging
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydicom import dcmread
from pydicom.dataset import Dataset

from common.dicom import ion_record
from common.dicom.files import read_file, to_bytes
from common.dicom.record import TreatmentRecord
from common.errors import LinkLost, Refused
from common.files import write_atomic
from common.links import dimse
from common.links.http import JsonClient
from common.links.outbox import Courier, Item, ItemState, Outbox
from common.state import StateDir
from common.text import _
from treatment.approval import Fraction, Standing

log = logging.getLogger(__name__)

CALLING_AET = "PTCS_TCS"
KIND = "record"


def ois_peer(state: StateDir) -> dimse.Peer:
    """The OIS as a DICOM node. Raises LinkLost when it is not running."""
    entry = state.endpoint("ois")
    return dimse.Peer(str(entry.get("host", "127.0.0.1")), int(entry["dicom_port"]), str(entry["aet"]))


class OisPlans:
    """Implements PlanSource by C-GET from the OIS."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def fetch(self, plan_uid: str) -> Dataset:
        """The plan of that UID."""
        found = dimse.fetch(ois_peer(self._state), CALLING_AET, SOPInstanceUID=plan_uid)
        if len(found) != 1:
            raise Refused(_("the OIS holds {count} plans of this UID").format(count=len(found)))
        return found[0]


class OisApprovals:
    """Implements ApprovalSource over HTTP, with the operator's token."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def standing(self, plan_uid: str, token: str) -> Standing:
        """State, hash, approval and fractions of a plan. Raises Refused when the OIS does not know it."""
        entry = self._state.endpoint("ois")
        base = f"http://{entry.get('host', '127.0.0.1')}:{int(entry['port'])}/api/v1"
        with JsonClient(base, token) as client:
            answer = client.get(f"/plans/{quote(plan_uid, safe='')}")
        return _standing(answer)


def _standing(answer: Any) -> Standing:
    try:
        known = tuple(
            Fraction(int(row["number"]), str(row["state"]), float(row.get("delivered_mu") or 0.0))
            for row in answer["fractions"]
        )
        signed, course = str(answer.get("approval") or ""), str(answer["course_state"] or "")
        return Standing(str(answer["state"]), str(answer["hash"]), signed, known, course)
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise LinkLost(_("the OIS answered without {what}").format(what=why)) from why


class PlanFile:
    """Implements PlanVault: the plan in hand as one DICOM file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "plan.dcm"

    def keep(self, plan: Dataset) -> None:
        """Write the plan in place of the last one."""
        write_atomic(self._path, to_bytes(plan), mode=0o600)

    def plan(self) -> Dataset:
        """The plan kept, read anew."""
        if not self._path.exists():
            raise Refused(_("the plan in hand is gone from this room's disk; terminate and load it again"))
        return read_file(self._path)


class RecordStore:
    """Implements RecordSink: a file of each record, and an outbox that reaches the OIS when it is up."""

    def __init__(self, directory: Path, state: StateDir) -> None:
        """Starts to deliver at once, also what an earlier process left."""
        self._directory = directory / "records"
        self._state = state
        self._outbox = Outbox(directory / "outbox")
        self._open = {
            item.key: item.id
            for item in self._outbox.items()
            if item.progress.state is not ItemState.DELIVERED
        }
        """Records that the OIS does not have: UID -> item."""
        self._courier = Courier(self._outbox, self._send)
        self._courier.start()

    def put(self, record: TreatmentRecord) -> None:
        """Write the file, unless an earlier process did, and queue it under its UID."""
        path = self._directory / f"{record.sop_instance_uid}.dcm"
        if not path.exists():
            write_atomic(path, to_bytes(ion_record.to_dataset(record)), mode=0o600)
        uid = record.sop_instance_uid
        self._open[uid] = self._outbox.put(KIND, path.read_bytes(), uid)
        self._courier.wake()

    def state(self, uids: Sequence[str]) -> str:
        """NONE, QUEUED or DELIVERED: the least of these records; without any, of what still waits."""
        for uid, item in list(self._open.items()):
            if self._outbox.progress(item).state is ItemState.DELIVERED:
                del self._open[uid]
        if not uids:
            return "QUEUED" if self._open else "NONE"
        return "QUEUED" if any(uid in self._open for uid in uids) else "DELIVERED"

    def close(self) -> None:
        """Stop delivering; what is queued stays."""
        self._courier.stop()

    def _send(self, item: Item) -> None:
        dimse.store(ois_peer(self._state), [dcmread(BytesIO(item.body))], CALLING_AET)
