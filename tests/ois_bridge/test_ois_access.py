"""Who gets in, who does not, and what an outsider sees: nothing."""

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from common import authority, site
from common.errors import Unauthorised
from common.hashchain import entries
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain import lockout
from ois_bridge.services import accounts
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotLoggedIn
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, identity, ok, refused

pytestmark = pytest.mark.requirement("OIS-USERS")


class Clock:
    now = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def means(tmp_path: Path, clock: Clock) -> Iterator[Context]:
    """An OIS without its network, with a clock of ours."""
    built = process.build(StateDir(tmp_path), site.load())
    yield replace(built, now=clock)
    built.close()


def password(means: Context, tmp_path: Path, user: str) -> str:
    passwords = process._passwords(StateDir(tmp_path).demo_accounts, [])
    return passwords[user]


def test_wrong_passwords_lock_the_account(means: Context, clock: Clock, tmp_path: Path) -> None:
    right = password(means, tmp_path, "physician")
    for _attempt in range(lockout.LIMIT):
        with pytest.raises(Unauthorised, match="wrong"):
            accounts.log_in(means, "physician", "guess")
    with pytest.raises(Unauthorised, match="locked"):
        accounts.log_in(means, "physician", right)
    clock.now += lockout.CLOSED_FOR
    assert accounts.log_in(means, "physician", right).token
    outcomes = [
        entry["outcome"] for entry in entries(tmp_path / "ois/audit.log") if "log in" in entry["action"]
    ]
    assert outcomes == ["refused"] * (lockout.LIMIT + 1) + ["done"]


def test_right_password_clears_the_count(means: Context, tmp_path: Path) -> None:
    right = password(means, tmp_path, "physician")
    for _round in range(3):
        for _attempt in range(lockout.LIMIT - 1):
            with pytest.raises(Unauthorised, match="wrong"):
                accounts.log_in(means, "physician", "guess")
        accounts.log_in(means, "physician", right)


def test_unknown_name_reads_like_a_wrong_password(means: Context) -> None:
    with pytest.raises(Unauthorised) as unknown:
        accounts.log_in(means, "nobody", "guess")
    with pytest.raises(Unauthorised) as wrong:
        accounts.log_in(means, "physicist", "guess")
    assert str(unknown.value) == str(wrong.value)


def test_expired_token_is_refused(means: Context, clock: Clock, tmp_path: Path) -> None:
    token = accounts.log_in(means, "physicist", password(means, tmp_path, "physicist")).token
    assert accounts.bearer(means, token).roles == {"physicist"}
    clock.now += authority.LIFETIME
    for _again in range(3):
        with pytest.raises(NotLoggedIn, match="expired"):
            accounts.bearer(means, token)
    kept = [row for row in entries(tmp_path / "ois/audit.log") if row["action"] == "use a token"]
    assert [(row["user"], row["outcome"]) for row in kept] == [("physicist", "refused")]
    assert "expired" in kept[0]["detail"] and token not in str(kept)


def test_token_of_another_key_is_refused(means: Context, clock: Clock, tmp_path: Path) -> None:
    authority.new_key(tmp_path / "a.pem", tmp_path / "b.pem")
    forged = authority.issue(
        authority.load_private(tmp_path / "a.pem"), "physician", frozenset({"physician"}), clock.now
    )
    with pytest.raises(NotLoggedIn):
        accounts.bearer(means, forged)
    kept = entries(tmp_path / "ois/audit.log")[-1]
    assert (kept["user"], kept["action"], kept["outcome"]) == ("", "use a token", "refused")


def test_web_session_ends_after_idle_time(means: Context, clock: Clock, tmp_path: Path) -> None:
    secret = accounts.open_web_session(means, "therapist", password(means, tmp_path, "therapist"))
    clock.now += accounts.IDLE - timedelta(minutes=1)
    assert accounts.web_user(means, secret).caller.user == "therapist"
    clock.now += accounts.IDLE - timedelta(minutes=1)
    assert accounts.web_user(means, secret).caller.user == "therapist"
    clock.now += accounts.IDLE + timedelta(minutes=1)
    with pytest.raises(NotLoggedIn):
        accounts.web_user(means, secret)


def test_second_start_keeps_keys_accounts_and_passwords(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    first = process.build(state, site.load())
    first.close()
    kept = [state.signing_key.read_bytes(), state.demo_accounts.read_bytes()]
    second = process.build(state, site.load())
    assert accounts.log_in(second, "admin", password(second, tmp_path, "admin")).token
    second.close()
    assert [state.signing_key.read_bytes(), state.demo_accounts.read_bytes()] == kept
    assert state.signing_key.stat().st_mode & 0o077 == 0
    assert state.demo_accounts.stat().st_mode & 0o077 == 0


PRIVATE = [
    "/", "/patients", "/patients/new", "/patients/0123456789abcdef", "/courses/0123/prescribe",
    "/reports/0123.pdf?lang=en", "/api/v1/patients", "/api/v1/plans/1.2.3", "/api/v1/openapi.json",
    "/api/v1/reports/0123.pdf", "/api/v1/prescriptions/1", "/docs", "/openapi.json",
]  # fmt: skip


@pytest.mark.requirement("SYS-ACCESS")
@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_without_log_in(ois: Ois, path: str) -> None:
    answer = httpx.get(ois.url + path, trust_env=False, timeout=30)
    if path.startswith("/api"):
        assert answer.status_code == 401
        assert set(answer.json()) == {"error"}
    else:
        assert answer.status_code in (303, 404)
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.requirement("SYS-ACCESS")
def test_what_answers_without_log_in_is_harmless_and_guarded(ois: Ois) -> None:
    for path in ("/login", "/api/v1/health", "/api/v1/public-key", "/static/style.css"):
        answer = httpx.get(ois.url + path, trust_env=False, timeout=30)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
    rebound = httpx.get(f"{ois.url}/login", headers={"Host": "evil.example"}, trust_env=False, timeout=30)
    assert rebound.status_code == 400
    with socket.create_connection(("127.0.0.1", ois.endpoint["port"]), timeout=30) as link:
        link.sendall(b"POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 413 " in link.recv(100)


@pytest.mark.requirement("SYS-ACCESS")
def test_each_role_does_only_its_own(ois: Ois, users: Users, case: Case) -> None:
    refused(users["operator"].get("/patients"), 403, "operator may not")
    refused(users["therapist"].post("/patients", json=identity(case)), 403, "physician or physicist")
    description = ok(users["operator"].get("/openapi.json"))
    assert "/api/v1/plans/{sop_uid}/approve" in description["paths"]


@pytest.mark.requirement("SYS-PRIVACY")
def test_log_names_no_patient(ois: Ois, users: Users, case: Case) -> None:
    ok(users["physician"].post("/patients", json=identity(case)))
    ok(users["physician"].get(f"/patients/{case.patient.patient_id}"))
    users["physician"].post("/patients", json=identity(case))
    text = ois.log() + (ois.state / "ois/audit.log").read_text()
    for word in (case.patient.patient_id, "Zhang", "19600229", "1960-02-29"):
        assert word not in text


class Browser:
    """A browser's view: cookies, forms, their hidden fields."""

    def __init__(self, ois: Ois) -> None:
        self.ois = ois
        self.http = httpx.Client(base_url=ois.url, trust_env=False, timeout=60, follow_redirects=True)

    def token(self, path: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.http.get(path).text)
        assert found is not None
        return found[1]

    def log_in(self, user: str, password: str | None = None) -> httpx.Response:
        fields = {"csrf": self.token("/login"), "user": user, "password": password or self.ois.password(user)}
        return self.http.post("/login", data={**fields, "next": "/patients"})

    def send(self, path: str, page: str, **fields: str) -> httpx.Response:
        return self.http.post(path, data={"csrf": self.token(page), **fields})


@pytest.fixture
def tab(ois: Ois) -> Iterator[Browser]:
    made = Browser(ois)
    yield made
    made.http.close()


def test_cookie_is_closed_to_scripts_and_other_sites(tab: Browser) -> None:
    token = tab.token("/login")
    fields = {"csrf": token, "user": "therapist", "password": tab.ois.password("therapist"), "next": "/"}
    answer = tab.http.post("/login", data=fields, follow_redirects=False)
    assert answer.status_code == 303
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("ptcs_session="))
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_log_in_form_needs_its_token_and_goes_nowhere_else(tab: Browser) -> None:
    fields = {
        "user": "therapist",
        "password": tab.ois.password("therapist"),
        "next": "https://evil.example",
    }
    assert tab.http.post("/login", data=fields).status_code == 403
    answer = tab.http.post("/login", data={**fields, "csrf": tab.token("/login")}, follow_redirects=False)
    assert answer.headers["location"] == "/"
    assert tab.http.get("/language/zh?next=//evil.example", follow_redirects=False).headers["location"] == "/"


def test_form_without_its_token_does_nothing(tab: Browser, users: Users, case: Case) -> None:
    tab.log_in("physician")
    answer = tab.http.post("/patients/new", data=identity(case))
    assert answer.status_code == 403
    assert "not sent from a page" in answer.text
    forged = tab.http.post("/patients/new", data={**identity(case), "csrf": "x" * 43})
    assert forged.status_code == 403
    refused(users["physician"].get(f"/patients/{case.patient.patient_id}"), 404, "no such")


def test_logged_out_session_is_dead(tab: Browser) -> None:
    tab.log_in("therapist")
    stolen = dict(tab.http.cookies)
    assert tab.send("/logout", "/patients").url.path == "/login"
    again = httpx.get(f"{tab.ois.url}/patients", cookies=stolen, trust_env=False, timeout=30)
    assert again.status_code == 303


@pytest.mark.requirement("OIS-EMR")
def test_department_day_in_the_browser(tab: Browser, ois: Ois, users: Users, case: Case) -> None:
    """Registered, course, prescribed, submitted, approved and seen, with forms only."""
    ois.store(*case.images(), aet="PTCS_CT")
    tab.log_in("physician")
    # patients of other tests have this name and birth date: the form asks whether it is one of them
    typed = {**identity(case), "birth_date": "1960-02-29", "source": "outpatient", "other_person": "1"}
    page = tab.send("/patients/new", "/patients/new", **typed)
    assert "The patient is registered." in page.text
    patient = page.url.path
    page = tab.send(f"{patient}/courses", patient, name="Course 1", diagnosis="<script>alert(1)</script>")
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    found = re.search(r"/courses/\w+/prescribe", page.text)
    assert found is not None
    wish = {
        "target": "prostate", "dose_per_fraction": "2", "fractions": "3", "rbe_model": "constant 1.1",
        "structure_set_uid": case.uid("structure set"), "organ:bladder": "5",
    }  # fmt: skip
    wrong = tab.send(found[0], found[0], **{**wish, "fractions": "many"})
    assert wrong.status_code == 422
    assert 'value="many"' in wrong.text, "what was typed stays"
    page = tab.send(found[0], found[0], **wish)
    assert "2 Gy (RBE) × 3" in page.text
    ois.store(case.plan(), case.dose())
    uid, key = case.uid("plan"), patient.rsplit("/", 1)[1]
    page = tab.send(f"/plans/{uid}/submit", patient, patient=key)
    assert "this needs the role physicist" in page.text

    second = Browser(ois)
    second.log_in("physicist")
    choice = re.search(r'<option value="(\w{16})">prostate', second.http.get(patient).text)
    assert choice is not None
    page = second.send(f"/plans/{uid}/submit", patient, patient=key, prescription=choice[1])
    assert "The plan is submitted for approval." in page.text
    assert "Approve and sign" not in page.text, "a physicist sees no button to approve"
    second.http.close()

    page = tab.send(f"/plans/{uid}/approve", patient, patient=key, password="wrong")
    assert "User name or password is wrong." in page.text
    page = tab.send(f"/plans/{uid}/approve", patient, patient=key, password=ois.password("physician"))
    assert "The plan is approved and signed." in page.text
    assert case.plan().SOPInstanceUID == uid
    assert ok(users["therapist"].get(f"/plans/{uid}"))["state"] == "APPROVED"
    tab.http.get(f"/language/zh?next={patient}")
    chinese = tab.http.get(patient)
    assert 'lang="zh-CN"' in chinese.text
    assert "已批准" in chinese.text


@pytest.mark.requirement("OIS-SEARCH")
def test_search_finds_by_id_and_name(tab: Browser, ois: Ois, users: Users, case: Case) -> None:
    ok(users["physician"].post("/patients", json={**identity(case), "name": f"Ouyang^{case.tag}=欧阳^锋"}))
    tab.log_in("therapist")
    for wanted in (case.tag, case.tag[:6], "欧阳", f"{case.tag.lower()}="):
        assert case.tag in tab.http.get("/patients", params={"search": wanted}).text, wanted
    assert "No patient" in tab.http.get("/patients", params={"search": "%"}).text


def test_one_person_never_submits_and_approves(means: Context, tmp_path: Path) -> None:
    """An account with both roles is still two people short of one."""
    from ois_bridge.domain.registration import PatientEntry
    from ois_bridge.models.accounts import Account, AccountRole
    from ois_bridge.services import courses, intake, patients, plans, registration
    from ois_bridge.services.context import Caller

    case = Case("both")
    with means.database.writing() as session:
        found = next(a for a in session.query(Account) if a.user == "physician")
        found.role_rows.append(AccountRole(role="physicist"))
    both = Caller("physician", frozenset({"physician", "physicist"}))
    who = case.patient
    entry = PatientEntry(who.name, who.patient_id, who.birth_date, who.sex)
    registration.register(means, both, entry)
    for ds in (*case.images(), case.plan(), case.dose()):
        intake.store(means, ds, "PTCS_TPS")
    course = courses.add(means, both, who.patient_id, "C1", "")
    text = plans.prescribed.PrescriptionText("prostate", 2.0, 3, "constant 1.1", case.uid("structure set"))
    wish = patients.prescribe(means, both, course.key, text)
    plans.submit(means, both, case.uid("plan"), wish.key)
    with pytest.raises(Unauthorised, match="another physician"):
        plans.approve(means, both, case.uid("plan"), password(means, tmp_path, "physician"))
    assert entries(tmp_path / "ois/audit.log")[-1]["outcome"] == "refused"
