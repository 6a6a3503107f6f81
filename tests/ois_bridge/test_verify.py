"""`ptcs verify`: any changed, cut or removed entry is found."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ptcs.cli import main
from tests.ois_bridge.conftest import Ois

pytestmark = pytest.mark.requirement("SYS-AUDIT")


def verify(state: Path) -> tuple[int, str]:
    found = CliRunner().invoke(
        main, ["verify", "--state", str(state)], env={"COLUMNS": "200", "PTCS_LANG": "en"}
    )
    return found.exit_code, found.output


def test_any_changed_byte_is_found(make_ois: Callable[..., Ois]) -> None:
    ois = make_ois()
    ois.token("physician")
    assert verify(ois.state) == (0, verify(ois.state)[1])
    assert ois.stop() == 0
    log = ois.state / "ois/audit.log"
    whole = log.read_bytes()
    for place in range(5, len(whole) - 1, len(whole) // 40):
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert verify(ois.state)[0] == 1, f"byte {place}"
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    log.write_bytes(whole[:last])
    code, said = verify(ois.state)
    assert (code, "its end was cut" in said) == (1, True)
    log.write_bytes(whole)
    assert verify(ois.state)[0] == 0
    ois.query("UPDATE audit SET outcome = 'changed' WHERE number = 2")
    code, said = verify(ois.state)
    assert (code, "row 2" in said) == (1, True)


def test_folder_without_logs_is_refused(tmp_path: Path) -> None:
    code, said = verify(tmp_path)
    assert (code, "no log here" in said) == (1, True)
