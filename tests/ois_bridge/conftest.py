"""A real OIS process for the tests of this room, and clients that speak to it as other systems do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from pydicom.dataset import Dataset
from sqlalchemy import create_engine, text

from common import site
from common.files import read_json
from common.links import dimse
from common.state import StateDir
from ois_bridge import process, settings
from tests.ois_bridge import ois_browser
from tests.ois_bridge.ois_case import ZHANG, Case
from tests.postgres import Postgres

DATABASES = os.environ.get("PTCS_TEST_DATABASES", "sqlite,postgresql").split(",")
"""Every test of an OIS process runs on each of these."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a browser sees is the same on each database: it is looked at on the first one."""
    items[:] = [
        item
        for item in items
        if "browser" not in item.keywords
        or getattr(item, "callspec", None) is None
        or item.callspec.params.get("kind", DATABASES[0]) == DATABASES[0]
    ]


@pytest.fixture(scope="session", params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The database that the OIS keeps its data in."""
    return str(request.param)


@pytest.fixture(scope="session")
def server(kind: str) -> Iterator[Postgres | None]:
    """The PostgreSQL server of these tests; none for SQLite."""
    running = Postgres() if kind == "postgresql" else None
    yield running
    if running is not None:
        running.stop()


@pytest.fixture(scope="session")
def empty(server: Postgres | None) -> Callable[[Path], None]:
    """Says in a new state directory where the data will lie: the OIS makes everything at its first start."""

    def say(state: Path) -> None:
        if server is not None:
            say_where(state, server.new_database())

    return say


@pytest.fixture(scope="session")
def first_start(
    empty: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A state directory as a first start leaves it, and its PostgreSQL database or ""."""
    state = tmp_path_factory.mktemp("first") / "state"
    empty(state)
    process.build(StateDir(state), site.load()).close()
    place = settings.load(StateDir(state)).database
    (state / "ois" / "server.yaml").unlink(missing_ok=True)
    yield state, place if isinstance(place, str) else ""
    shutil.rmtree(state)


@pytest.fixture(scope="session")
def place(server: Postgres | None, first_start: tuple[Path, str]) -> Callable[[Path], None]:
    """Fills a new state directory with a copy of what a first start leaves: that is half a second each."""

    def fill(state: Path) -> None:
        if (state / "keys").exists():
            return
        made, database = first_start
        shutil.copytree(made, state, dirs_exist_ok=True)
        if server is not None:
            say_where(state, server.new_database(like=database))

    return fill


def say_where(state: Path, url: str) -> None:
    path = state / "ois" / "server.yaml"
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    with path.open("a") as file:
        file.write(f"database: {url}\n")


def launch(state: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start `python -m ois_bridge`; its stderr goes to STATE/ois.log."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "ois.log").open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error::ResourceWarning",
                "-m",
                "ois_bridge",
                "--state",
                str(state),
                *arguments,
            ],
            stderr=log,
            env={**os.environ, "PTCS_LANG": "en"},
        )


def announced(state: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """The run file of a process that is starting."""
    path = state / "run" / "ois.json"
    for _attempt in range(4000):  # a busy machine starts slowly
        if path.exists():
            found = dict(read_json(path))
            if found["pid"] == process.pid:
                return found
        assert process.poll() is None, (state / "ois.log").read_text()
        time.sleep(0.05)
    raise AssertionError("the OIS did not announce itself")


@dataclass
class Ois:
    """A running OIS."""

    state: Path
    process: "subprocess.Popen[bytes]"
    endpoint: dict[str, Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.endpoint['port']}"

    @property
    def peer(self) -> dimse.Peer:
        return dimse.Peer("127.0.0.1", self.endpoint["dicom_port"], self.endpoint["aet"])

    def password(self, user: str) -> str:
        return str(json.loads((self.state / "keys/demo-accounts.json").read_text())[user])

    def token(self, user: str) -> str:
        answer = httpx.post(
            f"{self.url}/api/v1/login",
            json={"user": user, "password": self.password(user)},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def as_user(self, user: str) -> httpx.Client:
        """A REST client of a logged-in user."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.token(user)}"},
            trust_env=False,
            timeout=60,
        )

    def store(self, *datasets: Dataset, aet: str = "PTCS_TPS") -> None:
        dimse.store(self.peer, datasets, aet)

    def log(self) -> str:
        return (self.state / "ois.log").read_text()

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of its database, past the OIS itself."""
        place = settings.load(StateDir(self.state)).database
        engine = create_engine(place if isinstance(place, str) else f"sqlite:///{place}")
        with engine.begin() as connection:
            found = connection.execute(text(statement), values)
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def start(state: Path, *arguments: str) -> Ois:
    process = launch(state, *arguments)
    try:
        return Ois(state, process, announced(state, process))
    except BaseException:
        process.kill()
        process.wait()
        raise


@pytest.fixture
def make_ois(tmp_path: Path, place: Callable[[Path], None]) -> Iterator[Callable[..., Ois]]:
    """Starts OIS processes of one test; those that still run are killed at its end."""
    running: list[Ois] = []

    def make(name: str = "state", *arguments: str) -> Ois:
        place(tmp_path / name)
        running.append(start(tmp_path / name, *arguments))
        return running[-1]

    yield make
    for ois in running:
        if ois.process.poll() is None:
            ois.process.kill()
        ois.process.wait()


@pytest.fixture(scope="session")
def ois(tmp_path_factory: pytest.TempPathFactory, empty: Callable[[Path], None]) -> Iterator[Ois]:
    """One OIS for all tests that do not stop it; each uses its own patient (`case`)."""
    state = tmp_path_factory.mktemp("ois") / "state"
    empty(state)
    running = start(state)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def users(ois: Ois) -> Iterator[dict[str, httpx.Client]]:
    """REST clients by role."""
    clients = {name: ois.as_user(name) for name in ("physician", "physicist", "therapist", "operator")}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """A patient of this test alone."""
    tag = f"T{abs(hash(request.node.nodeid)) % 10**9}"
    return Case(tag, replace(ZHANG, patient_id=tag))


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A real browser; without one the test is skipped."""
    with ois_browser.browser() as made:
        yield made


@pytest.fixture
def page(chromium: Browser) -> Page:
    """An empty page of a real browser, as wide as a desk's."""
    return ois_browser.new_page(chromium)
