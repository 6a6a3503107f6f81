"""A real browser for the tests: started, logged in, and what is demanded of every page."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

if TYPE_CHECKING:
    from tests.ois_bridge.conftest import Ois

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
SIZES = ((390, 844), (1366, 768))
"""A phone, and a desk; the latter stays."""
PICTURES = os.environ.get("PTCS_PICTURES", "")
"""A folder for pictures of the pages, to look at."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium; without one the test is skipped."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


def new_page(chromium: Browser, width: int = 1366, height: int = 768, **options: Any) -> Page:
    """An empty page of a person without cookies."""
    # axe is a script of ours in the page: the policy of the pages allows none
    options = {"viewport": {"width": width, "height": height}, "bypass_csp": True, **options}
    return chromium.new_context(**options).new_page()


def log_in(page: Page, ois: "Ois", user: str, password: str = "", language: str = "en") -> None:
    """Come to the user's first page; without a password with the demonstration's."""
    page.goto(f"{ois.url}/language/{language}?next=/login")
    page.fill("#user", user)
    page.fill("#password", password or ois.password(user))
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "/login" not in address)


def opened(chromium: Browser, ois: "Ois", user: str, language: str = "en") -> Page:
    """A page of a user who is logged in."""
    page = new_page(chromium)
    log_in(page, ois, user, language=language)
    return page


def violations(page: Page) -> list[str]:
    """What axe finds."""
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {rule['id']} {rule['nodes'][0]['html'][:200]}" for rule in found]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def looked_at(page: Page, name: str) -> None:
    """No violation and nothing that sticks out, on a phone and on a desk; a picture where one is wanted."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{name}-{width}.png", full_page=True)
        assert violations(page) == [], (name, width)
        assert fits(page), (name, width)
