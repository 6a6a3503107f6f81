"""A receptionist in a real browser: registers with camera and hospital data, recognises, finds again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.form_states import FormEvent
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.clinical import Patient
from ois_bridge.models.forms import FormRecord
from ois_bridge.services import registration
from ois_bridge.services.context import Caller
from ois_bridge.services.forms import records
from simulation.his.server import HisServer
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import looked_at, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-REGISTER", "OIS-SEARCH")]


@dataclass
class Hand:
    """A person's hand on mouse and keyboard: every click, shortcut and tab is counted."""

    page: Page
    acts: int = field(default=0)

    def click(self, selector: str) -> None:
        self.page.click(selector)
        self.acts += 1

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)
        self.acts += 1

    def type(self, text: str) -> None:
        self.page.keyboard.insert_text(text)


def at_work(chromium: Browser, ois: Ois, user: str) -> Page:
    page = opened(chromium, ois, user)
    page.goto(f"{ois.url}/patients")
    return page


@pytest.fixture
def desk(make_ois: Callable[..., Ois], tmp_path: Path) -> Iterator[tuple[Ois, HisServer]]:
    """An OIS whose hospital system answers."""
    his = HisServer()
    folder = tmp_path / "state/ois"
    folder.mkdir(parents=True)
    (folder / "his.yaml").write_text(f"{{host: 127.0.0.1, port: {his.port}, timeout_s: 1.0}}\n")
    yield make_ois("state"), his
    his.close()


def test_a_receptionist_registers_recognises_and_finds(
    desk: tuple[Ois, HisServer], chromium: Browser
) -> None:
    ois, his = desk
    page = at_work(chromium, ois, "receptionist")
    _register(page, Hand(page))
    _recognise(page)
    _find(page)
    his.manner.delay_s = 20.0
    _go_on_by_hand(page)


def _register(page: Page, hand: Hand) -> None:
    """At most 15 clicks, shortcuts and tabs; the hospital's system and the id card fill the rest."""
    hand.click("text=+ Register patient")
    page.wait_for_url("**/patients/new")
    hand.type("11010519491231002X")
    expect(page.locator("#birth_date")).to_have_value("1949-12-31")
    expect(page.locator("#sex")).to_have_value("F")
    hand.key("Tab")
    page.wait_for_selector("[data-his].good")
    assert page.input_value("#name") == "韩梅梅"
    assert page.input_value("#ward") == "放疗一病区"
    assert page.is_checked("[name=source][value=inpatient]")
    hand.click("[data-camera]")
    page.wait_for_selector("[data-shoot]:visible")
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    hand.click("[data-shoot]")
    assert page.input_value("[name=photo]").startswith("data:image/jpeg;base64,")
    hand.click("#diagnosis")
    hand.type("Lung cancer")
    hand.key("Tab")
    hand.type("IMPT")
    looked_at(page, "new-filled")
    hand.key("Enter")
    page.wait_for_url("**/patients/*?done=registered")
    assert hand.acts <= 15, hand.acts
    print(f'{{"name": "register-clicks", "value": {hand.acts}}}')
    photo = page.request.get(page.url.split("?")[0] + "/photo")
    assert photo.headers["content-type"] == "image/jpeg"
    assert photo.body().startswith(b"\xff\xd8")


def _recognise(page: Page) -> None:
    """Typing the name and birth date of a known person shows them; a second record is not made."""
    page.goto(page.url.split("/patients")[0] + "/patients/new")
    page.fill("#name", "韩梅梅")
    page.fill("#birth_date", "1949-12-31")
    page.wait_for_selector(".known")
    assert page.locator(".known-photo").count() == 1
    looked_at(page, "new-known")
    page.select_option("#sex", "F")
    page.click("button.primary")
    page.wait_for_selector("[role=alert]:has-text('another person')")
    assert page.input_value("#name") == "韩梅梅", "nothing typed is lost"
    page.fill("#course_name", "Second")
    page.click("text=Add the course to this patient")
    page.wait_for_url("**/patients/*?done=course")
    assert "Second" in page.inner_text("main")


def _find(page: Page) -> None:
    """By any piece of the name, by rules; the search is saved; nothing of it stands in the address."""
    page.goto(page.url.split("/patients")[0] + "/patients")
    page.fill("#search", "梅")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients?search=*")
    assert "%" not in page.url
    assert page.locator("tbody tr").count() == 1
    assert "2 courses" in page.inner_text("tbody")
    page.click("summary:has-text('Rules')")
    page.click("text=+ Add rule")
    page.select_option("[data-part=field]", "technique")
    page.select_option("[data-part=op]", "is")
    page.fill("[data-part=value]", "IMPT")
    page.click("text=+ Add group")
    page.locator("[data-part=field]").nth(1).select_option("state")
    page.locator("[data-part=value]").nth(1).select_option("ACTIVE")
    page.click(".finder-box button")
    page.wait_for_selector("summary:has-text('Rules (2)')")
    assert page.locator("tbody tr").count() == 1
    page.click("summary:has-text('Saved lists')")
    page.fill("#list-name", "IMPT, active")
    page.click("text=Save >> nth=-1")
    page.wait_for_url("**done=saved")
    assert page.inner_text("h1") == "IMPT, active"
    page.click("summary:has-text('Saved lists')")
    page.click("summary:has-text('Columns')")
    looked_at(page, "list-open")
    page.check("[name='column:diagnosis']")
    page.click("text=Keep columns")
    page.wait_for_url("**done=columns")
    assert "Lung cancer" in page.inner_text("tbody") or "Diagnosis" in page.inner_text("thead")
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    text = Path(download.value.path()).read_text("utf-8-sig")
    assert "韩梅梅" in text
    page.goto(page.url.split("/patients")[0] + "/language/zh?next=/patients")
    looked_at(page, "list-zh")


def _go_on_by_hand(page: Page) -> None:
    """A hospital system that does not answer costs the desk a line of text, not its work."""
    page.goto(page.url.split("/patients")[0] + "/patients/new")
    looked_at(page, "new-zh")
    page.fill("#hospital_number", "MZ0054321")
    page.keyboard.press("Tab")
    page.fill("#name", "李雷")
    page.wait_for_selector("[data-his].bad", timeout=5000)
    page.set_input_files("#photo-file", {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.wait_for_selector("[data-said].bad")
    page.fill("#birth_date", "1980-01-02")
    page.select_option("#sex", "M")
    page.dblclick("button.primary")
    page.wait_for_url("**/patients/*?done=registered")
    page.goto(page.url.split("?")[0] + "/edit")
    page.fill("#phone", "13800001111")
    page.click("button.primary")
    page.wait_for_url("**done=changed")
    assert "13800001111" in page.inner_text("table")
    looked_at(page, "edit-zh")


def test_words_are_marked_in_hits_and_in_the_opened_form(
    make_ois: Callable[..., Ois], chromium: Browser, tmp_path: Path
) -> None:
    key = _approved_form(tmp_path / "state")
    ois = make_ois("state")
    page = at_work(chromium, ois, "physician")
    page.fill("#search", "颅底 头膜")
    page.check("[name=scope][value=forms]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hits")
    assert {mark.casefold() for mark in page.locator(".hits mark").all_inner_texts()} >= {"颅底"}
    looked_at(page, "hits")
    page.click("[data-hit]")
    page.wait_for_url(f"**/forms/{key}#mark")
    assert page.locator("main mark, main .marked").count() >= 1
    page.goto(f"{ois.url}/forms/{key}")
    assert page.locator("main mark, main .marked").count() == 0, "only for what was searched"


def _approved_form(state: Path) -> str:
    """An OIS with one patient and one approved sheet; the sheet's key."""
    means = process.build(StateDir(state), site.load())
    doctor = Caller("physician", frozenset({"physician"}))
    patient = registration.register(
        means,
        doctor,
        PatientEntry("韩梅梅", id_card="11010519491231002X"),
        CourseEntry(physician="physician"),
    )
    content = {
        "position": "supine", "device": "mask", "region": "颅底至锁骨", "slice": 2.0, "contrast": False,
    }  # fmt: skip
    with means.database.reading() as session:
        (course,) = session.get_one(Patient, patient.key).courses
    form = records.open_form(means, doctor, course.key, "simulation-sheet")
    records.save(means, doctor, form.key, content, form.revision)
    with means.database.writing() as session:
        row = session.get_one(FormRecord, form.key)
        for event in (FormEvent.SUBMIT, FormEvent.AGREE):
            records.take_step(session, means, "physician", row, event)
    means.close()
    return str(form.key)
