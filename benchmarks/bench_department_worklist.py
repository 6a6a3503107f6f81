"""The to-do page with 50 people working among a million patients, on SQLite and on PostgreSQL.

A real OIS process serves; 50 people with accounts of their own, of four roles, open their to-do list, search
it, look for a patient, open a record, take a task and give it back, and think in between (THINK_S on average,
exponential: 50 / THINK_S pages a second). One JSON line a database: `ours` is the 95th percentile of to-do
pages in seconds of waiting, with this client on the same cores. There is no peer; the median of all pages
stands beside it, and the processor time of the OIS (and of PostgreSQL's processes) for a page of this mix.
`python -m benchmarks.bench_department_worklist [PATIENTS [SECONDS]]`
"""

import asyncio
import json
import os
import random
import re
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from sqlalchemy import select
from sqlalchemy.engine import make_url

from benchmarks.department_fill import fill
from common.files import read_json
from common.state import StateDir
from ois_bridge import settings
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.database import Database
from tests.postgres import Postgres

PEOPLE, THINK_S, TASKS = 50, 3.0, 10_000
WARM_S = 12.0
"""Everybody logs in at once first; what follows within this time is not counted."""
ROLES = ("physician", "physicist", "therapist", "receptionist")
STEPS = {
    "physician": (
        "sheet-approval",
        "Approval of the treatment sheet",
        "治疗单审批",
        "decide",
        "treatment-sheet",
    ),
    "physicist": ("planning", "Planning", "计划设计", "decide", "plan-request"),
    "therapist": ("simulation", "Immobilisation and simulation", "制模定位", "decide", "simulation-sheet"),
    "receptionist": ("scheduling", "Scheduling", "治疗安排", "do", ""),
}


def add_tasks(raw: sqlite3.Connection) -> None:
    """TASKS open tasks of running processes, shared out among the roles."""
    made, late = (sql_time(datetime.now(UTC) - timedelta(days=days)) for days in (4, 3))
    courses = [key for (key,) in raw.execute("SELECT key FROM course LIMIT ?", (TASKS,))]
    for number, course in enumerate(courses):
        role = ROLES[number % len(ROLES)]
        step, title, title_zh, deed, form = STEPS[role]
        process = secrets.token_hex(8)
        values: dict[str, Any] = {
            "key": process, "course_key": course, "name": "proton-course", "version": 1, "state": "{}",
            "created": made, "created_by": "fill",
        }  # fmt: skip
        insert(raw, "process_record", values)
        values = {
            "key": secrets.token_hex(8), "process_key": process, "course_key": course, "name": step,
            "title": title, "title_zh": title_zh, "role": role, "assignee": "", "form_kind": form,
            "deed": deed, "state": "TO_DO", "outcome": "", "comment": "", "created": made,
            "due": late, "done_by": "",
        }  # fmt: skip
        insert(raw, "task", values)


def sql_time(moment: datetime) -> str:
    """A time as the tables keep it."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def insert(raw: sqlite3.Connection, table: str, values: dict[str, Any]) -> None:
    """One row; columns that the table has besides are left to their defaults."""
    columns = {row[1]: row for row in raw.execute(f"PRAGMA table_info({table})")}
    for name, row in columns.items():
        if name not in values and row[3] and row[4] is None:
            values[name] = 0 if "INT" in row[2] or "BOOL" in row[2] else ""
    names = ", ".join(f'"{name}"' for name in values)
    raw.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values())
    )


def to_postgresql(path: Path, url: str) -> None:
    """The same rows in PostgreSQL."""
    Database(url).close()
    raw = sqlite3.connect(path)
    with psycopg.connect(url.replace("+psycopg", "")) as there:
        there.execute("SET session_replication_role = replica")
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        known = {
            row[0] for row in there.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        wanted = [table for table in tables if table in known and table != "alembic_version"]
        there.execute(f"TRUNCATE {', '.join(wanted)}")
        for table in wanted:
            columns = {row[0]: row[1] for row in there.execute(TYPES, (table,))}
            names = ", ".join(f'"{name}"' for name in columns)
            with there.cursor().copy(f'COPY "{table}" ({names}) FROM STDIN') as out:
                for row in raw.execute(f'SELECT {names} FROM "{table}"'):
                    booleans = zip(row, columns.values(), strict=True)
                    out.write_row(
                        [bool(v) if kind == "boolean" and v is not None else v for v, kind in booleans]
                    )
        there.execute("SELECT setval(pg_get_serial_sequence('audit', 'number'), max(number)) FROM audit")
        there.commit()
        there.autocommit = True
        there.execute("ANALYZE")
    raw.close()


TYPES = (
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s "
    "ORDER BY ordinal_position"
)


@contextmanager
def ois(state: Path) -> Iterator[str]:
    """A running OIS: its address."""
    with (state / "ois.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ois_bridge", "--state", str(state)],
            env={**os.environ, "PTCS_LANG": "en"}, stderr=log,
        )  # fmt: skip
    try:
        run = state / "run" / "ois.json"
        while not run.exists() or read_json(run)["pid"] != process.pid:
            if process.poll() is not None:
                raise RuntimeError("the OIS did not start")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{read_json(run)['port']}"
    except BaseException:
        print((state / "ois.log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(20)


def staff(state: Path) -> None:
    """An account for each of the people, with the password of the demonstration's account of the role."""
    database = Database(settings.load(StateDir(state)).database, migrate=False)
    with database.writing() as session:
        known = {row.user: row for row in session.scalars(select(Account))}
        for number in range(PEOPLE):
            role = ROLES[number % 4]
            if f"{role}{number}" not in known:
                like = known[role]
                row = Account(
                    user=f"{role}{number}", full_name=f"{role} {number}", password_hash=like.password_hash,
                    created=like.created,
                )  # fmt: skip
                row.role_rows = [AccountRole(role=role)]
                session.add(row)
    database.close()


async def person(
    url: str,
    user: str,
    password: str,
    span: tuple[float, float],
    draw: random.Random,
    times: dict[str, list[float]],
) -> None:
    """One session at work."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, follow_redirects=True) as client:
        page = (await client.get("/login")).text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token
        form = {"csrf": token[1], "user": user, "password": password, "next": "/account"}
        entered = await client.post("/login", data=form)
        if entered.url.path != "/account":
            told = re.search(r'role="alert">(.*?)</div>', entered.text)
            raise RuntimeError(f"{user} is not let in: {entered.status_code} {told and told[1]}")
        headers = {"HX-Request": "true", "X-CSRF-Token": ""}
        key = task = ""
        counted_from, until = span
        while time.monotonic() < until:
            await asyncio.sleep(draw.expovariate(1 / THINK_S))
            kind, path = draw.choice(
                [("todo", "/tasks")] * 8
                + [("search", f"/tasks?text={draw.choice('王李张刘陈')}"), ("patients", "/patients")] * 2
                + ([("record", f"/patients/{key}")] * 2 if key else [])
                + ([("take", f"/tasks/{task}/take")] if task else [])
            )
            begun = time.perf_counter()
            if kind == "take":
                answer = await client.post(path, headers=headers)
                answer = await client.post(f"/tasks/{task}/give-back", headers=headers)
            else:
                answer = await client.get(path)
            if time.monotonic() > counted_from:
                times.setdefault(kind, []).append(time.perf_counter() - begun)
            if kind == "take" and answer.status_code == 409:  # somebody was quicker
                continue
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
            token = re.search(r'X-CSRF-Token": "([^"]+)"', answer.text)
            headers["X-CSRF-Token"] = token[1] if token else headers["X-CSRF-Token"]
            shown = re.findall(r'data-task="([0-9a-f]{16})"', answer.text)
            task = draw.choice(shown) if shown else task
            found = re.findall(r'href="/patients/([0-9a-f]{16})"', answer.text)
            key = draw.choice(found) if found else key


async def crowd(url: str, state: Path, seconds: float) -> dict[str, list[float]]:
    """Everybody at once."""
    passwords = read_json(state / "keys" / "demo-accounts.json")
    times: dict[str, list[float]] = {}
    counted_from = time.monotonic() + WARM_S
    until = counted_from + seconds
    await asyncio.gather(
        *(
            person(
                url, f"{ROLES[number % 4]}{number}", passwords[ROLES[number % 4]], (counted_from, until),
                random.Random(number), times,
            )
            for number in range(PEOPLE)
        )
    )  # fmt: skip
    return times


def spent(state: Path) -> float:
    """Processor time of the OIS and of its database's processes, in seconds."""
    found = [psutil.Process(int(read_json(state / "run" / "ois.json")["pid"]))]
    place = settings.load(StateDir(state)).database
    if isinstance(place, str):
        server = Path(str(make_url(place).query["host"])) / "data" / "postmaster.pid"
        first = psutil.Process(int(server.read_text().split()[0]))
        found += [first, *first.children(recursive=True)]
    return sum(_spent(one) for one in found)


def _spent(process: psutil.Process) -> float:
    """0 for a process that ended between being listed and being asked: PostgreSQL's helpers come and go."""
    try:
        return sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def measured(kind: str, state: Path, patients: int, seconds: float) -> None:
    """The JSON line of one database."""
    with ois(state) as url:
        staff(state)
        before = spent(state)
        times = asyncio.run(crowd(url, state, seconds))
        report(kind, patients, times, spent(state) - before, seconds)


def report(kind: str, patients: int, times: dict[str, list[float]], cpu: float, seconds: float) -> None:
    """Print it. `cpu`: seconds of processor time in all, the log-ins and the time before included."""
    todo = sorted(times["todo"])
    every = [value for values in times.values() for value in values]
    line = {
        "name": "worklist-p95", "ours": round(todo[int(0.95 * len(todo))], 4), "peer": None, "unit": "s",
        "ratio": None, "n": len(todo), "warm": True, "database": kind, "patients": patients, "people": PEOPLE,
        "think_s": THINK_S, "median": round(statistics.median(todo), 4),
        "cpu_ms_a_page": round(1000 * cpu / len(every) * seconds / (seconds + WARM_S), 1),
        "median_of_all_pages": round(statistics.median(every), 4),
        "p95": {name: round(sorted(values)[int(0.95 * len(values))], 4) for name, values in times.items()},
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        path = state / "ois" / "ois.db"
        path.parent.mkdir(parents=True, mode=0o700)
        fill(path, patients)
        with sqlite3.connect(path) as raw:
            add_tasks(raw)
        raw.close()
        measured("sqlite", state, patients, seconds)
        server = Postgres()
        try:
            there = server.new_database()
            to_postgresql(path, there)
            (state / "ois" / "server.yaml").write_text(f"database: {there}\n")
            measured("postgresql", state, patients, seconds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
