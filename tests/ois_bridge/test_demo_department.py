"""`ptcs department seed`: a department of persons who do not exist."""

import html
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest
from click.testing import CliRunner

from common.state import StateDir
from ois_bridge.interfaces.desk import open_desk
from ptcs.cli import main
from simulation.hospital import people
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.test_accounts import Browser
from tests.ois_bridge.test_verify import verify

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")
ROLES = ("receptionist", "physician", "physicist", "therapist", "admin")
NO_PAGE = re.compile(r"/(logout|language|static|api)\b")


def seed(state: Path, *arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["department", "seed", *arguments, "--state", str(state)])
    return found.exit_code, found.output


@pytest.mark.slow
def test_department_is_believable(make_ois, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ois: Ois = make_ois()
    code, said = seed(ois.state, "24")
    assert code == 0, said
    assert ois.query("SELECT count(*) FROM patient") == [(24,)]
    outcomes = dict(ois.query("SELECT name, count(*) FROM task WHERE state = 'DONE' GROUP BY name"))
    assert {"consultation", "planning", "plan-check", "sheet-approval", "scheduling"} <= set(outcomes)
    states = dict(ois.query("SELECT state, count(*) FROM appointment GROUP BY state"))
    assert states["DONE"] > 20
    assert states["BOOKED"] > 20
    images_and_treatments_are_there(ois)
    assert ois.query("SELECT count(*) FROM patient WHERE phone <> ''") == [(0,)], "nobody is ever messaged"
    assert ois.query("SELECT count(*) FROM patient WHERE id_card NOT LIKE '990000%'") == [(0,)]
    assert seed(ois.state, "2")[0] == 0, "more of them"
    assert ois.query("SELECT count(*) FROM patient") == [(26,)]
    assert ois.query("SELECT count(*) FROM screen_notice") == [(3,)]
    assert verify(ois.state)[0] == 0
    pages = {role: walked(ois, role) for role in ROLES}
    assert {role: bad for role, (bad, _count) in pages.items() if bad} == {}
    assert all(count >= 8 for _bad, count in pages.values()), pages


def test_real_patients_stay_among_themselves(make_ois, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ois: Ois = make_ois()
    with ois.as_user("physician") as physician:
        for number in range(4):
            body = {
                "patient_id": f"R{number}",
                "name": f"Real^{number}",
                "birth_date": "19600101",
                "sex": "F",
            }
            assert physician.post("/patients", json=body).is_success
    code, said = seed(ois.state, "4")
    assert code == 1
    assert "4" in said
    assert ois.query("SELECT count(*) FROM patient") == [(4,)]


def test_without_an_ois_it_is_refused(tmp_path: Path) -> None:
    code, said = seed(tmp_path, "4")
    assert code == 1
    assert "no OIS runs" in said


@pytest.mark.slow
@pytest.mark.requirement("OIS-NOTIFY", "OIS-REGISTER")
def test_hospital_around_it_answers(make_ois, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = StateDir(tmp_path / "state")
    (state.root / "ois").mkdir(parents=True)
    own = "format: 1\n"
    (state.root / "ois" / "messages.yaml").write_text(own)
    with hospital(state):
        assert (state.root / "ois" / "messages.yaml").read_text() == own, "a file of somebody else stays"
    (state.root / "ois" / "messages.yaml").unlink()
    with hospital(state):
        ois: Ois = make_ois()
        assert seed(ois.state, "6")[0] == 0
        known = people.persons()[0]
        found = open_desk(state.root / "ois").his.find(known.hospital_number, "")
        assert found is not None
        assert found.name == known.family + known.given
        phones = ois.query("SELECT count(*) FROM contact WHERE phone <> '' AND phone NOT LIKE '100%'")
        assert phones == [(0,)], "no number that anybody has"
        wait(lambda: ois.query("SELECT count(*) FROM outgoing WHERE state = 'SENT'") > [(0,)])
        assert ois.query("SELECT count(*) FROM outgoing WHERE state = 'FAILED'") == [(0,)]
    assert not state.run_file("hospital").exists()


def images_and_treatments_are_there(ois: Ois) -> None:
    """One patient of seven has a scan, an approved plan, and the record of every fraction so far."""
    assert ois.query("SELECT state, count(*) FROM plan GROUP BY state") == [("APPROVED", 3)]
    assert ois.query("SELECT count(*) FROM prescription WHERE created_by = ''") == [(0,)]
    assert ois.query("SELECT count(*) FROM fraction_part WHERE flag <> ''") == [(0,)]
    treated = ois.query("SELECT count(*) FROM fraction WHERE state = 'DELIVERED'")
    assert treated == ois.query("SELECT count(*) FROM visit_delivery") != [(0,)]
    approved = "SELECT count(*) FROM fraction_part p JOIN approval a ON a.plan_uid = p.plan_uid"
    assert ois.query(f"{approved} WHERE p.started < a.time") == [(0,)], "no beam before the approval"


def walked(ois: Ois, role: str) -> tuple[list[str], int]:
    """Every kind of page that links lead a role to, once: those that do not answer well, and how many."""
    client = Browser(ois)
    client.client.headers["Accept-Language"] = "zh"
    assert client.log_in(role, ois.password(role)).status_code == 200
    bad, seen, todo = [], set[str](), ["/"]
    while todo:
        path = todo.pop(0)
        kind = re.sub(
            r"[0-9a-f]{16,}|DEMO-[0-9]+|[0-9.]{20,}|\d{4}-\d\d-\d\d|ROOM\d|(?<=year=)\d+", "*", path
        )
        if kind in seen or NO_PAGE.match(path):
            continue
        seen.add(kind)
        answer = client.get(path)
        if answer.status_code != 200:
            bad.append(f"{answer.status_code} {path}")
        if "html" in answer.headers["content-type"]:
            links = re.findall(r'href="([^"#]+)', html.unescape(answer.text))
            todo += [urljoin(path, link) for link in links if link.startswith(("/", "?"))]
    client.client.close()
    return bad, len(seen)


@contextmanager
def hospital(state: StateDir) -> Iterator[None]:
    """The simulated hospital of a state directory."""
    command = [sys.executable, "-m", "simulation.hospital", "--state", str(state.root)]
    process = subprocess.Popen(command)
    try:
        wait(state.run_file("hospital").exists)
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0


def wait(done: Callable[[], bool]) -> None:
    for _attempt in range(600):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("not within a minute")
