"""`ptcs verify`: any changed, cut or removed entry is found."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.authority import new_key
from common.hashchain import Rotation, closed_files, entries
from common.state import StateDir
from ois_bridge import settings
from ois_bridge.models.database import Database
from ois_bridge.services.audit import Audit
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


def test_a_changed_byte_in_an_old_file_of_the_audit_log_is_found(tmp_path: Path) -> None:
    keys = StateDir(tmp_path)
    new_key(keys.signing_key, keys.public_key)
    log = tmp_path / "ois/audit.log"
    database = Database(settings.load(keys).database)
    for _start in range(2):  # the second one goes on after several files
        audit = Audit(database, log, Rotation(size=1500))
        with database.writing() as session:
            for number in range(20):
                audit.note(session, datetime.now(UTC), "ann", "look", str(number), "done")
        audit.flush()
        audit.close()
    database.close()
    old = closed_files(log)
    assert len(old) > 3 and verify(tmp_path)[0] == 0
    assert [row["subject"] for row in entries(log)] == [str(number) for number in range(20)] * 2
    good = old[1].read_bytes()
    for place in (5, 70, len(good) // 2, len(good) - 5):
        old[1].write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        code, said = verify(tmp_path)
        assert (code, old[1].name in said) == (1, True), said
    old[1].unlink()
    code, said = verify(tmp_path)
    assert (code, f"{old[1].name} is missing" in said) == (1, True), said


def test_folder_without_logs_is_refused(tmp_path: Path) -> None:
    code, said = verify(tmp_path)
    assert (code, "no log here" in said) == (1, True)
