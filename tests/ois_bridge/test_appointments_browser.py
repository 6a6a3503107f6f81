"""The sheet in a real browser: click, drag and keyboard; readable for everybody, on a desk and on a phone."""

from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from tests.ois_bridge import appointments_case as department
from tests.ois_bridge.appointments_case import at
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import fits, log_in, violations

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-SCHEDULE")]


def cell(page: Page, column: int, minute: int) -> str:
    return f'tr[data-m="{minute}"] td[data-c="{column}"]'


def test_click_drag_and_keys(ois: Ois, page: Page) -> None:
    with department.into(ois.state) as session:
        day = department.workday(session, datetime.now().date(), 60)
        later = department.workday(session, day, 1)
        first, second = (department.patient(session, 95000 + n) for n in range(2))
        row = department.put(session, first, "ROOM1", at(day, 9), fraction=3)
        wall = department.put(session, second, "ROOM2", at(day, 10))
    page.set_viewport_size({"width": 1366, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    log_in(page, ois, "therapist")
    page.goto(f"{ois.url}/appointments?day={day.isoformat()}")
    card = page.locator(f'[data-key="{row.key}"]')
    # a drop that the server allows
    card.drag_to(page.locator(cell(page, 0, 690)), source_position={"x": 30, "y": 4})
    expect(page.locator(f'{cell(page, 0, 690)} [data-key="{row.key}"]')).to_be_visible()
    # one that it refuses: the card springs back and the reason is told
    card.drag_to(page.locator(f'[data-key="{wall.key}"]'), source_position={"x": 30, "y": 4})
    expect(page.locator("#sheet-told")).to_contain_text("Room 2 is taken 10:00–10:20")
    expect(page.locator(f'{cell(page, 0, 690)} [data-key="{row.key}"]')).to_be_visible()
    # the keyboard: pick up, two rooms to the right, put down
    card.focus()
    for key in ("m", "ArrowRight", "ArrowRight", "m"):
        page.keyboard.press(key)
    expect(page.locator(f'{cell(page, 2, 690)} [data-key="{row.key}"]')).to_be_visible()
    # a click on a free time books there
    page.locator(cell(page, 1, 840)).click()
    dialog = page.locator("#sheet-dialog")
    expect(dialog.locator("#a-start")).to_have_value(f"{day.isoformat()}T14:00")
    expect(dialog.locator("#a-device")).to_have_value("ROOM2")
    assert violations(page) == []
    dialog.locator("#a-search").press_sequentially("S95001")
    expect(dialog.locator('input[name="course"]')).to_be_checked()
    dialog.locator("button.primary").click()
    expect(dialog.locator("[role=alert]")).to_contain_text("at least 18 h apart")
    dialog.locator("#a-start").fill(f"{later.isoformat()}T14:00")
    dialog.locator("button.primary").click()
    expect(dialog).to_be_hidden()
    assert problems == []
    with department.into(ois.state) as session:
        moved = session.get(type(row), row.key)
        assert moved is not None
        assert (moved.device, moved.start, moved.revision) == ("ROOM3", at(day, 11, 30), 3)


def test_pages_are_accessible_and_fit(ois: Ois, page: Page) -> None:
    with department.into(ois.state) as session:
        day = department.workday(session, datetime.now().date(), 80)
        for number in range(12):
            made = department.patient(session, 96000 + number)
            department.put(session, made, f"ROOM{number % 3 + 1}", at(day, 9 + number // 3, number % 3 * 10))
    paths = [
        f"/appointments?day={day.isoformat()}&view=week&colour=state", f"/appointments/day/{day.isoformat()}",
        "/appointments/course", f"/appointments/fault?day={day.isoformat()}", "/appointments/calendar",
        f"/appointments/new?day={day.isoformat()}",
    ]  # fmt: skip
    log_in(page, ois, "therapist")
    page.goto(f"{ois.url}/appointments/fault")
    page.select_option("#f-device", "ROOM2")
    page.fill("#f-start", f"{day.isoformat()}T08:00")
    page.fill("#f-finish", f"{day.isoformat()}T20:00")
    page.locator("button.primary").first.click()
    page.wait_for_url("**/appointments/proposals/*")
    expect(page.locator("tbody tr")).to_have_count(4)
    paths.append(page.url.removeprefix(ois.url))
    for path in paths:
        for width, lang in ((1366, "zh"), (390, "en")):
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(f"{ois.url}/language/{lang}?next={path.replace('&', '%26')}")
            assert page.url == f"{ois.url}{path}"
            assert violations(page) == []
            assert fits(page), (path, width)
