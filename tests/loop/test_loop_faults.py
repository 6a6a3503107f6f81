"""Each process is killed in turn while the beam is on: the loop stops safely and goes on exactly."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from common.dicom.ion_record import from_dataset as read_record
from common.dicom.record import TreatmentRecord
from common.files import read_json
from common.links import dimse, line
from common.links.wire import WireClient
from common.state import StateDir
from ptcs.child import alive
from ptcs.demo.therapist import Therapist
from ptcs.running import take_down
from tests.loop.conftest import Treated, pids, ptcs, status

TRIPS = ("treatment", "room1", "central", "plant", "fpga")
DOES_NOT_TRIP = ("services", "accelerator", "ois", "tps", "database")


@pytest.fixture
def therapist(treated: Treated) -> Therapist:
    os.environ["TANGO_HOST"] = treated.facility["tango_host"]
    passwords = read_json(StateDir(treated.state).demo_accounts)
    return Therapist(treated.state, passwords["therapist"])


def begin(treated: Treated, therapist: Therapist, fraction: int) -> None:
    """Select a fraction of the demo's plan; what an earlier test left behind is ended first."""
    if therapist.state() != "IDLE":
        therapist.abandon()
    plan = pydicom.dcmread(next((treated.out / "plan").glob("*.dcm")))
    therapist.load(str(plan.SOPInstanceUID), fraction, str(plan.PatientID), str(plan.PatientBirthDate))


def until(therapist: Therapist, progress: float) -> None:
    therapist.wait(
        lambda: (
            therapist.state() in ("BEAM_DONE", "COMPLETE")
            or (therapist.state() == "IRRADIATING" and therapist.reading("Progress") >= progress)
        ),
        f"progress {progress}",
        60.0,
    )


def finish_beam(therapist: Therapist) -> None:
    for _attempt in range(5):
        therapist.wait(lambda: therapist.state() != "IRRADIATING", "end of the beam", 60.0)
        if therapist.state() != "INTERRUPTED":
            break
        therapist.resume()
    assert therapist.state() in ("BEAM_DONE", "COMPLETE")


def finish(therapist: Therapist) -> None:
    finish_beam(therapist)
    while therapist.state() == "BEAM_DONE":
        therapist.prepare_beam()
        therapist.start()
        finish_beam(therapist)
    therapist.submit()


def records_of(treated: Treated, fraction: int) -> list[TreatmentRecord]:
    facility = status(treated.state)
    peer = dimse.Peer(**facility["ois_dicom"])
    patient = pydicom.dcmread(next((treated.out / "plan").glob("*.dcm"))).PatientID
    held = dimse.fetch(peer, "PTCS_CT", PatientID=str(patient))
    records = [read_record(ds) for ds in held if ds.Modality == "RTRECORD"]
    return sorted((record for record in records if record.fraction == fraction), key=lambda r: r.start_ns)


def delivered(records: list[TreatmentRecord]) -> dict[int, np.ndarray]:
    """Beam number -> MU of every spot, summed over the parts."""
    sums: dict[int, np.ndarray] = {}
    for record in records:
        for beam in record.beams:
            mu = np.concatenate([layer.mu.astype(np.float64) for layer in beam.layers])
            sums[beam.number] = sums.get(beam.number, 0.0) + mu
    return sums


def counters(treated: Treated) -> tuple[dict[str, object], np.ndarray]:
    """fpga status and the start ticks of the spots so far."""
    endpoint = StateDir(treated.state).endpoint("fpga")
    link = WireClient(line.Peer("127.0.0.1", endpoint["port"], "test"))
    try:
        link.wait_alive(5.0)
        answer = dict(link.request({"do": "status"}).body)
        ticks = np.array(link.request({"do": "read_counters"}).arrays["start_tick"])
    finally:
        link.close()
    return answer, ticks


def kill(treated: Treated, process: str) -> None:
    row = next(row for row in status(treated.state)["servers"] if row["name"] == process)
    os.kill(row["pid"], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.requirement("TCS-IRRADIATE")
def test_interrupted_equals_uninterrupted(treated: Treated, therapist: Therapist) -> None:
    """The same seed gives the same spots: fraction 1 was interrupted, fraction 2 is not."""
    begin(treated, therapist, 2)
    therapist.prepare_beam()
    therapist.start()
    finish(therapist)
    whole, parts = delivered(records_of(treated, 2)), delivered(records_of(treated, 1))
    assert whole.keys() == parts.keys()
    for number, mu in whole.items():
        np.testing.assert_allclose(parts[number], mu, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.requirement("TCS-EMERGENCY")
@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize(("victim", "fraction"), [(name, 3 + i) for i, name in enumerate(TRIPS)])
def test_losing_a_safety_process_trips_and_resumes_exactly(
    treated: Treated, therapist: Therapist, victim: str, fraction: int
) -> None:
    begin(treated, therapist, fraction)
    therapist.prepare_beam()
    therapist.start()
    until(therapist, 0.3)
    kill(treated, victim)
    time.sleep(0.5)
    if victim != "fpga":
        answer, ticks = counters(treated)
        assert answer["beam"] is False
        assert answer["first_fault"] is not None
        assert ticks.max() <= answer["first_fault"]["tick"]
    therapist.wait(lambda: bool(status(treated.state)) and therapist.state() == "INTERRUPTED", victim, 60.0)
    time.sleep(1.0)
    therapist.log_in_again()
    therapist.close_room()
    therapist.resume()
    finish(therapist)
    whole, parts = delivered(records_of(treated, 1)), delivered(records_of(treated, fraction))
    for number, mu in whole.items():
        np.testing.assert_allclose(parts[number], mu, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.requirement("TCS-RECORD")
@pytest.mark.requirement("ACS-SUPERVISE")
def test_losing_any_other_process_does_not_stop_the_beam(treated: Treated, therapist: Therapist) -> None:
    begin(treated, therapist, 10)
    therapist.prepare_beam()
    therapist.start()
    until(therapist, 0.1)
    for victim in DOES_NOT_TRIP:
        kill(treated, victim)
    therapist.wait(lambda: therapist.state() != "IRRADIATING", "end of the beam", 60.0)
    assert therapist.state() == "BEAM_DONE"
    therapist.wait(
        lambda: all(row["state"] == "RUNNING" for row in status(treated.state)["servers"]), "restart"
    )
    therapist.log_in_again()
    finish(therapist)
    assert sum(len(record.beams) for record in records_of(treated, 10)) == 2


@pytest.mark.slow
@pytest.mark.requirement("ACS-SUPERVISE")
def test_two_facilities_side_by_side_and_no_orphans(treated: Treated, tmp_path: Path) -> None:
    second = ptcs("up", "--state", tmp_path / "state", "--detach")
    assert second.returncode == 0, second.stderr
    facility = status(tmp_path / "state")
    try:
        assert facility["tango_host"] != treated.facility["tango_host"]
        again = ptcs("up", "--state", tmp_path / "state", "--detach")
        assert again.returncode == 1
        assert "already runs" in again.stderr
    finally:
        os.kill(facility["supervisor_pid"], signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while any(alive(pid) for pid in pids(facility)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids(facility) if alive(pid)] == []
    assert not take_down(tmp_path / "state")
    assert ptcs("status", "--state", tmp_path / "state").returncode == 1
