"""Pages of the department's day in a real browser: merge, downtime, faces, pictures, the hall's screen."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.models.clinical import Patient
from ois_bridge.services.appointments import book
from tests.ois_bridge import appointments_case as case
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import PICTURES, looked_at, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requirement("OIS-REGISTER", "OIS-QUEUE")]


def people(ois: Ois) -> list[str]:
    """Three patients with visits of today and one missed yesterday; the keys of the patients."""
    now = datetime.now(UTC)
    start = max(now - timedelta(hours=3), case.at(book.day_of(now), 0))
    with case.into(ois.state) as session:
        made = [case.patient(session, number) for number in range(3)]
        for number, one in enumerate(made):
            case.put(session, one, "ROOM1", start + timedelta(minutes=20 * number), fraction=3)
        case.put(
            session, made[0], "ROOM2", now - timedelta(days=1), fraction=2, state=AppointmentState.MISSED
        )
        double = session.get_one(Patient, made[1].patient)
        double.birth_date = "19610101"
        return [one.patient for one in made]


def picture(folder: Path) -> Path:
    """An animation of three frames."""
    frames = []
    for number in range(3):
        frame = Image.new("RGB", (960, 600), (6, 60 + 30 * number, 90))
        ImageDraw.Draw(frame).ellipse((300 + 60 * number, 150, 600 + 60 * number, 450), fill=(255, 213, 74))
        frames.append(frame)
    kept = io.BytesIO()
    frames[0].save(kept, "GIF", save_all=True, append_images=frames[1:], duration=300)
    path = folder / "hall.gif"
    path.write_bytes(kept.getvalue())
    return path


def test_pages_of_the_day(make_ois: Callable[..., Ois], chromium: Browser, tmp_path: Path) -> None:
    ois = make_ois()
    keys = people(ois)
    desk = opened(chromium, ois, "receptionist", "zh")
    _downtime(desk, ois)
    _merged(desk, ois, keys)
    desk.goto(f"{ois.url}/patients/{keys[0]}/features")
    looked_at(desk, "features")
    admin = opened(chromium, ois, "admin", "zh")
    _pictures(admin, ois, picture(tmp_path))
    admin.goto(f"{ois.url}/processes/shipped")
    looked_at(admin, "shipped")
    _hall(admin, ois)


def _downtime(page: Page, ois: Ois) -> None:
    page.goto(f"{ois.url}/appointments?view=day")
    expect(page.locator("#sheet-left")).to_contain_text("爽约未重约")
    looked_at(page, "sheet")
    page.goto(f"{ois.url}/downtime")
    page.locator("select[name^=outcome]").first.focus()
    page.keyboard.press("ArrowDown")
    page.locator("button[accesskey=r]").focus()
    page.keyboard.press("Enter")  # by keyboard alone
    expect(page.locator(".message.good")).to_contain_text("已补录 1 次")
    looked_at(page, "downtime")


def _merged(page: Page, ois: Ois, keys: list[str]) -> None:
    page.goto(f"{ois.url}/patients/{keys[0]}/merge")
    page.fill("#text", "S00001")
    page.keyboard.press("Enter")
    page.click("text=比较")
    looked_at(page, "merge")
    page.check(f"input[name=stays][value='{keys[0]}']")
    page.fill("#reason", "重复登记")
    page.click("form.card button.primary")
    expect(page.locator(".message.bad")).to_contain_text("请核对本人")
    page.check(f"input[name=stays][value='{keys[0]}']")
    page.check("input[name=sure]")
    page.click("form.card button.primary")
    expect(page.locator(".message.good")).to_contain_text("病案已合并")
    page.goto(f"{ois.url}/patients/{keys[1]}")
    assert page.url.split("?")[0].endswith(keys[0])
    page.goto(f"{ois.url}/patients/{keys[0]}/merge")
    looked_at(page, "merges")
    page.click("text=撤销合并")
    expect(page.locator(".message.good")).to_contain_text("已撤销合并")


def _pictures(page: Page, ois: Ois, path: Path) -> None:
    page.goto(f"{ois.url}/screens/pictures")
    page.fill("#name", "射束")
    page.set_input_files("#picture", path)
    page.click("form button.primary")
    expect(page.locator(".picture-row")).to_have_count(1)
    looked_at(page, "pictures")


def _hall(page: Page, ois: Ois) -> None:
    page.goto(f"{ois.url}/screens")
    page.fill("#name", "大厅")
    page.select_option("#kind", "hall")
    page.click("form.fields button.primary")
    page.click("form[action$='/pair'] button")
    page.wait_for_url("**/screen/hall")
    for width, height in ((1920, 1080), (1366, 768), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator(".pictures img.now")).to_be_visible()
        page.wait_for_function("document.querySelector('.pictures img').naturalWidth === 960")
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/hall-{width}.png")
