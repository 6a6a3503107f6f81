"""Designs of a new version are offered beside the department's own, and never put in their place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common import site
from common.errors import Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.application import create
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.services.context import Context
from ois_bridge.services.forms import designs as form_designs
from ois_bridge.services.workflow import designs, shipped
from ois_bridge.services.workflow.shipped import Folders
from tests.ois_bridge.workflow_steps import ADMIN, PHYSICIAN, SECRET, Browser, staff

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Context]:
    context = process.build(StateDir(tmp_path / "state"), site.load())
    yield context
    context.close()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A version of the software that ships one changed process and one changed form."""
    made = Folders(tmp_path / "processes", tmp_path / "forms")
    for source, target in ((designs.FOLDER, made.processes), (form_designs.FOLDER, made.forms)):
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    course = made.processes / "proton-course.bpmn"
    course.write_text(course.read_text().replace('dueHours="168"', 'dueHours="120"'))
    consent = made.forms / "consent.yaml"
    text = consent.read_text()
    consent.write_text(text.replace("required: true", "required: false", 1))
    assert text != consent.read_text()
    return made


def test_nothing_is_offered_at_first(means: Context) -> None:
    with means.database.reading() as session:
        assert shipped.offers(session) == []


def test_an_offer_is_compared_taken_or_declined(means: Context, folders: Folders) -> None:
    with means.database.reading() as session:
        found = {one.name: one for one in shipped.offers(session, folders)}
    assert set(found) == {"proton-course", "consent"}
    course, consent = found["proton-course"], found["consent"]
    changed = [text for sign, text in course.changes if sign in "+-"]
    assert len(changed) == 2
    assert "due h 168" in changed[0]
    assert "due h 120" in changed[1]
    with pytest.raises(Unauthorised):
        shipped.take(means, PHYSICIAN, "process", "proton-course", course.sha256, folders)
    assert shipped.take(means, ADMIN, "process", "proton-course", course.sha256, folders) == 2
    shipped.decline(means, ADMIN, "form", "consent", consent.sha256, folders)
    with means.database.reading() as session:
        assert shipped.offers(session, folders) == []
        assert designs.active(session, "proton-course").version == 2
        assert designs.version(session, "proton-course", 1).drawing
        assert form_designs.active(session, "consent").version == 1
    with pytest.raises(Refused, match="not offered any more"):
        shipped.take(means, ADMIN, "form", "consent", consent.sha256, folders)


def test_page(means: Context, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    staff(means)
    with means.database.writing() as session:
        row = Account(
            user="boss", full_name="boss", created=means.now(), password_hash=means.hasher.hash(SECRET)
        )
        row.role_rows = [AccountRole(role="administrator")]
        session.add(row)
    monkeypatch.setattr(shipped.Folders, "__init__", lambda self: _set(self, folders))
    with Browser(create(means)) as browser:
        before = browser.get("/login").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
        fields = {"csrf": before, "user": "boss", "password": SECRET, "next": "/processes"}
        token = browser.post("/login", fields).text.split('X-CSRF-Token": "', 1)[1].split('"', 1)[0]
        assert "2 designs of the new version are offered" in browser.get("/processes").text
        page = browser.get("/processes/shipped").text
        assert 'class="come"' in page
        path = page.split('action="/processes/shipped/process/', 1)[1].split('"', 1)[0]
        done = browser.post(f"/processes/shipped/process/{path}", {"csrf": token, "answer": "take"})
        assert "The new version is in use" in done.text
        assert browser.post(f"/processes/shipped/process/{path}", {"csrf": token}).status_code == 409
        browser.log_in("physician")
        assert browser.get("/processes/shipped").status_code == 403


def _set(self: Folders, like: Folders) -> None:
    object.__setattr__(self, "processes", like.processes)
    object.__setattr__(self, "forms", like.forms)
