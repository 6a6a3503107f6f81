"""Clicks of three people at their daily work, in a real Chromium; a film strip of each.

Counted: clicks, shortcuts (a key that does something) and tabs; typing is not. The time is that of a
practised person by the keystroke-level model (Card, Moran, Newell 1980: 0.28 s a key, 1.1 s to point and
0.2 s to click, 1.35 s to think before each field or button) and the waiting that was measured.
One JSON line a person: `ours` acts, `asked` the most that were asked for, `seconds`.
`python -m benchmarks.bench_department_clicks [FOLDER for the film strips]`
"""

import json
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench_department_worklist import ois
from common.files import read_json
from common.state import StateDir
from ois_bridge.domain import id_card
from ptcs import department_command

ARGUMENTS = [
    "--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]  # fmt: skip
KEY_S, POINT_S, CLICK_S, THINK_S = 0.28, 1.1, 0.2, 1.35
WIDE, HIGH, SMALL = 1366, 768, 340


@dataclass
class Hand:
    """A person at the page: what they do is counted, and each picture belongs to the strip."""

    page: Page
    acts: int = 0
    seconds: float = 0.0
    frames: list[Image.Image] = field(default_factory=list)

    def click(self, selector: str) -> None:
        """Point and click."""
        self._do(lambda: self.page.click(selector), THINK_S + POINT_S + CLICK_S)

    def choose(self, selector: str, index: int) -> None:
        """Open a list and click on one of its rows: two clicks."""
        seconds = THINK_S + 2 * (POINT_S + CLICK_S)
        self._do(lambda: self.page.select_option(selector, index=index), seconds)
        self.acts += 1

    def key(self, name: str) -> None:
        """A shortcut or a tab."""
        self._do(lambda: self.page.keyboard.press(name), KEY_S * (1 + name.count("+")))

    def enter(self) -> None:
        """The Enter that ends a typed line, as a scanner sends it too."""
        self._do(lambda: self.page.keyboard.press("Enter"), KEY_S)

    def type(self, text: str) -> None:
        """Type into where the cursor is; not counted."""
        self.page.keyboard.insert_text(text)
        self.seconds += THINK_S + KEY_S * len(text)

    def see(self) -> None:
        """One more picture of the strip."""
        picture = Image.open(BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append(picture.resize((SMALL, SMALL * HIGH // WIDE)))

    def _do(self, act, seconds: float) -> None:  # type: ignore[no-untyped-def]
        begun = time.perf_counter()
        act()
        self.page.wait_for_load_state("load")
        self.seconds += seconds + time.perf_counter() - begun
        self.acts += 1

    def strip(self, path: Path) -> None:
        """All pictures in a row."""
        whole = Image.new("RGB", (SMALL * len(self.frames), self.frames[0].height))
        for number, frame in enumerate(self.frames):
            whole.paste(frame, (number * SMALL, 0))
        whole.quantize(32).save(path, optimize=True)


def opened(browser: Browser, url: str, path: str = "/login") -> Page:
    page = browser.new_context(
        viewport={"width": WIDE, "height": HIGH}, locale="zh-CN", permissions=["camera"]
    ).new_page()
    page.goto(url + path)
    return page


def log_in(hand: Hand, user: str, password: str) -> None:
    """From the empty log-in page: the cursor is in its first field, once the page is drawn."""
    hand.page.wait_for_selector("#user:focus")
    hand.type(user)
    hand.key("Tab")
    hand.type(password)
    hand.enter()


def receptionist(browser: Browser, url: str, password: str) -> Hand:
    """Registers a patient with a photo, from the start page on."""
    page = opened(browser, url)
    log_in(Hand(page), "receptionist", password)
    page.wait_for_url("**/patients")
    hand = Hand(page)
    hand.see()
    hand.click("a[href='/patients/new']")
    digits = "99000019620314" + "123"
    hand.type(digits + id_card.check_character(digits))
    hand.key("Tab")
    hand.type("慕容雪")
    hand.see()
    hand.click("[data-camera]")
    page.wait_for_selector("[data-shoot]:visible")
    hand.click("[data-shoot]")
    hand.see()
    hand.choose("#physician", 1)
    hand.click("#diagnosis")
    hand.type("前列腺癌")
    hand.see()
    hand.key("Enter")
    page.wait_for_selector(".message.good, .message.bad")
    assert page.query_selector(".message.bad") is None, page.inner_text(".message.bad")
    hand.see()
    assert "慕容雪" in page.content()
    return hand


def doctor(browser: Browser, url: str, password: str) -> Hand:
    """Approves a treatment sheet, from the log-in page on."""
    hand = Hand(opened(browser, url))
    hand.see()
    log_in(hand, "physician", password)
    hand.page.wait_for_url("**/tasks")
    hand.acts = 0  # log-in itself is where the counting begins
    hand.see()
    hand.click("#tasks tr:has(b:text-is('治疗单审批')) .task-link")
    hand.page.wait_for_selector("#first-deed")
    hand.see()
    hand.click("#password")
    hand.type(password)
    hand.enter()
    hand.page.wait_for_selector("#said .good")
    hand.see()
    return hand


def therapist(browser: Browser, url: str, password: str) -> Hand:
    """Signs a patient in and calls them."""
    page = opened(browser, url)
    log_in(Hand(page), "therapist", password)
    page.wait_for_url(lambda address: not address.endswith("/login"))
    page.goto(f"{url}/queue?device=ROOM1")
    hand = Hand(page)
    hand.see()
    hand.click("section:has(#expected-title) button")
    hand.see()
    hand.key("n")
    page.wait_for_selector("article.current")
    hand.see()
    return hand


def visit_now(state: Path) -> None:
    """An appointment of this hour, whatever the hour is."""
    start = datetime.now(UTC) + timedelta(minutes=10)
    with sqlite3.connect(state / "ois" / "ois.db") as raw:
        course, patient = raw.execute(
            "SELECT key, patient_key FROM course WHERE state = 'ACTIVE' LIMIT 1"
        ).fetchone()
        raw.execute(
            "INSERT INTO appointment (key, patient_key, course_key, device, kind, start, minutes, particle,"
            " note, state, signed_in_by, priority, revision, created, created_by)"
            " VALUES (?, ?, ?, 'ROOM1', 'treatment', ?, 20, 'proton', '', 'BOOKED', '', 0, 1, ?, 'bench')",
            ("aa" * 8, patient, course, f"{start:%Y-%m-%d %H:%M:%S.%f}", f"{start:%Y-%m-%d %H:%M:%S.%f}"),
        )
    raw.close()


def tell(name: str, hand: Hand, asked: int, folder: Path | None) -> None:
    """The JSON line and the strip."""
    if folder is not None:
        hand.strip(folder / f"{name}.png")
    line = {
        "name": name, "ours": hand.acts, "peer": None, "unit": "clicks, shortcuts and tabs", "ratio": None,
        "n": 1, "warm": True, "asked": asked, "seconds": round(hand.seconds, 1),
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        state = Path(place) / "state"
        state.mkdir()
        with ois(state) as url:
            department_command.fill(StateDir(state), 24, seed=3)
            visit_now(state)
            passwords = read_json(StateDir(state).demo_accounts)
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
            tell("register-clicks", receptionist(browser, url, passwords["receptionist"]), 15, folder)
            tell("approve-clicks", doctor(browser, url, passwords["physician"]), 4, folder)
            tell("call-clicks", therapist(browser, url, passwords["therapist"]), 3, folder)
            browser.close()


if __name__ == "__main__":
    main()
