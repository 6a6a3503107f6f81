"""The pages in a real browser: readable for everybody, on a desk and on a phone."""

import pytest
from playwright.sync_api import Page

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import fits, log_in, violations
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, approved

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-EMR")]


def test_pages_are_accessible_and_fit(ois: Ois, users: Users, case: Case, page: Page) -> None:
    approved(ois, users, case)
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    page.goto(f"{ois.url}/language/en?next=/login")
    assert violations(page) == []
    log_in(page, ois, "physician")
    page.goto(f"{ois.url}/patients")
    page.fill("#search", case.tag)
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients?search=*")
    assert violations(page) == []
    page.click("tbody a")
    page.wait_for_url("**/patients/*")
    patient = page.url
    assert page.locator(".badge", has_text="partly delivered").count() == 1
    prescribe = str(page.locator("a[href*=prescribe]").get_attribute("href"))
    for address in (patient, f"{ois.url}{prescribe}", f"{ois.url}/patients/new"):
        for width in (1366, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(address)
            assert violations(page) == []
            assert fits(page), (address, width)
