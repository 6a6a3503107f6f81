"""Plans, approvals and records of a session over real DICOM and HTTP."""

import json
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from session_fakes import Ois, World

from common.dicom import ion_record
from common.dicom.canonical import plan_hash
from common.errors import LinkLost, Refused
from common.links import dimse
from common.state import StateDir
from device_servers.central.session_links import OisApprovals, OisPlans, PlanFile, RecordStore

UID = "1.2.3.4"


def wait(done):
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


ANSWER = {
    "state": "APPROVED",
    "hash": "ab",
    "approval": "signed",
    "course_state": "ACTIVE",
    "fractions": [{"number": 1, "state": "PARTIAL", "delivered_mu": 3.5}],
}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_args):
        pass

    def do_GET(self):
        known = self.path == f"/api/v1/plans/{UID}" and self.headers["Authorization"] == "Bearer token"
        body = json.dumps(ANSWER if known else {"error": "no such plan"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Office:
    """The OIS's two ports."""

    def __init__(self, state):
        self.state, self.kept, self.plans = state, {}, {UID: Ois().dataset}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        self.dicom = None

    def open(self):
        self.dicom = dimse.ArchiveServer("PTCS_OIS", ["PTCS_TCS"], self.take, self.give, self.give)
        self.dicom.start()
        self.state.announce("ois", port=self.http.server_port, dicom_port=self.dicom.port, aet="PTCS_OIS")

    def take(self, dataset, _sender):
        self.kept[str(dataset.SOPInstanceUID)] = dataset

    def give(self, _level, query, _sender):
        return [self.plans[uid] for uid in [str(query.SOPInstanceUID)] if uid in self.plans]

    def close(self):
        if self.dicom is not None:
            self.dicom.stop()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def office(tmp_path):
    made = Office(StateDir(tmp_path / "state"))
    yield made
    made.close()


@pytest.mark.requirement("TCS-WORKFLOW")
def test_plan_and_approval_come_over_the_wire_unchanged(office, tmp_path):
    office.open()
    fetched = OisPlans(office.state).fetch(UID)
    assert plan_hash(fetched) == plan_hash(office.plans[UID])
    vault = PlanFile(tmp_path)
    with pytest.raises(Refused, match="gone from this room's disk"):
        vault.plan()
    vault.keep(fetched)
    assert plan_hash(vault.plan()) == plan_hash(fetched)
    assert stat.S_IMODE((tmp_path / "plan.dcm").stat().st_mode) == 0o600
    with pytest.raises(Refused, match="0 plans"):
        OisPlans(office.state).fetch("1.2.3.5")
    standing = OisApprovals(office.state).standing(UID, "token")
    assert (standing.state, standing.plan_hash, standing.approval) == ("APPROVED", "ab", "signed")
    assert standing.course_state == "ACTIVE"
    assert standing.fractions[0].delivered_mu == 3.5
    with pytest.raises(Refused, match="no such plan"):
        OisApprovals(office.state).standing(UID, "another")


def test_an_absent_ois_is_a_lost_link(tmp_path):
    state = StateDir(tmp_path)
    with pytest.raises(LinkLost):
        OisPlans(state).fetch(UID)
    with pytest.raises(LinkLost):
        OisApprovals(state).standing(UID, "token")


@pytest.mark.requirement("TCS-RECORD")
def test_a_record_outlives_its_process_and_is_delivered_when_the_ois_returns(office, tmp_path):
    world = World(tmp_path / "world")
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(10_000)
    world.safe("InterruptIrradiation")
    (record,) = world.sink.records
    world.bench.journal.close()
    uid = record.sop_instance_uid
    store = RecordStore(tmp_path / "room1", office.state)
    assert store.state(()) == "NONE"
    store.put(record)
    store.put(record)
    assert (store.state([uid]), store.state(())) == ("QUEUED", "QUEUED")
    store.close()
    again = RecordStore(tmp_path / "room1", office.state)
    assert again.state([uid]) == "QUEUED"
    office.open()
    wait(lambda: again.state([uid]) == "DELIVERED")
    again.close()
    assert list(office.kept) == [uid]
    sent = ion_record.from_dataset(office.kept[uid])
    assert sent.beams[0].delivered_mu == pytest.approx(record.beams[0].delivered_mu)
    assert again.state(()) == "NONE"
    later = RecordStore(tmp_path / "room1", office.state)
    assert later.state([uid]) == "DELIVERED"
    later.close()
