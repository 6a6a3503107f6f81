"""The workflow's pages in a real browser: few clicks, by keyboard, readable for everybody."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from common import site
from common.state import StateDir
from ois_bridge import process
from tests.ois_bridge import ois_browser
from tests.ois_bridge import workflow_steps as department
from tests.ois_bridge.conftest import Ois, start
from tests.ois_bridge.ois_browser import looked_at

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-WORKLIST")]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ois, dict[str, str]]]:
    """An OIS with courses at several steps."""
    root = tmp_path_factory.mktemp("busy") / "state"
    built = process.build(StateDir(root), site.load())
    department.staff(built)
    keys = {
        step: department.begun(built, step[:12])
        for step in ("consent", "simulation", "planning", "sheet-approval", "scheduling", "treatment")
    }
    for step, key in keys.items():
        department.up_to(built, key, step)
    built.close()
    running = start(root)
    yield running, keys
    assert running.stop() == 0


def log_in(page: Page, ois: Ois, user: str) -> None:
    ois_browser.log_in(page, ois, user, department.SECRET if user != "admin" else "")


def test_a_doctor_approves_a_sheet_in_four_clicks(busy: tuple[Ois, dict[str, str]], page: Page) -> None:
    ois, _keys = busy
    log_in(page, ois, "physician")
    assert page.url == f"{ois.url}/tasks"
    before = page.locator("#tasks tbody tr").count()
    row = page.locator("#tasks tr", has_text="Approval of the treatment sheet")
    row.locator(".task-link").click()  # 1
    page.wait_for_selector("#beside .form-shown")
    assert "Number of fields" in page.inner_text("#beside")
    looked_at(page, "panel")
    page.fill("#password", department.SECRET)  # 2: the field has to be entered
    page.click("#beside >> text=Agree")  # 3
    page.wait_for_selector("#said .message.good")
    page.wait_for_function(f"document.querySelectorAll('#tasks tbody tr').length === {before - 1}")
    assert row.count() == 0


def test_by_keyboard_and_with_a_form(busy: tuple[Ois, dict[str, str]], page: Page) -> None:
    ois, keys = busy
    log_in(page, ois, "therapist")
    page.goto(f"{ois.url}/tasks?step=simulation")
    page.locator("#tasks .task-link").first.focus()
    page.keyboard.press("r")
    page.wait_for_selector("#beside .panel")
    page.wait_for_function("document.activeElement.id === 'comment'")
    page.keyboard.type("mask is broken")
    page.click("#refuse-deed")
    page.wait_for_selector("#said .message.good")
    page.goto(f"{ois.url}/logout")
    page.context.clear_cookies()
    log_in(page, ois, "physician")
    page.goto(f"{ois.url}/tasks?text=WF-simulation")
    page.locator("#tasks .task-link").first.click()
    page.click("#beside >> text=Fill the form")
    page.wait_for_url("**/forms/*")
    page.fill("#f-region", "pelvis, whole")
    page.reload()
    assert page.input_value("#f-region") == "pelvis, whole"
    assert page.is_visible(".restored")
    looked_at(page, "fill")
    page.click("button[value=submit]")
    page.wait_for_url("**/tasks")
    page.goto(f"{ois.url}/courses/{keys['simulation']}/processes")
    assert "Immobilisation and simulation" in page.inner_text("main")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_are_accessible_and_fit(busy: tuple[Ois, dict[str, str]], page: Page, language: str) -> None:
    ois, keys = busy
    log_in(page, ois, "physician")
    page.goto(f"{ois.url}/language/{language}?next=/tasks")
    for name, path in (
        ("of-course", f"/courses/{keys['consent']}/processes"),
        ("tasks", "/tasks"),
        ("done", "/tasks/done"),
        ("board", "/board?whose=all"),
        ("form", f"/forms/of/{keys['consent']}/consent"),
        ("devices", "/devices"),
    ):
        page.goto(f"{ois.url}{path}")
        looked_at(page, f"{name}-{language}")
    page.goto(f"{ois.url}/courses/{keys['treatment']}/processes")
    page.locator("a[href*='/processes/running/']").first.click()
    looked_at(page, f"log-{language}")
    page.context.clear_cookies()
    log_in(page, ois, "physicist")
    page.goto(f"{ois.url}/language/{language}?next=/assignment")
    looked_at(page, f"assignment-{language}")


@pytest.mark.requirement("OIS-WORKFLOW")
def test_processes_and_forms_are_designed(busy: tuple[Ois, dict[str, str]], page: Page) -> None:
    ois, _keys = busy
    log_in(page, ois, "admin")
    page.goto(f"{ois.url}/processes")
    looked_at(page, "designs")
    page.click("text=Proton course")
    page.wait_for_selector("body[data-drawn=yes]")
    page.locator("[data-element-id=consent]").first.click(force=True)
    page.wait_for_selector("#fields:not([hidden])")
    assert page.input_value("#p-form") == "consent"
    looked_at(page, "draw")
    page.fill("#p-name", "Informed consent, signed")
    page.keyboard.press("Tab")
    page.click("#publish >> text=Publish")
    page.wait_for_selector("#verdict .message")
    assert "Version 2 is in use" in page.inner_text("#verdict")
    page.goto(f"{ois.url}/language/zh?next=/processes/draw/proton-course")
    page.wait_for_selector("body[data-drawn=yes]")
    assert page.locator("[data-element-id=lane-physician]").first.text_content() == "医生"
    page.locator("[data-element-id=contouring]").first.click(force=True)
    page.wait_for_selector("#fields:not([hidden])")
    assert (page.input_value("#p-name"), page.input_value("#p-zh")) == ("靶区勾画", "Contouring")
    page.fill("#p-name", "勾画靶区")
    page.keyboard.press("Tab")
    page.locator("#publish button[value=publish]").click()
    page.wait_for_selector("#verdict .message.good")
    kept = page.request.get(f"{ois.url}/processes/draw/proton-course/3.bpmn").text()
    assert 'name="Contouring" ptcs:zh="勾画靶区"' in kept
    assert 'name="Informed consent, signed" ptcs:zh="知情同意"' in kept
    page.goto(f"{ois.url}/processes/new")
    looked_at(page, "new-process")
    page.fill("#title_zh", "重离子疗程")
    page.fill("#name", "carbon-course")
    page.select_option("#like", "proton-course")
    page.click("text=开始绘制")
    page.wait_for_selector("body[data-drawn=yes]")
    page.locator("#publish button[value=publish]").click()
    page.wait_for_selector("#verdict .message.good")
    kept = page.request.get(f"{ois.url}/processes/draw/carbon-course/2.bpmn").text()
    assert 'id="carbon_course" name="重离子疗程"' in kept
    assert "ptcs:begins" not in kept, "a copy begins by hand"
    page.goto(f"{ois.url}/language/en?next=/processes/new")
    page.fill("#title", "Again")
    page.fill("#name", "carbon-course")
    page.click("text=Draw it")
    assert "already" in page.inner_text("[role=alert]")
    page.fill("#name", "small-course")
    page.click("text=Draw it")
    page.wait_for_selector("body[data-drawn=yes]")
    page.locator("#publish button[value=publish]").click()
    page.wait_for_selector("#verdict .message.good")
    page.goto(f"{ois.url}/processes")
    page.goto(f"{ois.url}/processes")
    page.click("text=Treatment sheet")
    page.wait_for_selector(".design-field")
    page.locator("[data-act=up]").nth(1).click()
    page.click("#publish >> text=Preview")
    page.wait_for_selector("#preview h3")
    looked_at(page, "designer")
    page.click("#publish >> text=Publish")
    page.wait_for_selector("#preview .message.good")
