"""The database goes and comes back during work: a clear page, nothing half done, nothing typed lost."""

import html
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from common.state import StateDir
from ois_bridge import settings
from ois_bridge.models import database
from ois_bridge.models.database import Database
from ois_bridge.services import audit
from tests.ois_bridge.conftest import Ois, start
from tests.ois_bridge.ois_case import Case
from tests.ois_bridge.ois_steps import identity
from tests.ois_bridge.test_ois_access import Browser
from tests.postgres import Postgres

pytestmark = [pytest.mark.requirement("OIS-REGISTER"), pytest.mark.requirement("SYS-AUDIT")]

WRITERS = 3


@dataclass
class Breakable:
    """An OIS, and what takes its database away and brings it back."""

    ois: Ois
    gone: Callable[[], None]
    back: Callable[[], None]


@pytest.fixture
def breakable(kind: str, tmp_path: Path) -> Iterator[Breakable]:
    state = tmp_path / "state"
    server = Postgres() if kind == "postgresql" else None
    if server is not None:
        (state / "ois").mkdir(parents=True, mode=0o700)
        (state / "ois" / "server.yaml").write_text(f"database: {server.new_database()}\n")
    ois = start(state)
    path, away = state / "ois" / "ois.db", tmp_path / "moved.db"
    gone = server.halt if server is not None else lambda: path.rename(away)
    back = server.go if server is not None else lambda: away.rename(path)
    try:
        yield Breakable(ois, gone, lambda: back() and None)
        assert ois.stop() == 0
    finally:
        ois.process.kill()
        ois.process.wait()
        if server is not None:
            server.stop()


def hidden(page: str) -> dict[str, str]:
    """The fields that a page holds to be sent again."""
    form = page[page.index("<main") :]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def chained(state: Path) -> tuple[int, int]:
    """What the audit's rows and their chain say of each other. Raises Tampered."""
    own = Database(settings.load(StateDir(state)).database, migrate=False)
    try:
        return audit.compare(own, state / "ois" / "audit.log")
    finally:
        own.close()


def test_clear_page_and_nothing_typed_is_lost(breakable: Breakable, case: Case) -> None:
    ois = breakable.ois
    tab = Browser(ois)
    tab.log_in("physician")
    typed = {**identity(case), "birth_date": "1960-02-29", "source": "outpatient", "other_person": "1"}
    typed |= {"address": 'first line\nsecond "line" <b>', "csrf": tab.token("/patients/new")}
    breakable.gone()
    page = tab.http.get("/tasks", headers={"Accept-Language": "zh"})
    assert (page.status_code, "不能" in page.text or "无法" in page.text) == (503, True), page.text
    kept = tab.http.post("/patients/new", data=typed)
    assert kept.status_code == 503
    assert "What you typed is kept on this page" in kept.text
    assert hidden(kept.text) == typed
    again = tab.http.post("/patients/new", data=hidden(kept.text))
    assert again.status_code == 503
    script = tab.http.post("/patients/new", data=typed, headers={"HX-Request": "true"})
    assert (script.status_code, "Send again" in script.text) == (503, False)
    secret = {"csrf": typed["csrf"], "old": "x", "new": "correct horse", "again": "correct horse"}
    assert "horse" not in tab.http.post("/account/password", data=secret).text
    bare = httpx.get(f"{ois.url}/api/v1/patients", trust_env=False, timeout=60)
    assert bare.status_code == 401
    breakable.back()
    assert "The patient is registered." in tab.http.post("/patients/new", data=hidden(again.text)).text
    tab.http.close()
    of = "SELECT count(*) FROM patient WHERE patient_id = :id"
    assert ois.query(of, id=case.patient.patient_id) == [(1,)]
    assert case.patient.patient_id not in ois.log()


def test_what_was_answered_is_there_and_nothing_is_half_done(breakable: Breakable) -> None:
    ois = breakable.ois
    token = ois.token("physician")
    answers: dict[str, int] = {}
    over = threading.Event()

    def work(writer: int) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"{ois.url}/api/v1", headers=headers, trust_env=False, timeout=60) as rest:
            number = 0
            while not over.is_set():
                who = {"patient_id": f"G{writer}-{number}", "name": "Wei^Wang", "birth_date": "19600229"}
                answers[who["patient_id"]] = rest.post("/patients", json={**who, "sex": "M"}).status_code
                number += 1

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for _time in range(2):
        _until(lambda: sum(status == 201 for status in answers.values()) > 5 * WRITERS)
        breakable.gone()
        refused = sum(status == 503 for status in answers.values())
        _until(lambda before=refused: sum(status == 503 for status in answers.values()) > before + WRITERS)
        breakable.back()
        answers_before = sum(status == 201 for status in answers.values())
        _until(lambda before=answers_before: sum(s == 201 for s in answers.values()) > before + WRITERS)
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers.values()) <= {201, 503}
    there = {row[0] for row in ois.query("SELECT patient_id FROM patient")}
    assert {who for who, status in answers.items() if status == 201} <= there
    # a patient without its pieces of name is a half one; so is one without its entry in the audit trail
    half = "SELECT count(*) FROM patient WHERE NOT EXISTS (SELECT 1 FROM search_part WHERE patient_key = key)"
    assert ois.query(half) == [(0,)]
    entries = "SELECT count(*) FROM audit WHERE action = 'register patients' AND outcome = 'done'"
    assert ois.query(entries) == [(len(there),)]
    assert ois.stop() == 0
    rows, lacking = chained(ois.state)
    assert rows + lacking == ois.query("SELECT count(*) FROM audit")[0][0]


def _until(there: Callable[[], bool]) -> None:
    for _attempt in range(3000):
        if there():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def test_another_file_in_its_place_is_not_taken_for_the_database(tmp_path: Path) -> None:
    path, away = tmp_path / "ois #1.db", tmp_path / "away.db"
    own = Database(path)
    path.rename(away)
    path.touch()
    for session in (own.reading, own.writing):
        with pytest.raises(SQLAlchemyError, match="moved or replaced"), session() as opened:
            opened.execute(text("SELECT count(*) FROM patient"))
    assert path.read_bytes() == b""
    away.replace(path)
    with own.reading() as opened:
        assert opened.scalar(text("SELECT count(*) FROM patient")) == 0
    own.close()


def test_database_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    own = Database(tmp_path / "ois.db")
    other = sqlite3.connect(tmp_path / "ois.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    put = text("INSERT INTO data_version (name, number) VALUES ('x', 1)")
    with pytest.raises(SQLAlchemyError, match="locked"), own.writing() as session:
        session.execute(put)
    with own.reading() as session:
        session.execute(text("SELECT count(*) FROM patient"))
    other.execute("ROLLBACK")
    other.close()
    with own.writing() as session:
        session.execute(put)
    own.close()


def test_many_writers_come_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds the database for a while: together longer than one may wait for another program's."""
    monkeypatch.setattr(database, "BUSY_S", 0.3)
    own = Database(tmp_path / "ois.db")
    failed: list[SQLAlchemyError] = []

    def write(number: int) -> None:
        try:
            with own.writing() as session:
                session.execute(
                    text("INSERT INTO data_version (name, number) VALUES (:n, 1)"), {"n": f"w{number}"}
                )
                time.sleep(0.05)
        except SQLAlchemyError as why:
            failed.append(why)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    monkeypatch.setattr(database, "TURN_S", 0.05)
    with own.writing():
        late = threading.Thread(target=write, args=(99,))
        late.start()
        late.join()
    assert [type(why).__name__ for why in failed] == ["TimeoutError"]
    with own.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM data_version WHERE name LIKE 'w%'")) == 20
    own.close()
