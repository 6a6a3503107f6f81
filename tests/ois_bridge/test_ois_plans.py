"""From image to report through the real process: REST, C-STORE, C-FIND, C-GET."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from common import authority
from common.dicom.canonical import plan_hash
from common.errors import Refused
from common.hashchain import entries, verify
from common.links import dimse
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, approved, identity, ok, prescribed, refused, submitted

pytestmark = pytest.mark.requirement("OIS-PLANS")


def plan_file(ois: Ois, case: Case) -> Path:
    return ois.state / "ois/dicom" / case.uid("plan series") / f"{case.uid('plan')}.dcm"


def last_audit(ois: Ois) -> dict[str, str]:
    path = ois.state / "ois/audit.log"
    assert verify(path) > 0
    return entries(path)[-1]


def alter(path: Path) -> None:
    """Change one beam's gantry angle in a file at rest, as a well-formed DICOM file."""
    ds = dcmread(path)
    ds.IonBeamSequence[0].IonControlPointSequence[0].GantryAngle = 91.0
    ds.save_as(path)


def test_plan_is_submitted_approved_and_signed(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    plan = ok(users["therapist"].get(f"/plans/{uid}"))
    assert plan["state"] == "APPROVED"
    assert plan["hash"] == plan_hash(case.plan())
    key = authority.load_public(ois.state / "keys/ois_public.pem")
    statement = authority.read_statement(key, plan["approval"])
    assert statement["hash"] == plan["hash"]
    assert statement["sop_instance_uid"] == uid
    assert statement["approver"] == "physician"
    assert statement["time"].startswith("20")
    assert [(f["number"], f["state"]) for f in plan["fractions"]] == [(n, "PLANNED") for n in (1, 2, 3)]
    assert plan["fractions"][0]["planned_mu"] == pytest.approx(18.0)
    last = last_audit(ois)
    assert (last["user"], last["action"], last["outcome"]) == ("physician", "approve plans", "done")
    assert uid not in json.dumps(last)


@pytest.mark.requirement("OIS-COURSE")
def test_a_plan_tells_whether_its_course_is_active(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    assert ok(users["therapist"].get(f"/plans/{uid}"))["course_state"] == "ACTIVE"
    patient = ok(users["physician"].get(f"/patients/{case.patient.patient_id}"))
    course = patient["courses"][0]["id"]
    for event, state in (("INTERRUPT", "INTERRUPTED"), ("RESUME", "ACTIVE"), ("CANCEL", "CANCELLED")):
        body = {"event": event, "reason": "fever"}
        ok(users["physician"].post(f"/courses/{course}/actions", json=body))
        assert ok(users["therapist"].get(f"/plans/{uid}"))["course_state"] == state


def test_plan_needs_its_dose_and_its_prescription(ois: Ois, users: Users, case: Case) -> None:
    wish = prescribed(ois, users, case)
    ois.store(case.plan())
    uid = case.uid("plan")
    body = {"prescription_id": wish}
    refused(users["physicist"].post(f"/plans/{uid}/submit", json=body), 409, "RT Dose has not arrived")
    ois.store(case.dose())
    missing = {"prescription_id": "0000000000000000"}
    refused(users["physicist"].post(f"/plans/{uid}/submit", json=missing), 404, "no such entry")
    refused(users["physician"].post(f"/plans/{uid}/submit", json=body), 403, "role physicist")
    answer = users["physician"].post(f"/plans/{uid}/approve", json={"password": ois.password("physician")})
    refused(answer, 409, "cannot be approved")
    ok(users["physicist"].post(f"/plans/{uid}/submit", json=body))
    refused(users["physicist"].post(f"/plans/{uid}/submit", json=body), 409, "cannot be submitted")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"prescription": 2.1}, "2.1 Gy"),
        ({"fractions": 4}, "4 fractions"),
        ({"target": "bladder"}, "target is bladder"),
        ({"structure_set_uid": "2.25.1234"}, "another structure set"),
        ({"machine": "OTHER-1"}, "machine OTHER-1"),
    ],
)
def test_plan_that_is_not_what_is_prescribed(
    ois: Ois, users: Users, case: Case, changes: dict[str, object], text: str
) -> None:
    wish = prescribed(ois, users, case)
    ois.store(case.plan(**changes), case.dose())
    answer = users["physicist"].post(f"/plans/{case.uid('plan')}/submit", json={"prescription_id": wish})
    refused(answer, 409, text)
    assert ok(users["physicist"].get(f"/plans/{case.uid('plan')}"))["state"] == "ARRIVED"


def test_prescription_of_another_patient(ois: Ois, users: Users, case: Case) -> None:
    other = Case(case.tag + "x", replace(case.patient, patient_id=case.tag + "x"))
    foreign = prescribed(ois, users, other)
    prescribed(ois, users, case)
    ois.store(case.plan(), case.dose())
    answer = users["physicist"].post(f"/plans/{case.uid('plan')}/submit", json={"prescription_id": foreign})
    refused(answer, 409, "another patient's")


def test_approval_asks_for_the_password_and_the_role(ois: Ois, users: Users, case: Case) -> None:
    uid = submitted(ois, users, case)
    wrong = users["physician"].post(f"/plans/{uid}/approve", json={"password": "wrong"})
    refused(wrong, 403, "password is wrong")
    assert last_audit(ois)["outcome"] == "refused"
    answer = users["physicist"].post(f"/plans/{uid}/approve", json={"password": ois.password("physicist")})
    refused(answer, 403, "role physician")
    assert ok(users["physician"].get(f"/plans/{uid}"))["state"] == "SUBMITTED"


def test_altered_at_rest_is_neither_approved_nor_handed_out(ois: Ois, users: Users, case: Case) -> None:
    uid = submitted(ois, users, case)
    alter(plan_file(ois, case))
    answer = users["physician"].post(f"/plans/{uid}/approve", json={"password": ois.password("physician")})
    refused(answer, 409, "altered at rest")
    assert last_audit(ois)["outcome"] == "refused"
    refused(users["therapist"].get(f"/plans/{uid}"), 409, "altered at rest")
    with pytest.raises(Refused, match="altered at rest"):
        dimse.fetch(ois.peer, "PTCS_TCS", StudyInstanceUID=case.uid("study"), SOPInstanceUID=uid)


def test_altered_after_approval_is_refused(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    alter(plan_file(ois, case))
    refused(users["therapist"].get(f"/plans/{uid}"), 409, "altered at rest")


def test_altered_copy_of_a_plan_is_refused(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    before = plan_file(ois, case).read_bytes()
    ois.store(case.plan())
    with pytest.raises(Refused, match="other content"):
        ois.store(case.plan(label="Altered"))
    assert plan_file(ois, case).read_bytes() == before
    assert ok(users["therapist"].get(f"/plans/{uid}"))["state"] == "APPROVED"


def test_revoked_plan_stays_revoked(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    refused(users["physicist"].post(f"/plans/{uid}/revoke", json={"reason": "x"}), 403, "role physician")
    refused(users["physician"].post(f"/plans/{uid}/revoke", json={"reason": " "}), 409, "reason")
    plan = ok(users["physician"].post(f"/plans/{uid}/revoke", json={"reason": "anatomy changed"}))
    assert (plan["state"], plan["approval"]) == ("REVOKED", None)
    answer = users["physician"].post(f"/plans/{uid}/approve", json={"password": ois.password("physician")})
    refused(answer, 409, "cannot be approved")


def test_archive_answers_queries_and_gives_what_it_took(ois: Ois, users: Users, case: Case) -> None:
    prescribed(ois, users, case)
    ois.store(case.plan(), case.dose())
    who = case.patient.patient_id
    found = dimse.find(ois.peer, "PTCS_TPS", "SERIES", PatientID=who, Modality="", SeriesInstanceUID="")
    assert sorted(ds.Modality for ds in found) == ["CT", "RTDOSE", "RTPLAN", "RTSTRUCT"]
    assert dimse.find(ois.peer, "PTCS_TPS", "SERIES", PatientID=who, Modality="MR") == []
    got: list[Dataset] = dimse.fetch(ois.peer, "PTCS_TPS", PatientID=who)
    sent = [*case.images(), case.plan(), case.dose()]
    assert {ds.SOPInstanceUID: plan_hash(ds) for ds in got} == {
        ds.SOPInstanceUID: plan_hash(ds) for ds in sent
    }
    listed = ok(users["operator"].get(f"/patients/{who}/instances", params={"modality": "CT"}))
    assert {row["sop_instance_uid"] for row in listed} == {ds.SOPInstanceUID for ds in case.ct()}


def test_unknown_title_is_not_served(ois: Ois, case: Case) -> None:
    dimse.echo(ois.peer, "PTCS_CT")
    with pytest.raises(Refused, match="register this AE title"):
        ois.store(*case.ct(), aet="STRANGER")


def test_objects_of_a_patient_who_is_not_registered(ois: Ois, users: Users, case: Case) -> None:
    ois.store(*case.images(), aet="PTCS_CT")
    refused(users["physician"].get(f"/patients/{case.patient.patient_id}"), 404, "no such entry")
    with pytest.raises(Refused, match="register the patient first"):
        ois.store(case.plan())
    ok(users["physicist"].post("/patients", json=identity(case)))
    listed = ok(users["physicist"].get(f"/patients/{case.patient.patient_id}/instances"))
    assert len(listed) == len(case.images())


def test_object_that_contradicts_the_registered_patient(ois: Ois, users: Users, case: Case) -> None:
    wrong = {**identity(case), "birth_date": "19610301"}
    ois.store(*case.ct(), aet="PTCS_CT")
    ok(users["physician"].post("/patients", json=wrong))
    assert ok(users["physician"].get(f"/patients/{case.patient.patient_id}/instances")) == []
    with pytest.raises(Refused, match="birth date"):
        ois.store(case.plan())
    refused(users["physician"].post("/patients", json=wrong), 409, "registered already")


def test_damaged_plan_is_refused(ois: Ois, users: Users, case: Case) -> None:
    prescribed(ois, users, case)
    ds = case.plan()
    ds.IonBeamSequence[0].NumberOfControlPoints = 99
    with pytest.raises(Refused):
        ois.store(ds)
    refused(users["physicist"].get(f"/plans/{case.uid('plan')}"), 404, "no such entry")
    assert not plan_file(ois, case).exists()


@pytest.mark.requirement("OIS-REGISTER")
@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("patient_id", "a/b", "Patient ID"),
        ("patient_id", "", "Patient ID"),
        ("name", "", "Patient name"),
        ("birth_date", "20990101", "Birth date"),
        ("birth_date", "19601301", "Birth date"),
        ("birth_date", "", "Birth date"),
        ("sex", "X", "Sex"),
    ],
)
def test_identity_is_checked(users: Users, case: Case, field: str, value: str, text: str) -> None:
    refused(users["physician"].post("/patients", json={**identity(case), field: value}), 422, text)


def test_prescription_is_checked(ois: Ois, users: Users, case: Case) -> None:
    ok(users["physician"].post("/patients", json=identity(case)))
    path = f"/patients/{case.patient.patient_id}/courses"
    refused(users["physicist"].post(path, json={"name": "C1"}), 403, "role physician")
    course = ok(users["physician"].post(path, json={"name": "C1", "diagnosis": "x"}))["id"]
    wish: dict[str, object] = {
        "target": "prostate", "dose_per_fraction": 2.0, "fractions": 3, "rbe_model": "constant 1.1",
        "structure_set_uid": case.uid("structure set"), "organs": [],
    }  # fmt: skip
    client: httpx.Client = users["physician"]
    post = f"/courses/{course}/prescriptions"
    refused(client.post(post, json=wish), 409, "Structure set")
    ois.store(*case.images(), aet="PTCS_CT")
    for change, text in (
        ({"dose_per_fraction": -1}, "Dose per fraction"),
        ({"fractions": 0}, "Fractions"),
        ({"rbe_model": ""}, "RBE model"),
        ({"organs": [{"name": "bladder", "max_gy": 0}]}, "Organ goals"),
        ({"surprise": 1}, "Extra inputs"),
    ):
        refused(client.post(post, json={**wish, **change}), 422, text)
    made = ok(client.post(post, json=wish))["id"]
    assert ok(users["physicist"].get(f"/prescriptions/{made}"))["patient_id"] == case.patient.patient_id
