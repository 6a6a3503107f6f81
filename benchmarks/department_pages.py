"""Every page of the department in a real Chromium: pictures, axe, nothing wider than its window.

A simulated hospital, an OIS and 42 patients who do not exist, on a temporary state. Each role follows every
kind of link that it is shown, and each kind of page is opened in LANGUAGES x SIZES. Printed: a line a page
with what is wrong; Latin words on a Chinese page are only named (for the eye); at the end one JSON line.
`python -m benchmarks.department_pages FOLDER [ROLE ...]`: the pictures go to the folder.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench_department_clicks import ARGUMENTS
from benchmarks.bench_department_worklist import ois
from common.files import read_json
from common.state import StateDir
from ptcs import department_command

ROLES = ("receptionist", "physician", "physicist", "therapist", "admin")
LANGUAGES = ("zh", "en")
SIZES = ((1366, 768), (820, 1180), (390, 844))
PATIENTS = 42
NO_PAGE = re.compile(r"/(logout|language|static|api)\b|\.(pdf|csv|zip|xlsx|bpmn|wav|webp|svg|png)\b|/photo\b")
OF_ONE = re.compile(r"[0-9a-f]{16,}|DEMO-[0-9]+|[0-9.]{20,}|\d{4}-\d\d-\d\d|ROOM\d|(?<=year=)\d+")
"""What differs between two pages of one kind."""
LATIN = re.compile(r"\b[A-Za-z]{3,}(?: [A-Za-z]{2,})+\b")


@contextmanager
def department(state: Path) -> Iterator[str]:
    """A seeded department beside its simulated hospital: the address."""
    hospital = subprocess.Popen([sys.executable, "-m", "simulation.hospital", "--state", str(state)])
    try:
        while not StateDir(state).run_file("hospital").exists():
            if hospital.poll() is not None:
                raise RuntimeError("the simulated hospital did not start")
            time.sleep(0.1)
        with ois(state) as url:
            department_command.fill(StateDir(state), PATIENTS)
            yield url
    finally:
        hospital.terminate()
        hospital.wait(20)


def logged_in(browser: Browser, url: str, role: str, password: str) -> Page:
    # axe is a script of ours in the page: the policy of the pages allows none
    page = browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{url}/login")
    page.fill("#user", role)
    page.fill("#password", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "/login" not in address)
    return page


def kind(path: str) -> str:
    """The path with `*` for whom it is about."""
    return OF_ONE.sub("*", path)


def walked(page: Page, url: str) -> Iterator[str]:
    """One path of each kind that links lead to. Whoever takes one finds the page opened."""
    seen, todo = set[str](), ["/"]
    while todo:
        path = todo.pop(0)
        if kind(path) in seen or NO_PAGE.search(path):
            continue
        seen.add(kind(path))
        page.goto(url + path)
        links = page.eval_on_selector_all(
            "a[href]", "all => all.map(a => a.getAttribute('href').split('#')[0])"
        )
        todo += [_inside(urljoin(path, link)) for link in links if link.startswith(("/", "?"))]
        yield path


def _inside(address: str) -> str:
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def looked_at(page: Page, name: str, folder: Path) -> list[str]:
    """What is wrong with the page as it is open, in each size. A picture of each goes to the folder."""
    wrong = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)  # pictures and columns take their places
        page.screenshot(path=folder / f"{name}_{width}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        wrong += [f"{width}: {rule['id']} {rule['nodes'][0]['html'][:120]}" for rule in found]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong.append(f"{width}: wider than the window")
    return wrong


def of_role(page: Page, url: str, role: str, folder: Path) -> tuple[int, int]:
    """Pages and faults of one role."""
    pages = faults = 0
    for path in list(walked(page, url)):
        for language in LANGUAGES:
            page.goto(f"{url}/language/{language}?next=/account")
            answer = page.goto(url + path)
            name = re.sub(r"\W+", "_", f"{role}{kind(path)}").strip("_")[:80]
            wrong = looked_at(page, f"{name}_{language}", folder)
            if answer is None or answer.status != 200:
                wrong.append(f"status {answer and answer.status}")
            words = sorted(set(LATIN.findall(page.inner_text("body")))) if language == "zh" else []
            print(role, language, path, "; ".join(wrong) or "good", words or "", flush=True)
            faults += len(wrong)
        pages += 1
    return pages, faults


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit("a folder for the pictures is needed: department_pages FOLDER [ROLE ...]")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        state = Path(temporary)
        with department(state) as url:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
            for role in sys.argv[2:] or ROLES:
                password = read_json(state / "keys" / "demo-accounts.json")[role]
                counts[role] = of_role(logged_in(browser, url, role, password), url, role, folder)
            browser.close()
    faults = sum(found for _pages, found in counts.values())
    said = {"name": "department-pages", "pages": {role: pages for role, (pages, _found) in counts.items()}}
    print(json.dumps({**said, "languages": len(LANGUAGES), "sizes": len(SIZES), "faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
