"""Every path of the OIS, asked by somebody outside the care team: none shows a restricted patient.

The paths come from the application itself. A path with a key is asked with one key of everything that the
patient has, so that a new path is covered when it is made.
"""

import asyncio
import re
import subprocess
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from common import authority, site
from common.dicom.plan import PatientIdentity
from common.state import StateDir
from ois_bridge import application, process
from ois_bridge.interfaces.rest.routers import API
from ois_bridge.models import tables
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import Task
from ois_bridge.services import access, intake, patients, plans
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.demo import department
from ois_bridge.services.search import parts
from ois_bridge.web.routers import PAGES
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.workflow_steps import SECRET

pytestmark = [pytest.mark.requirement("SYS-ACCESS"), pytest.mark.requirement("OIS-USERS"), pytest.mark.slow]

WHO = PatientIdentity("UNSEEN-77", "Qwxyz^Unseenling=阒^龘靐", "19510304", "F")
NUMBERS = {
    "id_card": "110105195103049988",
    "hospital_number": "ZYUNSEEN",
    "barcode": "BCUNSEEN",
    "phone": "13987654321",
}
MARKS = ("UNSEEN", "Unseenling", "unseenling", "龘靐", "110105195103049988", "13987654321")
"""What only this patient has. The family name is what the searches ask for."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "code": ("en",), "kind": ("csv",), "number": ("1",),
    "deed": ("call",), "step": ("submit",),
    "event": ("INTERRUPT",), "name": ("proton-course",), "version": ("1",),
    "topics": ("tasks",), "device": ("ROOM1",), "day": ("today",), "state": ("open",),
    "domain": ("a",), "family": ("b",), "member": ("c",), "attribute": ("d",),
}  # fmt: skip
"""Values of places in paths that name no patient's thing; of others, 1."""

ENDLESS = ("/live/", "/screen/live")
OPENS = "/patients/{key}/open"
"""The way in for somebody in need: with a reason, audited."""


class Asker:
    """Somebody at the application of this process, with pages and with the REST interface."""

    def __init__(self, context: Context, user: str) -> None:
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(application.create(context))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        page = self.ask("GET", "/login").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
        form = {"csrf": page, "user": user, "password": SECRET, "next": "/account"}
        assert self.ask("POST", "/login", data=form).status_code == 303
        self._csrf = self.ask("GET", "/account").text.split('X-CSRF-Token": "', 1)[1].split('"', 1)[0]
        body = {"user": user, "password": SECRET}
        self._token = str(self.ask("POST", "/api/v1/login", json=body).json()["token"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return self._loop.run_until_complete(self._client.request(method, path, **content))

    def tried(self, method: str, path: str) -> httpx.Response:
        """The answer to a path as a page or another system asks for it."""
        if path.startswith("/api/"):
            headers = {"Authorization": f"Bearer {self._token}"}
            content = {} if method == "GET" else {"json": BODY}
            return self.ask(method, path, headers=headers, **content)
        if method == "GET":
            return self.ask(method, path)
        return self.ask(method, path, headers={"X-CSRF-Token": self._csrf}, data={**BODY, "text": "Qwxyz"})


BODY: Mapping[str, str] = {
    "text": "Qwxyz", "reason": "", "comment": "", "outcome": "agree", "password": SECRET, "device": "ROOM1",
    "code": "BCUNSEEN", "name": "Qwxyz", "birth_date": "1951-03-04", "event": "END",
}  # fmt: skip


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    root = tmp_path_factory.mktemp("restricted")
    place(root)
    built = process.build(StateDir(root), site.load())
    department.seed(built, Caller("admin", frozenset({"administrator"})), 6, 2)
    yield built
    built.close()


@pytest.fixture(scope="module")
def owned(means: Context) -> dict[str, list[str]]:
    """Table -> keys of what the patient has: the seeded one with the longest story, restricted."""
    with means.database.writing() as session:
        story = select(Course.patient_key).join(Task, Task.course_key == Course.key)
        longest = story.group_by(Course.patient_key).order_by(func.count().desc())
        booked = set(session.scalars(select(Appointment.course_key)))
        with_visits = set(session.scalars(select(Course.patient_key).where(Course.key.in_(booked))))
        key = next(one for one in session.scalars(longest) if one in with_visits)
        patient = session.get_one(Patient, key)
        patient.patient_id, patient.name = WHO.patient_id, WHO.name
        patient.birth_date, patient.sex = WHO.birth_date, WHO.sex
        for name, value in NUMBERS.items():
            setattr(patient, name, value)
        patient.pinyin, patient.initials = "unseenling", "ul"
        parts.put(session, patient)
        account = Account(
            user="outsider",
            full_name="Out Sider",
            password_hash=means.hasher.hash(SECRET),
            created=means.now(),
        )
        account.role_rows = [AccountRole(role=role) for role in authority.ROLES if role != "administrator"]
        session.add(account)
        physician = session.scalars(select(Account).where(Account.user == "physician")).one()
        physician.password_hash = account.password_hash
    case = replace(Case("RESTRICTED"), patient=WHO)
    both = Caller("insider", frozenset({"physician", "physicist"}))
    for ds in (*case.images(), case.plan(), case.dose()):
        intake.store(means, ds, "PTCS_TPS")
    with means.database.reading() as session:
        course = session.scalars(select(Course.key).where(Course.patient_key == key)).first()
    text = plans.prescribed.PrescriptionText("prostate", 2.0, 3, "constant 1.1", case.uid("structure set"))
    wish = patients.prescribe(means, both, str(course), text)
    plans.submit(means, Caller("planner", frozenset({"physicist"})), case.uid("plan"), wish.key)
    plans.approve(means, Caller("physician", frozenset({"physician"})), case.uid("plan"), SECRET)
    intake.store(means, case.record(1, whole=False), "PTCS_TCS")
    access.restrict(means, Caller("insider", frozenset({"physician"})), key, "a person in public life")
    with means.database.reading() as session:
        return _owned(session, key)


def _owned(session: Session, key: str) -> dict[str, list[str]]:
    """Follow the foreign keys from the patient."""
    found: dict[str, list[str]] = {"patient": [key]}
    for table in tables.metadata.sorted_tables:
        for constraint in table.foreign_keys:
            parent = found.get(constraint.column.table.name, [])
            addressed = len(table.primary_key.columns) == 1 and table.name not in ("restriction", "patient")
            if parent and addressed:
                rows = session.scalars(select(_key(table)).where(constraint.parent.in_(parent))).all()
                found.setdefault(table.name, []).extend(str(row) for row in rows)
    return {name: keys for name, keys in found.items() if keys}


def _key(table: Table) -> Any:
    return next(iter(table.primary_key.columns))


def paths() -> list[tuple[str, str]]:
    """Every method and path of the application."""
    found = []
    for prefix, routers in (("", PAGES), (application.API, API)):
        for router in routers:
            for route in router.routes:
                assert isinstance(route, APIRoute)
                found += [(method, prefix + route.path) for method in sorted(route.methods)]
    return found


def filled(path: str, keys: list[str], today: str) -> list[str]:
    """The path with each key of the patient, and the words it may have."""
    places = re.findall(r"{(\w+)}", path)
    choices = []
    for place in places:
        is_key = "key" in place or place.endswith(("_id", "_uid"))
        # one deed of each path stands for the others: what is looked at before them is the same
        words = [today if word == "today" else word for word in WORDS.get(place, ("1",))][:1]
        choices.append(keys if is_key else words)
    found = []
    for values in product(*choices):
        one = path
        for place, value in zip(places, values, strict=True):
            one = one.replace(f"{{{place}}}", value)
        found.append(one)
    return found


def text_of(answer: httpx.Response) -> str:
    """What a page, a table or a PDF says."""
    if not answer.content.startswith(b"%PDF-"):
        return answer.text
    read = subprocess.run(["pdftotext", "-", "-"], input=answer.content, capture_output=True, check=True)
    return read.stdout.decode()


@pytest.mark.timeout(1200)
def test_no_path_shows_a_restricted_patient(means: Context, owned: dict[str, list[str]]) -> None:
    assert {
        "course",
        "task",
        "appointment",
        "form_record",
        "plan",
        "fraction",
        "process_record",
    } <= owned.keys()
    keys = [WHO.patient_id, *(rows[0] for rows in owned.values())]
    today = f"{means.now().astimezone():%Y-%m-%d}"
    query = (
        f"?text=Qwxyz&search=Qwxyz&q=Qwxyz&patient={owned['patient'][0]}&patient_key={owned['patient'][0]}"
        f"&course={owned['course'][0]}&course_key={owned['course'][0]}&device=ROOM1&day={today}&from={today}"
    )
    shown = []
    with Asker(means, "outsider") as outsider:
        for method, path in paths():
            if path.startswith(ENDLESS) or path in (OPENS, "/logout", "/account/password"):
                continue
            for one in filled(path, keys, today):
                try:
                    answer = outsider.tried(method, one + (query if method == "GET" else ""))
                except Exception:  # noqa: BLE001 - whatever breaks is told with the others
                    shown.append(f"{method} {one}: {traceback.format_exc(limit=-3)}")
                    continue
                told = [mark for mark in MARKS if mark in text_of(answer) and mark not in one]
                picture = answer.headers.get("content-type", "").startswith(("image/", "application/zip"))
                if told or (picture and answer.status_code == 200 and "{" in path):
                    shown.append(f"{method} {one}: {answer.status_code} {told}")
    assert shown == [], "\n".join(shown)


def test_everybody_else_is_shown(means: Context, owned: dict[str, list[str]]) -> None:
    """The same marks are found where the caller is of the care team: the test above looks at what it says."""
    with means.database.reading() as session:
        course = session.get_one(Course, owned["course"][0])
    access.add_member(means, Caller("insider", frozenset({"physician"})), course.patient_key, "outsider")
    with Asker(means, "outsider") as outsider:
        for path in (f"/patients/{course.patient_key}", f"/api/v1/patients/{WHO.patient_id}"):
            assert "Unseenling" in outsider.tried("GET", path).text
