"""Accounts as an administrator keeps them, passwords, and keys of other systems."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import Users, identity, ok, refused

pytestmark = pytest.mark.requirement("OIS-USERS")
NEW = "three blue horses run"


class Browser:
    """The pages as a browser uses them: cookies, and the token of the session in each form."""

    def __init__(self, ois: Ois) -> None:
        self.client = httpx.Client(base_url=ois.url, trust_env=False, timeout=60, follow_redirects=True)
        self.client.headers["Accept-Language"] = "en"

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, page: str, **fields: str | list[str]) -> httpx.Response:
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get(page).text)
        assert found
        return self.client.post(path, data={"csrf": found[1], **fields})

    def log_in(self, user: str, password: str) -> httpx.Response:
        return self.post("/login", "/login", user=user, password=password, next="/account")


@pytest.fixture
def browser(ois: Ois) -> Iterator[Callable[[], Browser]]:
    """New browsers without cookies."""
    opened: list[Browser] = []

    def opens() -> Browser:
        opened.append(Browser(ois))
        return opened[-1]

    yield opens
    for one in opened:
        one.client.close()


@pytest.fixture
def admin(ois: Ois, browser: Callable[[], Browser]) -> Browser:
    found = browser()
    assert found.log_in("admin", ois.password("admin")).status_code == 200
    return found


def created(admin: Browser, user: str, *roles: str) -> str:
    answer = admin.post("/accounts", "/accounts", user=user, full_name="Some Body", roles=list(roles))
    assert answer.status_code == 200, answer.text
    found = re.search(r'class="mono secret">([^<]+)<', answer.text)
    assert found
    return found[1]


def test_first_password_lets_one_do_nothing_but_change_it(
    ois: Ois, admin: Browser, browser: Callable[[], Browser], kind: str
) -> None:
    first = created(admin, f"anna.{kind}", "therapist")
    body = {"user": f"anna.{kind}", "password": first}
    refused(httpx.post(f"{ois.url}/api/v1/login", json=body, trust_env=False), 403, "change it")
    anna = browser()
    anna.log_in(f"anna.{kind}", first)
    assert "password of your own" in anna.get("/patients").text
    part = anna.client.get("/tasks/count", headers={"HX-Request": "true"})
    assert part.status_code == 403, "no part of a page takes the account page into itself"
    assert "/tasks/count" not in anna.get("/account").text, "no menu before the own password"
    weak = anna.post("/account/password", "/account", old=first, new="anna", again="anna")
    assert weak.status_code == 422
    assert "12 to 128" in weak.text
    common = anna.post("/account/password", "/account", old=first, new="password12345", again="password12345")
    assert "first that are tried" in common.text
    changed = anna.post("/account/password", "/account", old=first, new=NEW, again=NEW)
    assert changed.url.path == "/login"
    anna.log_in(f"anna.{kind}", NEW)
    assert anna.get("/patients").url.path == "/patients"
    assert anna.get("/accounts").status_code == 403, "a therapist does not see the accounts"


def test_closing_an_account_ends_its_sessions(
    admin: Browser, browser: Callable[[], Browser], kind: str
) -> None:
    first = created(admin, f"bert.{kind}", "physicist")
    bert = browser()
    bert.log_in(f"bert.{kind}", first)
    bert.post("/account/password", "/account", old=first, new=NEW, again=NEW)
    bert.log_in(f"bert.{kind}", NEW)
    assert bert.get("/account").url.path == "/account"
    done = admin.post(f"/accounts/bert.{kind}/roles", "/accounts", roles=["physicist"])
    assert done.status_code == 200
    assert bert.get("/account").url.path == "/login"
    assert "wrong" in bert.log_in(f"bert.{kind}", NEW).text


def test_last_administrator_stays(admin: Browser) -> None:
    answer = admin.post("/accounts/admin/roles", "/accounts", roles=["service"], active="yes")
    assert answer.status_code == 422
    assert "last administrator" in answer.text
    assert admin.get("/accounts").status_code == 200


def test_locked_account_is_unlocked(admin: Browser, browser: Callable[[], Browser], kind: str) -> None:
    user, first = f"carl.{kind}", created(admin, f"carl.{kind}", "therapist")
    for _attempt in range(5):
        browser().log_in(user, "wrong")
    assert "locked" in browser().log_in(user, first).text
    admin.post(f"/accounts/{user}/unlock", "/accounts")
    assert "password of your own" in browser().log_in(user, first).text


@pytest.mark.requirement("OIS-API")
def test_key_does_what_its_scopes_name_until_withdrawn(
    ois: Ois, admin: Browser, users: Users, case: Case
) -> None:
    ok(users["physician"].post("/patients", json=identity(case)))
    made = admin.post("/keys", "/keys", name="registry", days="30", scopes=["READ_PATIENTS"])
    found = re.search(r"ptcs_[\w-]+", made.text)
    assert found
    other = httpx.Client(
        base_url=f"{ois.url}/api/v1",
        headers={"Authorization": f"Bearer {found[0]}"},
        trust_env=False,
        timeout=60,
    )
    path = f"/patients/{case.patient.patient_id}"
    assert ok(other.get(path))["patient_id"] == case.patient.patient_id
    refused(other.post(f"{path}/courses", json={"name": "C", "diagnosis": "d"}), 403, "may not")
    key = re.findall(r"/keys/(\w+)/end", admin.get("/keys").text)[0]
    admin.post(f"/keys/{key}/end", "/keys")
    refused(other.get(path), 401, "withdrawn")
    never = admin.post("/keys", "/keys", name="x", days="30", scopes=["APPROVE_PLAN"])
    assert never.status_code == 422, "what only a person may do is no scope"
    other.close()


def test_rights_page_shows_the_table(admin: Browser) -> None:
    text = admin.get("/accounts/rights").text
    assert "approve plans" in text
    assert "receptionist" in text


def test_audit_of_permissions_tells_roles_keys_and_log_ins(
    ois: Ois, admin: Browser, browser: Callable[[], Browser], kind: str
) -> None:
    user = f"dora.{kind}"
    first = created(admin, user, "therapist")
    admin.post(f"/accounts/{user}/roles", "/accounts", roles=["therapist", "physicist"], active="yes")
    admin.post("/keys", "/keys", name=f"=sum(1) {kind}", days="30", scopes=["READ_PLAN"])
    with ois.as_user("admin") as rest:
        found = ok(rest.get("/permissions"))
        assert rest.get("/permissions").status_code == 200
    (dora,) = [one for one in found["people"] if one["user"] == user]
    assert [(one["role"], one["given_by"]) for one in dora["roles"]] == [
        ("physicist", "admin"),
        ("therapist", "admin"),
    ]
    assert dora["roles"][1]["since"] <= dora["roles"][0]["since"], "a role that stays keeps its date"
    assert (dora["last_log_in"], "SUBMIT_PLAN" in dora["rights"]) == ("", True)
    assert "PRESCRIBE" not in dora["rights"]
    (key,) = [one for one in found["systems"] if one["name"] == f"=sum(1) {kind}"]
    assert (key["scopes"], key["state"], key["created_by"]) == (["READ_PLAN"], "in use", "admin")
    table = admin.get("/accounts/audit.csv").text
    assert f"Account,{user},Some Body,must change the password,physicist," in table
    assert f",=sum(1) {kind}," not in table, "no cell is a formula"
    paper = admin.get("/accounts/audit.pdf")
    assert (paper.status_code, paper.content[:5]) == (200, b"%PDF-")
    assert user in admin.get("/accounts/audit").text
    with ois.as_user("physician") as rest:
        refused(rest.get("/permissions"), 403, "administrator")
    # an administrator gives a new password to who forgot theirs; it must be changed
    reset = admin.post(f"/accounts/{user}/password", "/accounts")
    fresh = re.search(r'class="mono secret">([^<]+)<', reset.text)
    assert fresh
    assert "wrong" in browser().log_in(user, first).text
    assert "password of your own" in browser().log_in(user, fresh[1]).text
    seen = ois.query('SELECT last_log_in FROM account WHERE "user" = :user', user=user)
    assert seen[0][0] is not None


@pytest.mark.requirement("OIS-API")
def test_body_that_is_no_text_is_refused_as_documented(ois: Ois, users: Users) -> None:
    answer = users["physician"].post(
        "/forms/search", content=b".\xfc", headers={"Content-Type": "application/json"}
    )
    refused(answer, 422, "JSON in UTF-8")
    described = ok(users["physician"].get("/openapi.json"))["paths"]["/api/v1/forms/search"]["post"]
    assert {"422", "503"} <= described["responses"].keys()
