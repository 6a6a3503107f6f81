"""Steps of the loop that several tests take."""

from typing import Any

import httpx

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case

Users = dict[str, httpx.Client]


def ok(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    return answer.json()


def refused(answer: httpx.Response, status: int, text: str) -> None:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert text in answer.json()["error"], answer.text


def identity(case: Case) -> dict[str, str]:
    who = case.patient
    return {
        "patient_id": who.patient_id, "name": who.name, "birth_date": who.birth_date, "sex": who.sex
    }  # fmt: skip


def prescribed(ois: Ois, users: Users, case: Case, **changes: Any) -> str:
    """Images sent, patient registered, course and prescription written: the prescription's id."""
    ois.store(*case.images(), aet="PTCS_CT")
    ok(users["physician"].post("/patients", json=identity(case)))
    path = f"/patients/{case.patient.patient_id}/courses"
    course = ok(users["physician"].post(path, json={"name": "C1", "diagnosis": "prostate"}))["id"]
    wish = {
        "target": "prostate", "dose_per_fraction": 2.0, "fractions": 3, "rbe_model": "constant 1.1",
        "structure_set_uid": case.uid("structure set"), "organs": [{"name": "bladder", "max_gy": 5.0}],
        **changes,
    }  # fmt: skip
    return str(ok(users["physician"].post(f"/courses/{course}/prescriptions", json=wish))["id"])


def submitted(ois: Ois, users: Users, case: Case) -> str:
    """`prescribed`, and a plan with its dose submitted: the plan's UID."""
    wish = prescribed(ois, users, case)
    ois.store(case.plan(), case.dose())
    uid = case.uid("plan")
    ok(users["physicist"].post(f"/plans/{uid}/submit", json={"prescription_id": wish}))
    return uid


def approved(ois: Ois, users: Users, case: Case) -> str:
    """`submitted`, and approved: the plan's UID."""
    uid = submitted(ois, users, case)
    ok(users["physician"].post(f"/plans/{uid}/approve", json={"password": ois.password("physician")}))
    return uid
