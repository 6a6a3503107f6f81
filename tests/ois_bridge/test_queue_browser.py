"""Therapist, kiosk and hall screen in real browsers: keys, scanner, live calls, a restart."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.services.queue import screens
from tests.ois_bridge.conftest import Ois, start
from tests.ois_bridge.ois_browser import fits, log_in, new_page, violations
from tests.ois_bridge.queue_case import ADMINISTRATOR, patient, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-QUEUE")]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An OIS with three patients booked for ROOM1 in a few minutes."""
    means = process.build(StateDir(tmp_path), site.load())
    day = (datetime.now().astimezone().date() - datetime(2026, 11, 23).date()).days
    for number in (1, 2, 3):
        soon = f"{(datetime.now(UTC) + timedelta(minutes=number)).astimezone():%H:%M}"
        key = patient(means, f"P{number}", name=f"张^小{'一二三'[number - 1]}", barcode=f"BC0000{number}")
        visit(means, key, "ROOM1", soon, day)
    means.close()
    return tmp_path


@pytest.fixture
def begin(state: Path) -> Iterator[Callable[..., Ois]]:
    """Starts OIS processes; those that a failed test leaves are killed."""
    running: list[Ois] = []

    def new(*arguments: str) -> Ois:
        running.append(start(state, *arguments))
        return running[-1]

    yield new
    for ois in running:
        if ois.process.poll() is None:
            ois.process.kill()
            ois.process.wait()


def paired(state: Path, kind: str, devices: list[str]) -> str:
    means = process.build(StateDir(state), site.load())
    row = screens.add(means, ADMINISTRATOR, kind, kind, devices, "zh en")
    secret = screens.pair(means, ADMINISTRATOR, row.key)
    means.close()
    return secret


def open_page(chromium: Browser, ois: Ois, width: int, height: int, secret: str = "") -> Page:
    page = new_page(chromium, width, height, locale="zh-CN")
    if secret:
        page.context.add_cookies([{"name": "ptcs_screen", "value": secret, "url": ois.url}])
    page.set_default_timeout(60_000)
    return page


def waiting(page: Page) -> list[str]:
    rows = page.locator("section[aria-labelledby=waiting-title] tbody td.number")
    return [text.strip() for text in rows.all_inner_texts()]


def test_scan_call_and_finish_by_keys(chromium: Browser, begin: Callable[..., Ois]) -> None:
    ois = begin()
    page = open_page(chromium, ois, 1366, 768)
    log_in(page, ois, "therapist", language="zh")
    page.goto(f"{ois.url}/queue?device=ROOM1")
    clicks = 0
    expected = page.locator("section[aria-labelledby=expected-title] button")
    expected.first.click()
    clicks += 1
    page.locator("[data-key=n]").wait_for()
    page.locator("[data-key=n]").click()
    clicks += 1
    page.locator(".current.called").wait_for()
    assert clicks <= 3, "sign in and call"
    page.locator("h1").click()
    page.keyboard.type("BC00002")  # a scanner: fast, with Enter at the end
    page.keyboard.press("Enter")
    page.locator("section[aria-labelledby=waiting-title] td.number").wait_for()
    assert waiting(page) == ["2"]
    assert page.locator(".current.called").count() == 1, "the B of the barcode is no key"
    page.keyboard.press("e")
    page.locator(".current.in_room").wait_for()
    page.keyboard.press("f")
    page.locator(".current").wait_for(state="detached")
    page.keyboard.press("n")
    page.locator(".current.called").wait_for()
    page.keyboard.press("p")
    page.locator(".current").wait_for(state="detached")
    assert waiting(page) == ["2"]
    for address in ("/queue", "/queue/rooms", "/queue/notices", "/queue/order", "/queue/contact"):
        for width in (1366, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(ois.url + address)
            assert violations(page) == []
            assert fits(page), (address, width)
    page.context.close()
    admin = open_page(chromium, ois, 1366, 768)
    log_in(admin, ois, "admin", language="zh")
    for address in ("/screens", "/outbox"):
        admin.goto(ois.url + address)
        assert violations(admin) == []
        assert fits(admin), address
    admin.context.close()
    assert ois.stop() == 0


@pytest.mark.requirement("OIS-NOTIFY")
def test_screens_follow_the_calls_and_survive_a_restart(
    chromium: Browser, state: Path, begin: Callable[..., Ois]
) -> None:
    hall_secret, kiosk_secret = paired(state, "hall", []), paired(state, "kiosk", [])
    ois = begin()
    kiosk = open_page(chromium, ois, 1080, 1000, kiosk_secret)
    kiosk.goto(f"{ois.url}/kiosk")
    for key in "P1":
        kiosk.locator(f"[data-type='{key}']").evaluate("key => key.click()")
    kiosk.locator("button[type=submit]").click()
    kiosk.locator(".answer.good").wait_for()
    assert "张*一" in kiosk.locator(".answer").inner_text()
    assert violations(kiosk) == []
    hall = open_page(chromium, ois, 1920, 1080, hall_secret)
    hall.goto(f"{ois.url}/screen/hall")
    hall.locator("#voice-on").click()
    hall.locator(".room li", has_text="张*一").wait_for()
    page = open_page(chromium, ois, 1366, 768)
    log_in(page, ois, "therapist", language="zh")
    page.goto(f"{ois.url}/queue?device=ROOM1")
    page.locator("[data-key=n]").click()
    call = hall.locator(".call.new", has_text="张*一")
    call.wait_for()
    hall.locator(f"body[data-spoken='{call.get_attribute('data-call')}']").wait_for(state="attached")
    assert violations(hall) == []
    port = str(ois.endpoint["port"])
    assert ois.stop() == 0, "open streams do not hold up the stop"
    hall.locator(".offline:not([hidden])").wait_for()
    again = begin("--port", port)
    hall.locator(".offline").wait_for(state="hidden")
    page.goto(f"{again.url}/queue?device=ROOM1")
    page.locator("[data-key=e]").click()
    hall.locator(".room .current.in_room", has_text="张*一").wait_for()
    for each in (kiosk, hall, page):
        each.context.close()
    assert again.stop() == 0
