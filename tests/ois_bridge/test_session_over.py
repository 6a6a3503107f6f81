"""The session ends while somebody types: nothing is lost, it goes on after the log-in, for nobody else."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import fits, log_in, violations
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, identity, ok
from tests.ois_bridge.test_ois_access import Browser

pytestmark = [pytest.mark.requirement("OIS-USERS"), pytest.mark.requirement("SYS-ACCESS")]


def end_sessions(ois: Ois, user: str, deleted: bool) -> None:
    """As time does it (idle too long), or as an administrator does."""
    of = '(SELECT key FROM account WHERE "user" = :user)'
    deed = (
        "DELETE FROM web_session" if deleted else "UPDATE web_session SET last_seen = '2020-01-01 00:00:00'"
    )
    ois.query(f"{deed} WHERE account_key = {of}", user=user)


@pytest.fixture
def tab(ois: Ois) -> Iterator[Browser]:
    made = Browser(ois)
    yield made
    made.http.close()


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, page[:2000]
    return found[1]


def logged_in(tab: Browser, page: str, user: str) -> httpx.Response:
    """The log-in page that an answer shows, filled in."""
    fields = {name: hidden(page, name) for name in ("csrf", "next", "kept")}
    return tab.http.post("/login", data={**fields, "user": user, "password": tab.ois.password(user)})


@pytest.mark.parametrize("deleted", [False, True])
def test_form_of_an_ended_session_goes_on_after_the_log_in(
    tab: Browser, ois: Ois, users: Users, case: Case, deleted: bool
) -> None:
    tab.log_in("physician")
    typed = {**identity(case), "birth_date": "1960-02-29", "source": "outpatient", "other_person": "1"}
    token = tab.token("/patients/new")
    end_sessions(ois, "physician", deleted)
    answer = tab.http.post("/patients/new", data={**typed, "csrf": token})
    assert answer.status_code == 401
    assert 'value="physician"' in answer.text
    for word in (case.patient.patient_id, "1960"):
        assert word not in answer.text, "what was typed is not readable in the page"
    fields = {name: hidden(answer.text, name) for name in ("csrf", "next", "kept")}
    wrong = tab.http.post("/login", data={**fields, "user": "physician", "password": "x"})
    assert wrong.status_code == 403
    page = logged_in(tab, wrong.text, "physician")
    assert "The patient is registered." in page.text
    assert (
        ok(users["physician"].get(f"/patients/{case.patient.patient_id}"))["patient_id"]
        == case.patient.patient_id
    )


def test_another_user_gets_nothing_of_it(tab: Browser, ois: Ois, users: Users, case: Case) -> None:
    tab.log_in("physician")
    token = tab.token("/patients/new")
    end_sessions(ois, "physician", False)
    answer = tab.http.post("/patients/new", data={**identity(case), "other_person": "1", "csrf": token})
    page = logged_in(tab, answer.text, "receptionist")
    assert page.status_code == 200
    assert case.patient.patient_id not in page.text
    assert users["physician"].get(f"/patients/{case.patient.patient_id}").status_code == 404
    # the page of the first user, sent while the second one is logged in
    again = tab.http.post("/patients/new", data={**identity(case), "other_person": "1", "csrf": token})
    assert again.status_code == 401
    assert "kept" in again.text
    forged = tab.http.post("/patients/new", data={**identity(case), "csrf": token[:-1] + "~"})
    assert forged.status_code == 403


def test_page_opened_before_a_second_log_in_still_counts(
    tab: Browser, ois: Ois, users: Users, case: Case
) -> None:
    tab.log_in("physician")
    token = tab.token("/patients/new")
    tab.log_in("physician")
    typed = {**identity(case), "birth_date": "1960-02-29", "source": "outpatient", "other_person": "1"}
    assert "The patient is registered." in tab.http.post("/patients/new", data={**typed, "csrf": token}).text


def test_what_a_page_asks_by_itself_keeps_no_session_awake(tab: Browser, ois: Ois) -> None:
    tab.log_in("therapist")
    of = "WHERE account_key = (SELECT key FROM account WHERE \"user\" = 'therapist')"
    earlier = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S.000000")
    ois.query(f"UPDATE web_session SET last_seen = '{earlier}' {of}")
    seen = f"SELECT max(last_seen) FROM web_session {of}"
    before = ois.query(seen)
    assert tab.http.get("/tasks/count", headers={"X-PTCS-Unattended": "1"}).status_code == 200
    assert ois.query(seen) == before
    assert tab.http.get("/tasks").status_code == 200
    assert ois.query(seen) != before


def test_scripts_are_told_to_log_in_beside_the_page(tab: Browser, ois: Ois) -> None:
    tab.log_in("therapist")
    token = tab.token("/account")
    end_sessions(ois, "therapist", True)
    answer = tab.http.get("/tasks", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["x-ptcs-log-in"]) == (401, "1")
    part = tab.http.get("/login/again", headers={"X-CSRF-Token": token}).text
    assert 'value="therapist"' in part
    fields = {"csrf": hidden(part, "csrf"), "page": token}
    physician = {"user": "physician", "password": ois.password("physician")}
    assert tab.http.post("/login/again", data={**fields, **physician}).status_code == 409
    assert tab.http.get("/tasks", headers={"HX-Request": "true"}).status_code == 401
    therapist = {"user": "therapist", "password": ois.password("therapist")}
    answer = tab.http.post("/login/again", data={**fields, **therapist})
    assert answer.status_code == 200, answer.text
    assert answer.json()["token"] == tab.token("/account")
    assert tab.http.get("/tasks", headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_plain_forms_and_partial_updates(ois: Ois, users: Users, case: Case, page: Page) -> None:
    log_in(page, ois, "physician")
    # a plain form
    page.goto(f"{ois.url}/patients/new")
    page.fill("#name", f"Qian^{case.tag}")
    page.fill("#birth_date", "1951-03-04")
    page.select_option("#sex", "F")
    page.fill("#address", "2 Long Lane")
    page.wait_for_load_state("networkidle")  # the page has looked for patients of this name
    end_sessions(ois, "physician", True)
    page.evaluate("document.querySelector('form.registration').requestSubmit()")
    page.wait_for_selector("input[name=kept]", state="attached")
    assert page.input_value("#user") == "physician"
    assert violations(page) == []
    page.fill("#password", ois.password("physician"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/patients/[0-9a-f]{16}"))
    found = ok(users["physician"].get("/patients", params={"search": case.tag}))
    assert [row["birth_date"] for row in found] == ["19510304"]
    assert ois.query("SELECT address FROM patient WHERE name LIKE :name", name=f"%{case.tag}%") == [
        ("2 Long Lane",)
    ]
    # a partial update: the search of the to-do list keeps its words, and the list comes
    page.goto(f"{ois.url}/tasks")
    page.fill("#search", "no such patient")
    end_sessions(ois, "physician", False)
    page.keyboard.press("Enter")
    page.wait_for_selector("#again[open]")
    page.fill("#again-password", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#again [role=alert]:not([hidden])")
    for width in (390, 1366):
        page.set_viewport_size({"width": width, "height": 800})
        assert violations(page) == []
        assert fits(page)
    page.fill("#again-password", ois.password("physician"))
    page.keyboard.press("Enter")
    page.wait_for_selector("#work .empty:has-text('No task fits')")
    assert page.locator("#again").count() == 0
    assert page.input_value("#search") == "no such patient"
