"""Nothing is half-stored: full disks, killed processes, cut logs; and how the process starts and stops."""

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from common import site
from common.errors import LinkLost, PtcsError, Refused, Tampered
from common.hashchain import verify
from common.links import dimse
from common.state import StateDir
from ois_bridge import process
from ois_bridge.models import tables
from ois_bridge.models.archive import DicomInstance
from ois_bridge.services import intake
from ois_bridge.services.context import Context
from tests.ois_bridge.conftest import Ois, launch
from tests.ois_bridge.ois_case import Case

pytestmark = pytest.mark.requirement("OIS-DICOM")


def build(root: Path) -> Context:
    return process.build(StateDir(root), site.load())


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Context]:
    built = build(tmp_path)
    yield built
    built.close()


def kept(means: Context) -> set[str]:
    with means.database.reading() as session:
        return {row.path for row in session.query(DicomInstance)}


def files(root: Path) -> set[str]:
    folder = root / "ois/dicom"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_revision_makes_the_tables_of_the_models(means: Context) -> None:
    with means.database.engine.connect() as connection:
        described = MigrationContext.configure(connection, opts={"include_name": tables.compared})
        assert compare_metadata(described, tables.metadata) == []


def test_store_is_kept_once(means: Context, tmp_path: Path) -> None:
    for ds in [*Case().ct(), *Case().ct()]:
        intake.store(means, ds, "PTCS_CT")
    assert len(kept(means)) == len(Case().ct())
    assert files(tmp_path) == kept(means)


def test_concurrent_stores_of_one_object(means: Context, tmp_path: Path) -> None:
    errors: list[Exception] = []

    def send() -> None:
        try:
            intake.store(means, Case().ct()[0], "PTCS_CT")
        except (PtcsError, OSError, SQLAlchemyError) as why:
            errors.append(why)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert files(tmp_path) == kept(means)
    assert len(kept(means)) == 1


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_full_disk_leaves_nothing(
    means: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    ds = Case().ct()[0]
    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr("ois_bridge.interfaces.file_store.tempfile.mkstemp", full)
        elif call == "fsync":
            patch.setattr("ois_bridge.interfaces.file_store.os.fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            intake.store(means, ds, "PTCS_CT")
    assert files(tmp_path) == kept(means) == set()
    intake.store(means, ds, "PTCS_CT")
    assert files(tmp_path) == kept(means) != set()


def test_commit_that_fails_removes_the_file(
    means: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(means.audit, "note", full)
        with pytest.raises(sqlite3.OperationalError):
            intake.store(means, Case().ct()[0], "PTCS_CT")
    assert files(tmp_path) == kept(means) == set()


CRASH = """
import os, sys
from pathlib import Path
from common import site
from common.links import dimse
from common.state import StateDir
from ois_bridge import process
from ois_bridge.interfaces.file_store import DiskFiles
from ois_bridge.services import intake
from tests.ois_bridge.ois_case import Case
root, where = Path(sys.argv[1]), sys.argv[2]
context = process.build(StateDir(root), site.load())
publish = DiskFiles.publish
def crash(self, staged, path):
    if where == "after":
        publish(self, staged, path)
    os.kill(os.getpid(), 9)
DiskFiles.publish = crash
intake.store(context, Case().ct()[0], "PTCS_CT")
"""


@pytest.mark.parametrize("where", ["before", "after"])
def test_kill_between_file_and_row_leaves_nothing(tmp_path: Path, where: str) -> None:
    import subprocess
    import sys

    child = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), where], check=False)
    assert child.returncode == -signal.SIGKILL
    assert len(files(tmp_path)) == 1, "the file stands, without its row"
    means = build(tmp_path)
    assert files(tmp_path) == kept(means) == set()
    intake.store(means, Case().ct()[0], "PTCS_CT")
    assert len(kept(means)) == 1
    means.close()


@pytest.mark.requirement("SYS-AUDIT")
def test_audit_chain_catches_up_and_notices_cuts(tmp_path: Path) -> None:
    means = build(tmp_path)
    intake.store(means, Case().ct()[0], "PTCS_CT")
    means.close()
    log = tmp_path / "ois/audit.log"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))  # as if killed between commit and chain
    build(tmp_path).close()
    assert log.read_text().splitlines(keepends=True) == lines
    assert verify(log) == len(lines)
    with closing(sqlite3.connect(tmp_path / "ois/ois.db")) as database:
        database.execute("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")
        database.commit()
    with pytest.raises(Tampered, match="rows were removed"):
        build(tmp_path)
    log.write_text("".join([lines[0], *lines[2:]]))
    with pytest.raises(Tampered, match="does not follow"):
        build(tmp_path)


@pytest.mark.requirement("SYS-LOOP")
def test_killed_process_keeps_what_it_acknowledged(make_ois: Callable[..., Ois], tmp_path: Path) -> None:
    first = make_ois()
    slices = Case().ct()
    first.store(slices[0], aet="PTCS_CT")

    def send() -> None:
        # the peer is killed in the middle: any number of the rest may be refused or lost
        try:
            first.store(*slices[1:], aet="PTCS_CT")
        except (LinkLost, Refused):
            return

    sending = threading.Thread(target=send)
    sending.start()
    first.process.kill()
    first.process.wait()
    sending.join()
    ports = ["--port", str(first.endpoint["port"]), "--dicom-port", str(first.endpoint["dicom_port"])]
    second = make_ois("state", *ports)
    assert second.url == first.url
    rows = {path for (path,) in second.query("SELECT path FROM dicom_instance")}
    assert rows == files(second.state)
    assert any(slices[0].SOPInstanceUID in path for path in rows)
    second.store(*slices, aet="PTCS_CT")
    assert len(files(second.state)) == len(slices)
    assert second.stop() == 0
    assert not (second.state / "run/ois.json").exists()
    assert verify(second.state / "ois/audit.log") >= len(slices)


@pytest.mark.parametrize("option", ["--port", "--dicom-port"])
def test_taken_port_is_a_clear_error(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        child = launch(tmp_path / "state", option, str(taken.getsockname()[1]))
        assert child.wait(120) == 2
    text = (tmp_path / "state/ois.log").read_text()
    assert "cannot start" in text
    assert "Traceback" not in text
    assert not (tmp_path / "state/run/ois.json").exists()


def test_runs_on_loopback_and_answers_health(ois: Ois) -> None:
    assert ois.endpoint["host"] == "127.0.0.1"
    assert ois.endpoint["pid"] == ois.process.pid != os.getpid()
    assert httpx.get(f"{ois.url}/api/v1/health", trust_env=False, timeout=30).json() == {"status": "ok"}


def test_many_short_visits_are_served(ois: Ois) -> None:
    """Places that were taken without a word do not shut others out."""
    for _visit in range(40):
        dimse.echo(ois.peer, "PTCS_CT")
