"""A PostgreSQL server of the tests' own: a cluster in a temporary folder, one database for each who asks."""

import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest

_VERSIONS = Path("/usr/lib/postgresql")


def _programs() -> Path | None:
    found = sorted(_VERSIONS.glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


class Postgres:
    """A running server that listens on a socket in its folder only."""

    def __init__(self) -> None:
        """Start it. Skips the test where PostgreSQL is not installed."""
        programs = _programs()
        if programs is None:
            pytest.skip("PostgreSQL is not installed (packages.apt: dev)")
        # not below pytest's own folder: that is closed to the user that the server runs as
        folder = Path(tempfile.mkdtemp(prefix="ptcs-postgres-"))
        self._programs, self._folder, self._numbers = programs, folder, count(1)
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres", "postgres")
        self._do(
            "initdb", "-N", "-D", f"{folder}/data", "-U", "ptcs", "--auth=trust", "-E", "UTF8",
            "--locale=C.UTF-8",
        )  # fmt: skip
        self.go()

    def go(self) -> None:
        """Start it, or start it again."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        log = f"{self._folder}/log"
        self._do("pg_ctl", "-D", f"{self._folder}/data", "-w", "-l", log, "-o", options, "start")

    def halt(self) -> None:
        """End all its processes at once, as a crash does; the data stay."""
        self._do("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "-w", "stop")

    def new_database(self, like: str = "") -> str:
        """URL of a new database: empty, or a copy of the one at `like`, which nobody uses meanwhile."""
        name = f"ptcs{next(self._numbers)}"
        template = ["-T", like.partition("@/")[2].partition("?")[0]] if like else []
        self._do("createdb", *template, "-h", str(self._folder), "-U", "ptcs", name)
        return f"postgresql+psycopg://ptcs@/{name}?host={self._folder}"

    def emptied(self, url: str) -> str:
        """The same database without its tables: cheaper than a new one."""
        database = url.partition("@/")[2].partition("?")[0]
        again = "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        self._do("psql", "-q", "-h", str(self._folder), "-U", "ptcs", "-d", database, "-c", again)
        return url

    def stop(self) -> None:
        """Stop it at once, and remove its data."""
        self._do("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def _do(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120)
