"""What was delivered: records, fractions, reports."""

import json

import pytest

from ois_bridge.interfaces import report
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, approved, ok, refused, submitted

pytestmark = pytest.mark.requirement("OIS-RV")

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060"
    "000000040001f61738550000000049454e44ae426082"
)
SUMMARY = {
    "verification": {
        "gamma": {
            "pass_rate": 99.5,
            "dose_percent": 2,
            "distance_mm": 2,
            "threshold_percent": 10,
            "points": 9,
        },
        "centroid": {"max_mm": 0.5, "mean_mm": 0.1},
        "meterset": {"max_relative_spot": 0.002, "relative_beam": {"1": 0.0001}},
        "passed": True,
        "failures": [],
    },
    "clock_factor": 10.0,
}


def fraction(users: Users, uid: str, number: int = 1) -> dict[str, object]:
    return dict(ok(users["therapist"].get(f"/plans/{uid}/fractions"))[number - 1])


def page_text(ois: Ois, users: Users, case: Case) -> str:
    """Flags of stray records, from the database that the page shows."""
    rows = ois.query(
        "SELECT flag FROM fraction_part WHERE plan_uid = :uid ORDER BY part", uid=case.uid("plan")
    )
    return " | ".join(flag for (flag,) in rows)


def test_parts_add_up_to_a_delivered_fraction(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    assert fraction(users, uid)["state"] == "PLANNED"
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    part = fraction(users, uid)
    assert (part["state"], part["delivered_mu"]) == ("PARTIAL", pytest.approx(7.0))
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    assert fraction(users, uid) == part, "the same record twice counts once"
    ois.store(case.record(2, whole=False), aet="PTCS_TCS")
    full = fraction(users, uid)
    assert (full["state"], full["delivered_mu"]) == ("DELIVERED", pytest.approx(18.0))
    assert full["parts"] == [case.uid("record 1 1"), case.uid("record 1 2")]
    assert fraction(users, uid, 2)["state"] == "PLANNED"
    assert page_text(ois, users, case) == " | "


def test_parts_may_arrive_in_any_order(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    ois.store(case.record(2, whole=False), aet="PTCS_TCS")
    assert fraction(users, uid)["state"] == "PARTIAL"
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    assert fraction(users, uid)["state"] == "DELIVERED"


def test_record_of_an_unapproved_plan_is_kept_and_flagged(ois: Ois, users: Users, case: Case) -> None:
    submitted(ois, users, case)
    ois.store(case.record(), aet="PTCS_TCS")
    listed = ok(
        users["physicist"].get(
            f"/patients/{case.patient.patient_id}/instances", params={"modality": "RTRECORD"}
        )
    )
    assert [row["sop_instance_uid"] for row in listed] == [case.uid("record 1 1")]
    assert "not approved" in page_text(ois, users, case)


def test_record_of_a_fraction_that_the_plan_lacks(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    ois.store(case.record(fraction=9), aet="PTCS_TCS")
    assert "no fraction 9" in page_text(ois, users, case)
    assert all(row["parts"] == [] for row in ok(users["therapist"].get(f"/plans/{uid}/fractions")))


def test_record_of_an_unknown_patient_is_kept_and_flagged(ois: Ois, users: Users, case: Case) -> None:
    ois.store(case.record(), aet="PTCS_TCS")
    assert "Patient ID not registered" in page_text(ois, users, case)


def test_second_record_of_the_same_part_is_flagged(ois: Ois, users: Users, case: Case) -> None:
    approved(ois, users, case)
    ois.store(case.record(), aet="PTCS_TCS")
    ois.store(case.record(sop_instance_uid=case.uid("again")), aet="PTCS_TCS")
    flags = page_text(ois, users, case)
    assert "recorded before" in flags
    assert "Field 1 got more than planned" in flags


@pytest.mark.requirement("SYS-LANGUAGE")
def test_report_is_composed_kept_and_read_in_both_languages(ois: Ois, users: Users, case: Case) -> None:
    uid = approved(ois, users, case)
    ois.store(case.record(), aet="PTCS_TCS")
    path = f"/plans/{uid}/fractions/1/report"
    files = {"dvh": ("dvh.png", PNG, "image/png")}
    answer = users["physicist"].post(path, data={"summary": json.dumps(SUMMARY)}, files=files)
    report = ok(answer)["id"]
    for language in ("en", "zh"):
        first = users["physicist"].get(f"/reports/{report}.pdf", params={"lang": language})
        assert first.headers["content-type"] == "application/pdf"
        assert first.content.startswith(b"%PDF")
        again = users["physicist"].get(f"/reports/{report}.pdf", params={"lang": language})
        assert again.content == first.content
    kept = ois.state / "ois/reports" / report / "report-en.pdf"
    kept.write_bytes(kept.read_bytes() + b" ")
    refused(users["physicist"].get(f"/reports/{report}.pdf?lang=en"), 409, "altered")
    refused(users["physicist"].get(f"/reports/{report}.pdf?lang=fr"), 422, "en, zh")
    refused(users["operator"].get(f"/reports/{report}.pdf?lang=zh"), 403, "无权查看报告")


@pytest.mark.requirement("SYS-LANGUAGE")
def test_report_shows_pictures_of_its_reader() -> None:
    drawn = {"dvh-en.png": b"en", "dvh-zh.png": b"zh", "dvh.png": b"who asked", "spots.png": b"plain"}
    assert report.of_language(drawn, "zh") == {"dvh.png": b"zh", "spots.png": b"plain"}
    assert report.of_language(drawn, "en") == {"dvh.png": b"en", "spots.png": b"plain"}
    assert report.of_language({"gamma-zh.png": b"zh"}, "en") == {"gamma.png": b"zh"}, "better than none"


@pytest.mark.parametrize(
    ("summary", "pictures", "text"),
    [
        ("no json", {}, "cannot be used"),
        ("{}", {}, "lacks 'verification'"),
        (json.dumps({"verification": {**SUMMARY["verification"], "passed": False}}), {}, "contradicts"),  # type: ignore[dict-item]
        (json.dumps(SUMMARY).replace("99.5", '"x"'), {}, "is no number"),
        (json.dumps(SUMMARY), {"a": ("a.png", b"GIF89a", "image/png")}, "PNG"),
        (json.dumps(SUMMARY), {"a": ("../a.png", PNG, "image/png")}, "PNG"),
    ],
)
def test_report_that_cannot_be_used(
    ois: Ois, users: Users, summary: str, pictures: dict[str, tuple[str, bytes, str]], text: str
) -> None:
    files = pictures or {"dvh": ("dvh.png", PNG, "image/png")}
    before = sorted((ois.state / "ois/reports").rglob("*"))
    answer = users["physicist"].post(
        "/plans/1.2.3/fractions/1/report", data={"summary": summary}, files=files
    )
    refused(answer, 422, text)
    assert sorted((ois.state / "ois/reports").rglob("*")) == before


def test_report_of_nothing(users: Users) -> None:
    files = {"dvh": ("dvh.png", PNG, "image/png")}
    data = {"summary": json.dumps(SUMMARY)}
    refused(
        users["physicist"].post("/plans/1.2.3/fractions/1/report", data=data, files=files), 404, "no such"
    )
    refused(
        users["physician"].post("/plans/1.2.3/fractions/1/report", data=data, files=files), 403, "physicist"
    )
