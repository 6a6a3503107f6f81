"""Three people at their daily work without a mouse: every key is pressed, no script fills in or clicks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from common import site
from common.state import StateDir
from ois_bridge import process
from tests.ois_bridge import workflow_steps as department
from tests.ois_bridge.conftest import Ois, start
from tests.ois_bridge.ois_browser import new_page
from tests.ois_bridge.queue_case import patient, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("SYS-ACCESS", "OIS-REGISTER")]
MOST_TABS = 40


@pytest.fixture(scope="module")
def ois(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ois]:
    """One sheet to approve, and one patient expected in a few minutes."""
    root = tmp_path_factory.mktemp("keys") / "state"
    means = process.build(StateDir(root), site.load())
    department.staff(means)
    department.up_to(means, department.begun(means, "keys"), "sheet-approval")
    day = (datetime.now().astimezone().date() - datetime(2026, 11, 23).date()).days
    soon = f"{(datetime.now(UTC) + timedelta(minutes=2)).astimezone():%H:%M}"
    visit(means, patient(means, "P1", name="张^小一", barcode="BC00001"), "ROOM1", soon, day)
    means.close()
    running = start(root)
    yield running
    assert running.stop() == 0


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab (or Shift+Tab) until the element has the focus, and see that it shows it."""
    for _tab in range(MOST_TABS):
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{selector}: the focus cannot be seen"
            return
        page.keyboard.press(key)
    raise AssertionError(f"{selector} is not reached by {MOST_TABS} tabs")


def at_work(chromium: Browser, ois: Ois, user: str) -> Page:
    """Logged in by keys; the cursor is in the first field of the page."""
    page = new_page(chromium, locale="zh-CN", bypass_csp=False)
    page.set_default_timeout(60_000)
    page.goto(f"{ois.url}/login")
    page.wait_for_selector("#user:focus")
    page.keyboard.type(user)
    page.keyboard.press("Tab")
    page.keyboard.type(department.SECRET)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "/login" not in address)
    return page


def test_registers(chromium: Browser, ois: Ois) -> None:
    page = at_work(chromium, ois, "receptionist")
    page.wait_for_selector("#search:focus")
    tab_to(page, "a[href='/patients/new']", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients/new")
    page.keyboard.type("990000195803149012")
    tab_to(page, "#name")
    page.keyboard.insert_text("韩国栋")  # an input method types so
    tab_to(page, "#diagnosis")
    page.keyboard.insert_text("前列腺癌")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients/*done=registered")
    expect(page.locator("body")).to_contain_text("韩国栋")


def test_approves_a_sheet(chromium: Browser, ois: Ois) -> None:
    page = at_work(chromium, ois, "physician")
    tab_to(page, "#tasks .task-link")
    page.keyboard.press("a")
    page.wait_for_selector("#password:focus")
    page.keyboard.type(department.SECRET)
    page.keyboard.press("Enter")
    expect(page.locator("#said .message.good")).to_be_visible()
    assert ois.query("SELECT count(*) FROM task WHERE name = 'sheet-approval' AND state = 'DONE'") == [(1,)]


def test_signs_in_and_calls(chromium: Browser, ois: Ois) -> None:
    page = at_work(chromium, ois, "therapist")
    tab_to(page, "button[name=device][value=ROOM1]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue?device=ROOM1")
    tab_to(page, "section[aria-labelledby=expected-title] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("section[aria-labelledby=waiting-title] td.number")
    page.keyboard.press("n")
    page.wait_for_selector("article.current")
    assert ois.query("SELECT count(*) FROM appointment WHERE state = 'CALLED'") == [(1,)]
