"""A real OIS process for the tests of this room, and clients that speak to it as other systems do."""

import json
import os
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
from pydicom.dataset import Dataset
from sqlalchemy import create_engine, text

from common.files import read_json
from common.links import dimse
from common.state import StateDir
from ois_bridge import settings
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
def place(kind: str) -> Iterator[Callable[[Path], None]]:
    """Says in a new state directory where the data lie."""
    if kind == "sqlite":
        yield lambda state: None
        return
    server = Postgres()

    def say(state: Path) -> None:
        path = state / "ois" / "server.yaml"
        if not path.exists():
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            path.write_text(f"database: {server.new_database()}\n")

    yield say
    server.stop()


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
    for _attempt in range(1200):
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
def ois(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Ois]:
    """One OIS for all tests that do not stop it; each uses its own patient (`case`)."""
    state = tmp_path_factory.mktemp("ois") / "state"
    place(state)
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
