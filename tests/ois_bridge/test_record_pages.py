"""The record's pages and REST calls against a real OIS process, and in a real browser."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import fits, log_in, violations
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, approved, ok, refused


class Browser:
    """A logged-in browser without scripts."""

    def __init__(self, ois: Ois, user: str) -> None:
        self.client = httpx.Client(base_url=ois.url, trust_env=False, timeout=60)
        form = self.client.get("/login").text
        data = {"csrf": self._token(form), "user": user, "password": ois.password(user), "next": "/patients"}
        assert self.client.post("/login", data=data).status_code == 303

    @staticmethod
    def _token(html: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', html)
        assert found is not None
        return found[1]

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, **fields: str) -> httpx.Response:
        token = self._token(self.get("/patients/new").text)
        return self.client.post(path, data={"csrf": token, **fields})


@pytest.fixture
def browse(ois: Ois) -> Iterator[Callable[[str], Browser]]:
    """Logs a user in; closes the connections at the end of the test."""
    opened: list[Browser] = []

    def log_in(user: str) -> Browser:
        opened.append(Browser(ois, user))
        return opened[-1]

    yield log_in
    for one in opened:
        one.client.close()


Browse = Callable[[str], Browser]


def keys(users: Users, case: Case) -> tuple[str, str]:
    """Patient ID and key of the only course."""
    patient_id = case.patient.patient_id
    (course,) = ok(users["physician"].get(f"/patients/{patient_id}"))["courses"]
    return patient_id, course["id"]


def page_of(browser: Browser, case: Case) -> str:
    """Path of a patient's page."""
    html = browser.get(f"/patients?search={case.tag}").text
    found = re.search(r"/patients/([0-9a-f]{16})", html)
    assert found is not None
    return found[0]


@pytest.mark.requirement("OIS-EMR")
def test_page_shows_everything_to_a_doctor_and_less_to_the_desk(
    ois: Ois, users: Users, case: Case, browse: Browse
) -> None:
    approved(ois, users, case)
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    doctor, desk = browse("physician"), browse("receptionist")
    path = page_of(doctor, case)
    full = doctor.get(path).text
    for section in (
        "courses", "timeline", "plans", "alerts", "appointments", "tasks", "forms", "reviews", "follow-up",
        "reports", "images",
    ):  # fmt: skip
        assert f'id="s-{section}"' in full, section
    assert re.search(r'<a href="/tasks/[0-9a-f]+">Consultation</a>', full), "an open task is one click away"
    assert "<dd>physician," not in full, "people by their names"
    assert "7.0 / 18.0" in doctor.get(f"{path}/timeline").text
    seen = desk.get(path)
    assert seen.status_code == 200
    for section in ("timeline", "plans", "images", "reviews", "reports", "forms"):
        assert f'id="s-{section}"' not in seen.text, section
    assert desk.get(f"{path}/timeline").status_code == 403
    assert desk.post(f"{path}/alerts", **{"alert-allergy": "1"}).status_code == 303
    assert "Allergy" in doctor.get(path).text
    assert doctor.post("/patients/0000000000000000/alerts").status_code == 404


@pytest.mark.requirement("OIS-COURSE")
def test_course_is_acted_on_by_physicians_only(ois: Ois, users: Users, case: Case, browse: Browse) -> None:
    approved(ois, users, case)
    patient_id, course = keys(users, case)
    therapist = users["therapist"]
    refused(
        therapist.post(f"/courses/{course}/actions", json={"event": "END", "reason": "x"}), 403, "may not"
    )
    doctor = browse("physician")
    path = page_of(doctor, case)
    answer = doctor.post(f"/courses/{course}/act/interrupt", reason="fever <script>alert(1)</script>")
    assert answer.status_code == 303
    shown = doctor.get(answer.headers["location"]).text
    assert "Cancelled: 0 appointments, 0 tasks." in shown
    assert "fever &lt;script&gt;" in shown
    assert doctor.post(f"/courses/{course}/act/explode", reason="x").status_code == 404
    again = doctor.post(f"/courses/{course}/act/interrupt", reason="x")
    assert again.status_code == 409
    assert "What can be done: resume, cancel, end" in again.text
    done = ok(
        users["physician"].post(f"/courses/{course}/actions", json={"event": "RESUME", "reason": "well"})
    )
    assert done == {"state": "ACTIVE", "appointments": 0, "tasks": 0}
    assert path in answer.headers["location"]
    without_token = doctor.client.post(f"/courses/{course}/act/end", data={"reason": "x"})
    assert without_token.status_code == 403
    assert ok(users["physician"].get(f"/courses/{course}"))["state"] == "ACTIVE"
    assert (
        ok(therapist.get(f"/patients/{patient_id}/timeline"))["plans"][0]["fractions"][0]["state"]
        == "PLANNED"
    )


@pytest.mark.requirement("OIS-DIAGNOSIS")
def test_diagnosis_over_rest(ois: Ois, users: Users, case: Case) -> None:
    approved(ois, users, case)
    _patient, course = keys(users, case)
    doctor = users["physician"]
    (found,) = ok(doctor.get("/diagnoses", params={"search": "qianliexian"}))
    assert (found["code"], found["icd11"], found["icd10"]) == ("PROSTATE", "2C82", "C61")
    body = {"code": "HCC", "stage": {"table": "hcc-tnm8", "choice": {"T": "T2", "N": "N0", "M": "M0"}}}
    assert ok(doctor.put(f"/courses/{course}/diagnosis", json=body))["stage"] == "T2 N0 M0 · II"
    wrong = {"code": "HCC", "stage": {"table": "hcc-tnm8", "choice": {"T": "T9"}}}
    refused(doctor.put(f"/courses/{course}/diagnosis", json=wrong), 422, "choose one of")
    refused(users["physicist"].put(f"/courses/{course}/diagnosis", json=body), 403, "may not")
    assert ok(doctor.get(f"/courses/{course}"))["icd11"] == "2C12.02"


def filled(ois: Ois, users: Users, case: Case) -> tuple[str, str]:
    """A patient with something in every section: patient ID and course."""
    approved(ois, users, case)
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    patient_id, course = keys(users, case)
    doctor = users["physician"]
    ok(doctor.put(f"/patients/{patient_id}/alerts", json={"alerts": ["pacemaker", "fall"]}))
    review = {
        "weight": 60,
        "toxicities": [{"term": "Fatigue", "grade": 1}],
        "password": ois.password("physician"),
    }
    ok(doctor.post(f"/courses/{course}/reviews", json=review))
    ok(doctor.post(f"/courses/{course}/follow-ups", json={"start": "2026-01-31", "months": [1, 12]}))
    study = ok(doctor.post("/studies", json={"name": f"Study {case.tag}", "criteria": "adults"}))["id"]
    ok(doctor.post(f"/courses/{course}/studies", json={"study_id": study}))
    assert any(row["course_id"] == course for row in ok(doctor.get("/reviews/due")))
    assert any(row["course_id"] == course for row in ok(doctor.get("/follow-ups/overdue")))
    return patient_id, course


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.requirement("OIS-EMR")
def test_record_pages_are_accessible_and_fit(ois: Ois, users: Users, case: Case, page: Page) -> None:
    _patient, course = filled(ois, users, case)
    log_in(page, ois, "physician")
    page.goto(f"{ois.url}/patients?search={case.tag}")
    patient = str(page.locator("tbody a[href^='/patients/']").first.get_attribute("href")).split("?")[0]
    paths = [
        patient, f"{patient}/export", f"/courses/{course}/diagnosis", f"/courses/{course}/review",
        f"/courses/{course}/summary", "/reviews", "/follow-up", "/diagnoses",
    ]  # fmt: skip
    for language in ("en", "zh"):
        page.goto(f"{ois.url}/language/{language}?next=/patients")
        for path in paths:
            look(page, f"{ois.url}{path}")
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(f"{ois.url}/language/en?next={patient}")
    diagnose_by_keyboard(page, ois, course)
    fold_and_come_back(page, f"{ois.url}{patient}")


def look(page: Page, address: str) -> None:
    for width in (1366, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        assert violations(page) == []
        assert fits(page), (address, width)


def diagnose_by_keyboard(page: Page, ois: Ois, course: str) -> None:
    """Pinyin typed, the answer chosen and the stage derived without a mouse."""
    page.goto(f"{ois.url}/courses/{course}/diagnosis")
    page.focus("#search")
    page.keyboard.type("biyan")
    page.wait_for_selector("#found label:has-text('Nasopharyngeal')")
    page.focus("#found input[value=NPC]")
    page.keyboard.press("Space")
    page.wait_for_selector("#staging option[value=npc-tnm8][selected]", state="attached")
    for axis, value in (("1", "T3"), ("2", "N1"), ("3", "M0")):
        page.select_option(f"#axis-{axis}", value)
        page.wait_for_selector(f"#axis-{axis} option[value={value}][selected]", state="attached")
    page.wait_for_selector(".group:has-text('T3 N1 M0 · III')")
    page.click("text=Keep diagnosis and stage")
    page.wait_for_selector("text=Diagnosis and stage are kept.")
    assert page.locator("text=ICD-11 2B6B").count() == 1


def fold_and_come_back(page: Page, address: str) -> None:
    """A folded section stays folded; a link into it opens it."""
    page.goto(address)
    page.click("#h-images")
    page.wait_for_selector("#s-images details:not([open])", state="attached")
    page.reload()
    assert page.locator("#s-images details:not([open])").count() == 1
    page.click(".toc a[href='#s-images']")
    page.wait_for_selector("#s-images details[open]")
    page.focus(".plan-line a.beat >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("tr[id^=row-beat]:target", state="attached")
    assert violations(page) == []
