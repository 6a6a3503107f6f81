"""Ten megabytes pasted: a clear message, and nothing that was typed is lost or silently cut."""

import pytest
from playwright.sync_api import Page

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_browser import fits, log_in, violations
from tests.ois_bridge.test_ois_access import Browser

pytestmark = pytest.mark.requirement("OIS-USERS")

LONG = 10 * 1024 * 1024


def test_server_says_what_is_too_long(ois: Ois) -> None:
    tab = Browser(ois)
    tab.log_in("physician")
    for language, words in (("en", "A field of this form is too long"), ("zh", "有一栏太长")):
        headers = {"Accept-Language": language}
        form = {"csrf": tab.token("/patients/new"), "address": "x" * LONG}
        answer = tab.http.post("/patients/new", data=form, headers=headers)
        assert (answer.status_code, words in answer.text) == (413, True), answer.text[:2000]
    tab.http.close()


@pytest.mark.browser
@pytest.mark.slow
def test_pasted_text_is_never_cut_and_typed_text_stays(page: Page, ois: Ois) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ois.url)
    log_in(page, ois, "physician")
    page.goto(f"{ois.url}/patients/new")
    page.fill("#diagnosis", "typed before")
    page.evaluate("size => navigator.clipboard.writeText('病'.repeat(size))", LONG)
    page.focus("#diagnosis")
    page.keyboard.press("Control+V")
    page.wait_for_selector("#told:has-text('Nothing was pasted')")
    assert page.input_value("#diagnosis") == "typed before"
    for width in (390, 1366):
        page.set_viewport_size({"width": width, "height": 800})
        assert violations(page) == []
        assert fits(page)
    page.evaluate("navigator.clipboard.writeText(', and this\\n')")
    page.keyboard.press("Control+V")
    assert page.input_value("#diagnosis").endswith("typed before, and this")
    # a field without a limit of its own: it is not sent, and all of it stands there still
    page.evaluate(
        """size => {
        const field = document.createElement('textarea');
        field.name = 'field without a limit';
        field.value = '病'.repeat(size);
        document.querySelector('form.registration').append(field);
    }""",
        LONG // 8,
    )
    page.evaluate("document.querySelector('form.registration').noValidate = true")
    page.evaluate("document.querySelector('form.registration').requestSubmit()")
    page.wait_for_selector("#told:has-text('Nothing was sent')")
    assert page.url.endswith("/patients/new")
    assert page.input_value("#diagnosis").endswith("typed before, and this")
    assert len(page.input_value("textarea[name^=field]")) == LONG // 8
