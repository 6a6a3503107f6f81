"""What the machine tells the OIS, and that `ptcs verify` finds what was cut from any log."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from common import authority, site
from common.files import write_atomic
from common.hashchain import ChainLog, entries
from common.seals import ANCHOR, SEALS, Sealer
from common.state import StateDir
from ois_bridge import process
from ois_bridge.services import machine
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotLoggedIn
from ptcs.cli import main


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateDir:
    made = StateDir(tmp_path_factory.mktemp("access"))
    authority.new_key(made.machine_key, made.machine_public_key)
    return made


@pytest.fixture(scope="module")
def ois(state: StateDir) -> Iterator[Context]:
    context = process.build(state, site.load())
    yield context
    context.close()


def signed(state: StateDir, **told: object) -> str:
    return authority.sign(authority.load_private(state.machine_key), told)


def verified(state: StateDir) -> tuple[int, str]:
    done = CliRunner().invoke(
        main, ["verify", "--state", str(state.root)], env={"PTCS_LANG": "en", "COLUMNS": "250"}
    )
    return done.exit_code, done.output


@pytest.mark.requirement("SYS-ACCESS")
def test_the_ois_keeps_what_the_machine_signs_once_and_nothing_else(
    state: StateDir, ois: Context, tmp_path: Path
) -> None:
    rows = [
        {"number": 1, "time": 1.8e9, "what": "used", "user": "anna", "reason": "network is down"},
        {"number": 2, "time": 1.8e9 + 1, "what": "over", "user": "", "reason": "the OIS answers again"},
    ]
    assert machine.take(ois, signed(state, kind="break-glass", entries=rows)) == 2
    assert machine.take(ois, signed(state, kind="break-glass", entries=rows)) == 0
    kept = [row for row in entries(state.root / "ois/audit.log") if row["action"] == "break-glass"]
    assert [row["user"] for row in kept] == ["machine"] * 2 and "user: anna" in kept[0]["detail"]
    authority.new_key(tmp_path / "a.pem", tmp_path / "b.pem")
    forged = authority.sign(
        authority.load_private(tmp_path / "a.pem"), {"kind": "break-glass", "entries": rows}
    )
    ois_key = authority.sign(ois.signing_key, {"kind": "break-glass", "entries": rows})
    for wrong in (forged, ois_key, "nonsense"):
        with pytest.raises(NotLoggedIn):
            machine.take(ois, wrong)
    assert [row["outcome"] for row in entries(state.root / "ois/audit.log")[-3:]] == ["refused"] * 3


@pytest.mark.requirement("SYS-AUDIT")
def test_verify_names_what_was_cut_even_when_the_seals_were_cut_with_it(
    state: StateDir, ois: Context
) -> None:
    path, seals = state.audit("ring"), state.root / SEALS
    log, sealer = ChainLog(path), Sealer(state.root, time.time)
    for number in range(3):
        log.append({"what": "CurrentSetpoint", "value": str(number)})
        sealer.look()
    log.close()
    sealer.close()
    head = sealer.head
    assert machine.take(ois, signed(state, kind="seals", entries=head.entries, head=head.head)) == 1
    assert [r["action"] for r in entries(state.root / "ois/audit.log")][-1] == ANCHOR
    assert verified(state)[0] == 0, verified(state)[1]
    good, sealed = path.read_bytes(), seals.read_bytes()
    write_atomic(path, b"".join(good.splitlines(keepends=True)[:-1]))
    code, said = verified(state)
    assert code == 1 and "ring.log line 2 with 2 entries, and 3 were sealed" in said
    write_atomic(seals, b"".join(sealed.splitlines(keepends=True)[:-1]))
    code, said = verified(state)
    assert code == 1 and "audit/ring.log" in said and "seals.log line" in said and "1 of" in said
    write_atomic(seals, sealed)
    path.unlink()
    code, said = verified(state)
    assert code == 1 and "the log is missing, and 3 entries of it were sealed" in said
    write_atomic(path, good.replace(b'"value":"1"', b'"value":"7"'))
    code, said = verified(state)
    assert code == 1 and "ring.log line 2 does not follow" in said
    write_atomic(path, good)
    assert verified(state)[0] == 0
