"""The pages in a real browser: readable for everybody, on a desk and on a phone."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, approved

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-EMR")]


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {rule['id']} {rule['nodes'][0]['html'][:200]}" for rule in found]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_pages_are_accessible_and_fit(ois: Ois, users: Users, case: Case) -> None:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    approved(ois, users, case)
    ois.store(case.record(1, whole=False), aet="PTCS_TCS")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        # axe is a script of ours in the page: the policy of the pages allows none
        context = chromium.new_context(viewport={"width": 1366, "height": 768}, bypass_csp=True)
        page = context.new_page()
        page.goto(f"{ois.url}/language/en?next=/login")
        assert violations(page) == []
        page.fill("#user", "physician")
        page.fill("#password", ois.password("physician"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/tasks")
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
        chromium.close()
