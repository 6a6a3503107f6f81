"""`ptcs department seed`: a department of persons who do not exist."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ptcs.cli import main
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.test_verify import verify

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")


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
    assert ois.query("SELECT count(*) FROM patient WHERE phone <> ''") == [(0,)], "nobody is ever messaged"
    assert ois.query("SELECT count(*) FROM patient WHERE id_card NOT LIKE '990000%'") == [(0,)]
    assert seed(ois.state, "2")[0] == 0, "more of them"
    assert ois.query("SELECT count(*) FROM patient") == [(26,)]
    assert ois.query("SELECT count(*) FROM screen_notice") == [(3,)]
    assert verify(ois.state)[0] == 0


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
