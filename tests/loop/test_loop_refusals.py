"""What is not approved, not whole, not this patient's or not allowed never reaches the beam."""

import copy
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
import tango
from pydicom.uid import generate_uid

from common import authority
from common.errors import Refused, Unauthorised
from common.files import read_json
from common.links import dimse
from common.state import StateDir
from device_servers.sessions import open_sessions
from ptcs.demo.context import JobFailed
from ptcs.demo.therapist import Therapist
from tests.loop.conftest import Treated

FRACTION = 20


@pytest.fixture
def therapist(treated: Treated) -> Therapist:
    os.environ["TANGO_HOST"] = treated.facility["tango_host"]
    person = Therapist(treated.state, read_json(StateDir(treated.state).demo_accounts)["therapist"])
    if person.state() != "IDLE":
        person.abandon()
    return person


@pytest.fixture
def plan(treated: Treated) -> pydicom.Dataset:
    return pydicom.dcmread(next((treated.out / "plan").glob("*.dcm")))


def load(therapist: Therapist, plan: pydicom.Dataset, patient_id: str = "") -> None:
    identity = (patient_id or str(plan.PatientID), str(plan.PatientBirthDate))
    therapist.load(str(plan.SOPInstanceUID), FRACTION, *identity)


@pytest.mark.slow
@pytest.mark.requirement("OIS-PLANS")
def test_a_plan_that_nobody_approved_is_refused(
    treated: Treated, therapist: Therapist, plan: pydicom.Dataset
) -> None:
    other = copy.deepcopy(plan)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dimse.store(dimse.Peer(**treated.facility["ois_dicom"]), [other], "PTCS_TPS")
    with pytest.raises(JobFailed, match="approved"):
        load(therapist, other)
    assert therapist.state() == "IDLE"


@pytest.mark.slow
@pytest.mark.requirement("OIS-PLANS")
def test_an_altered_copy_of_the_approved_plan_is_not_taken_in(
    treated: Treated, plan: pydicom.Dataset
) -> None:
    altered = copy.deepcopy(plan)
    altered.IonBeamSequence[0].IonControlPointSequence[0].GantryAngle = 91.0
    with pytest.raises(Refused):
        dimse.store(dimse.Peer(**treated.facility["ois_dicom"]), [altered], "PTCS_TPS")


@pytest.mark.slow
@pytest.mark.requirement("OIS-RV")
def test_a_plan_altered_at_rest_is_refused(
    treated: Treated, therapist: Therapist, plan: pydicom.Dataset
) -> None:
    kept = next(
        path
        for path in (treated.state / "ois" / "dicom").rglob("*")
        if path.is_file() and _is_instance(path, str(plan.SOPInstanceUID))
    )
    good = kept.read_bytes()
    altered = pydicom.dcmread(kept)
    altered.IonBeamSequence[0].IonControlPointSequence[0].NominalBeamEnergy = 150.0
    try:
        altered.save_as(kept)
        with pytest.raises(JobFailed):
            load(therapist, plan)
    finally:
        kept.write_bytes(good)
    assert therapist.state() == "IDLE"


def _is_instance(path: Path, uid: str) -> bool:
    try:
        ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except pydicom.errors.InvalidDicomError:
        return False
    return str(ds.get("SOPInstanceUID", "")) == uid


@pytest.mark.slow
@pytest.mark.requirement("TCS-LOGIN")
def test_another_patient_is_refused_and_no_beam_can_be_started(
    therapist: Therapist, plan: pydicom.Dataset
) -> None:
    with pytest.raises(JobFailed):
        load(therapist, plan, patient_id="SOMEBODY-ELSE")
    assert therapist.state() == "LOADED"
    for step in (therapist.start, therapist.prepare_beam):
        with pytest.raises((JobFailed, tango.DevFailed), match="not allowed in state LOADED"):
            step()
    therapist.abandon()


@pytest.mark.slow
@pytest.mark.requirement("SYS-ACCESS")
def test_expired_and_forged_tokens_open_no_session(treated: Treated, tmp_path: Path) -> None:
    state = StateDir(treated.state)
    now = datetime.now(UTC)
    authority.new_key(tmp_path / "forged.pem", tmp_path / "forged_public.pem")
    for key, issued in ((state.signing_key, now - timedelta(days=2)), (tmp_path / "forged.pem", now)):
        token = authority.issue(authority.load_private(key), "therapist", frozenset({"therapist"}), issued)
        with pytest.raises((Unauthorised, tango.DevFailed), match=r"expired|not accepted"):
            open_sessions(token, treated.facility["tango_host"])
