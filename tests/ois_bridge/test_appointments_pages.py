"""The sheet over HTTP: pages, dialogs, paper, and the REST interface, on a running OIS."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

import httpx
import pytest

from tests.ois_bridge import appointments_case as department
from tests.ois_bridge.appointments_case import Made, at
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_steps import ok, refused

pytestmark = pytest.mark.requirement("OIS-SCHEDULE")


@pytest.fixture(scope="module")
def day(ois: Ois) -> date:
    with department.into(ois.state) as session:
        return department.workday(session, datetime.now().date(), 40)


@pytest.fixture
def made(ois: Ois, request: pytest.FixtureRequest) -> Made:
    with department.into(ois.state) as session:
        return department.patient(session, abs(hash(request.node.nodeid)) % 90000)


@contextmanager
def browser(ois: Ois, user: str) -> Iterator[httpx.Client]:
    """A browser of a logged-in user; its token goes with every form."""
    with httpx.Client(base_url=ois.url, trust_env=False, timeout=60, follow_redirects=False) as client:
        page = client.get("/login?lang=en").text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        form = {
            "user": user,
            "password": ois.password(user),
            "csrf": token[1],
            "next": "/",
        }
        assert client.post("/login", data=form).status_code == 303
        found = re.search(r'X-CSRF-Token": "([^"]+)"', client.get("/appointments/calendar?lang=en").text)
        assert found is not None
        client.headers.update({"X-CSRF-Token": found[1], "Accept-Language": "en"})
        yield client


@pytest.fixture
def desk(ois: Ois) -> Iterator[httpx.Client]:
    """The front desk."""
    with browser(ois, "receptionist") as client:
        yield client


@pytest.fixture
def rest(ois: Ois) -> Iterator[httpx.Client]:
    with ois.as_user("receptionist") as client:
        yield client


def body(made: Made, start: datetime, **changes: object) -> dict[str, object]:
    return {
        "device": "ROOM1", "kind": "treatment", "start": start.isoformat(), "minutes": 20,
        "course_id": made.course, "particle": "proton", "fraction": 1, **changes,
    }  # fmt: skip


def test_rest_books_moves_and_cancels(ois: Ois, rest: httpx.Client, made: Made, day: date) -> None:
    booked = ok(rest.post("/appointments", json=body(made, at(day, 9))))
    assert (booked["state"], booked["revision"]) == ("BOOKED", 1)
    listed = ok(rest.get("/appointments", params={"day": day.isoformat(), "device": "ROOM1"}))
    assert booked["id"] in [row["id"] for row in listed]
    assert [
        row["id"] for row in ok(rest.get("/appointments", params={"patient_id": booked["patient_id"]}))
    ] == [booked["id"]]
    path = f"/appointments/{booked['id']}"
    moved = ok(rest.patch(path, json={"start": at(day, 10).isoformat(), "revision": 1}))
    assert (moved["device"], moved["revision"]) == ("ROOM1", 2)
    refused(rest.patch(path, json={"start": at(day, 11).isoformat(), "revision": 1}), 409, "in the meantime")
    refused(rest.patch(path, json={"start": at(day, 3).isoformat()}), 409, "is open")
    refused(rest.patch(path, json={}), 422, "Either")
    assert ok(rest.patch(path, json={"cancel": "ill"}))["state"] == "CANCELLED"
    refused(rest.patch(path, json={"cancel": "ill"}), 409, "cancelled")


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"start": "2026-11-30T09:00:00"}, 422, "zone"),
        ({"start": "9999-12-31T23:59:59Z"}, 422, "zone"),
        ({"start": "2020-01-06T09:00:00Z"}, 409, "past"),
        ({"minutes": 0}, 422, "minutes"),
        ({"device": "NOWHERE"}, 409, "no device NOWHERE"),
        ({"kind": "party"}, 422, "kind"),
        ({"course_id": "nothing"}, 404, "no such entry"),
        ({"note": "x" * 300}, 422, "note"),
    ],
)
def test_rest_refuses_what_cannot_be(
    rest: httpx.Client, made: Made, day: date, changes: dict[str, object], status: int, text: str
) -> None:
    refused(rest.post("/appointments", json=body(made, at(day, 15)) | changes), status, text)


def test_rights_over_rest(ois: Ois, made: Made, day: date) -> None:
    with ois.as_user("physician") as client:
        refused(client.post("/appointments", json=body(made, at(day, 9))), 403, "book appointments")
        assert isinstance(ok(client.get("/appointments")), list)
    with ois.as_user("operator") as client:
        refused(client.get("/appointments"), 403, "read appointments")


def test_the_sheet_shows_books_and_moves(ois: Ois, desk: httpx.Client, made: Made, day: date) -> None:
    form = {
        "device": "ROOM2", "kind": "treatment", "start": f"{day.isoformat()}T13:00", "minutes": "20",
        "course": made.course, "particle": "carbon", "fraction": "", "note": "",
    }  # fmt: skip
    assert desk.post("/appointments", data=form, headers={"X-Fragment": "1"}).status_code == 204
    page = desk.get(f"/appointments?day={day.isoformat()}&colour=doctor").text
    key = re.search(r'href="/appointments/([0-9a-f]{16})" data-key="\1" data-revision="1" draggable', page)
    assert key is not None
    path = f"/appointments/{key[1]}"
    assert "fraction 1" in desk.get(path, headers={"X-Fragment": "1"}).text
    bad = {"device": "ROOM2", "start": f"{day.isoformat()}T23:00", "revision": "1"}
    answer = desk.post(f"{path}/move", data=bad, headers={"X-Fragment": "1"})
    assert answer.status_code == 409
    assert "is open 08:00–20:00" in answer.text
    good = {**bad, "start": f"{day.isoformat()}T14:00"}
    assert desk.post(f"{path}/move", data=good, headers={"X-Fragment": "1"}).status_code == 204
    again = desk.post("/appointments", data=form | {"start": f"{day.isoformat()}T15:00"})
    assert again.status_code == 409
    assert "at least 18 h apart" in again.text
    assert "data-now" not in page
    assert re.search(r'data-now="\d+"', desk.get("/appointments?view=day").text)
    assert f'action="{path}/move"' in desk.get(path).text
    assert desk.post(f"{path}/cancel", data={"reason": "ill"}).status_code == 303
    over = desk.get(path).text
    assert "moved or cancelled no more: its state is cancelled" in over
    assert f'action="{path}/move"' not in over
    gathered = desk.post(f"/appointments/day/{day.isoformat()}/gather")
    assert (gathered.status_code, "?added=" in gathered.headers["location"]) == (303, True)
    assert re.search(
        "courses are on the list now|No course was added", desk.get(gathered.headers["location"]).text
    )


def test_wishes_are_asked_about_once(ois: Ois, desk: httpx.Client, made: Made, day: date) -> None:
    course = {
        "course": made.course, "device": "ROOM3", "particle": "proton", "minutes": "20",
        "first": day.isoformat(), "count": "1", "fraction": "1", "pattern": "five", "preferred": "16:00",
        "earliest": "15:00",
    }  # fmt: skip
    answer = desk.post("/appointments/course", data=course)
    assert answer.status_code == 303
    shown = desk.get(answer.headers["location"]).text
    assert f"{day.isoformat()} 16:00" in shown
    assert desk.post(f"{answer.headers['location']}/discard", data={}).status_code == 303
    form = {
        "device": "ROOM3", "kind": "treatment", "start": f"{day.isoformat()}T08:30", "minutes": "20",
        "course": made.course, "particle": "proton",
    }  # fmt: skip
    warned = desk.post("/appointments", data=form)
    assert warned.status_code == 409
    assert "from 15:00 on" in warned.text
    assert desk.post("/appointments", data={**form, "anyway": "1"}).status_code == 303


def test_paper_in_both_languages(ois: Ois, desk: httpx.Client, day: date) -> None:
    for view in ("day", "week"):
        for lang in ("en", "zh"):
            answer = desk.get(f"/appointments/sheet.pdf?day={day.isoformat()}&view={view}&lang={lang}")
            assert answer.status_code == 200
            assert answer.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    "query", ["day=nonsense", "view=year", "devices=NOWHERE", "colour=pink", "day=0001-01-01"]
)
def test_addresses_that_mean_nothing_are_refused(desk: httpx.Client, query: str) -> None:
    assert desk.get(f"/appointments?{query}").status_code == 422


def test_a_form_from_elsewhere_is_refused(desk: httpx.Client) -> None:
    assert desk.post("/appointments", data={}, headers={"X-CSRF-Token": "stolen"}).status_code == 403


def test_the_administrator_edits_hours_and_sees_no_patient(ois: Ois, made: Made, day: date) -> None:
    with department.into(ois.state) as session:
        department.put(session, made, "ROOM1", at(day, 18))
        name = session.get_one(department.Patient, made.patient).name.replace("^", "")
    with browser(ois, "admin") as client:
        assert client.get("/appointments").status_code == 403
        assert client.get("/appointments/fault").status_code == 403
        form = {"day": day.isoformat(), "kind": "holiday", "name": "outing", "year": str(day.year)}
        assert client.post("/appointments/calendar/day", data=form).status_code == 303
        page = client.get(f"/appointments/calendar?year={day.year}").text
        assert "outing" in page
        assert "do not fit hours, holidays or periods" in page
        assert name not in page
        assert client.post("/appointments/calendar/remove-day", data=form).status_code == 303
        bad = {"device": "ROOM1", "hours1": "8 to 5", "capacity": "5", "active": "1"}
        answer = client.post("/appointments/calendar/device", data=bad)
        assert answer.status_code == 422
        assert "“8 to 5” is none" in answer.text
        period = {
            "device": "ROOM1", "effect": "forbidden", "purpose": "maintenance", "weekday3": "1",
            "from": "12:00", "to": "13:00",
        }  # fmt: skip
        assert client.post("/appointments/calendar/period", data=period).status_code == 303
        assert "Wed 12:00–13:00" in client.get("/appointments/calendar").text
        assert client.post("/appointments/calendar/period", data={**period, "to": ""}).status_code == 422


def test_the_sheet_is_shown_as_it_was_seen_last(ois: Ois, day: date) -> None:
    with browser(ois, "therapist") as client:
        assert 'class="sheet cols3"' in client.get("/appointments").text
        address = f"/appointments?day={day.isoformat()}&view=week&devices=ROOM2&colour=state"
        assert 'class="sheet cols5"' in client.get(address).text
        again = client.get("/appointments").text
        assert 'class="sheet cols5"' in again
        assert '<option value="week" selected>' in again
        client.cookies.clear("127.0.0.1", "/appointments")
        client.cookies.set("ptcs_sheet", '"view=x&devices=NOWHERE&colour=pink"', path="/appointments")
        assert 'class="sheet cols3"' in client.get("/appointments").text
    with browser(ois, "physician") as client:
        assert 'name="mine" value="1" checked' in client.get("/appointments").text
