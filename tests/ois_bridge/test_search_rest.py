"""Searching over REST as another system does: rules, pages, forms, and bodies that make no sense."""

import pytest

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, identity, ok, refused

pytestmark = pytest.mark.requirement("OIS-SEARCH", "OIS-API")


def test_rules_and_pages(ois: Ois, users: Users, case: Case) -> None:
    tag = case.tag
    for number in range(3):
        entry = {**identity(case), "patient_id": f"{tag}{number}", "name": f"{tag}^Nr{number}"}
        ok(users["physician"].post("/patients", json=entry))
    desk = ois.as_user("receptionist")
    visit = {"technique": "IMPT", "source": "inpatient", "ward": "3B"}
    assert ok(desk.post(f"/patients/{tag}1/visits", json=visit))["courses"][0]["name"] == "C1"
    group = {
        "match": "all",
        "rules": [
            {"field": "patient_id", "op": "begins", "value": tag},
            {"match": "any", "rules": [{"field": "ward", "op": "is", "value": "3B"}]},
        ],
    }
    found = ok(desk.post("/patients/search", json={"group": group}))
    assert [row["patient_id"] for row in found["patients"]] == [f"{tag}1"]
    seen: list[str] = []
    after = ""
    while True:
        page = ok(desk.post("/patients/search", json={"text": tag, "limit": 2, "after": after}))
        seen += [row["patient_id"] for row in page["patients"]]
        after = page["after"]
        if not after:
            break
    assert sorted(seen) == [f"{tag}{number}" for number in range(3)]
    assert {row["patient_id"] for row in ok(desk.get("/patients", params={"search": tag}))} == set(seen)
    refused(desk.get(f"/patients/{tag}1/photo"), 404, "no photo")
    desk.close()


def test_what_makes_no_sense_is_refused(users: Users) -> None:
    physician, operator = users["physician"], users["operator"]
    wrong = {"match": "all", "rules": [{"field": "password", "op": "is", "value": "x"}]}
    refused(physician.post("/patients/search", json={"group": wrong}), 422, "does not exist")
    refused(physician.post("/patients/search", json={"after": "x"}), 422, "search again")
    refused(physician.post("/patients/search", json={"limit": 0}), 422, "limit")
    refused(physician.post("/forms/search", json={"text": ""}), 422, "text")
    assert ok(physician.post("/forms/search", json={"text": "' OR 1=1 --"}))["patients"] == []
    refused(operator.post("/patients/search", json={}), 403, "may not")
    refused(operator.post("/forms/search", json={"text": "x"}), 403, "may not")
