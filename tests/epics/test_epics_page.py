"""The page for users of EPICS clients: its Python runs as it stands there."""

import re
from pathlib import Path

import pytest
from bench import wait_until
from click.testing import CliRunner

from device_servers.services.epics.login import log_in
from ptcs.cli import main
from tests.epics.epics_room import EpicsRoom

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "epics-clients.md"


@pytest.mark.requirement("ACS-EPICS")
def test_python_of_the_page_runs(epics_room: EpicsRoom, tmp_path: Path) -> None:
    find, read, write = re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "state").symlink_to(epics_room.state)
    code = f"import os; os.chdir({str(tmp_path)!r})\n{find}\n{read}\n"
    epics_room.client(code)
    dipole = epics_room.proxy("acs/magnet/ring-dipole")
    log_in(epics_room.state, epics_room.token("otto", "operator"))
    try:
        epics_room.client(f"{code}{write}\nsay(1)")
        wait_until(lambda: dipole.CurrentSetpoint == 400.0, "setpoint")
    finally:
        log_in(epics_room.state, "")


def test_logging_in_needs_a_facility(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["epics", "logout", "--state", str(tmp_path)])
    assert done.exit_code == 1 and "no facility runs" in done.output
