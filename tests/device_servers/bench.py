"""A small facility for the tests: Tango database and server processes in a temporary directory."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import tango
import yaml

from common import authority
from common.files import write_json
from ptcs import database

ROOT = Path(__file__).resolve().parents[2]
START_S = 180.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Any, what: str, limit_s: float = START_S) -> None:
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


class Bench:
    """Processes of one temporary facility. `host` is its TANGO_HOST until it closes.

    Its site file lies in the state folder unless it is named.
    """

    def __init__(self, state: Path, site_file: Path | None = None) -> None:
        self.state = state
        self.site_file = site_file or state / "site.yaml"
        self._host_before = os.environ.get("TANGO_HOST")
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        authority.new_key(state / "keys" / "ois_signing.pem", state / "keys" / "ois_public.pem")
        for folder in ("tango", "log", "run"):
            (state / folder).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def keep_site(self, content: dict[str, Any]) -> None:
        """Write the site file."""
        self.site_file.write_text(yaml.safe_dump(content))

    def announce(self) -> None:
        """Say, as the supervisor does, that this facility is up."""
        place = {"tango_host": self.host, "site_file": str(self.site_file), "phase": "UP"}
        write_json(self.state / "facility.json", {"supervisor_pid": os.getpid(), **place})

    def token(self, user: str, *roles: str, lifetime_s: float = 3600.0) -> str:
        key = authority.load_private(self.state / "keys" / "ois_signing.pem")
        return authority.issue(key, user, frozenset(roles), datetime.now(UTC), timedelta(seconds=lifetime_s))

    def start(self, name: str, command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[bytes]":
        env = {
            **os.environ,
            "TANGO_HOST": self.host,
            "PYTANGO_DATABASE_NAME": str(self.state / "tango" / "tango.db"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PTCS_LANG": "en",
        }
        with (self.state / "log" / f"{name}.log").open("ab") as log:
            pipes = {"stdout": log, "stderr": log, **options}
            process = subprocess.Popen([str(part) for part in command], cwd=self.state, env=env, **pipes)
        self.processes[name] = process
        return process

    def start_database(self) -> None:
        self.start("database", database.command(self.port))
        wait_until(self._database_answers, "the database")
        os.environ["TANGO_HOST"] = self.host

    def options(self) -> list[str | Path]:
        """State and site, as every process of a facility takes them."""
        return ["--state", self.state, "--site", self.site_file]

    def start_hardware(self, limit_s: float = START_S) -> None:
        """The simulated plant and fpga."""
        for name in ("plant", "fpga"):
            self.start(name, [sys.executable, "-m", f"simulation.{name}", *self.options()])
            wait_until((self.state / "run" / f"{name}.json").exists, name, limit_s)

    def start_server(self, name: str, **options: Any) -> None:
        """A device server on wire drivers."""
        self.start(name, [sys.executable, "-m", "device_servers", name, *self.options()], **options)

    def start_fakes(self, name: str = "all", limit_s: float = START_S) -> None:
        """A device server on fakes, until it is exported; `tell` speaks to the latest one."""
        self.faked = name
        script = Path(__file__).parent / "fake_server.py"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.start(name, [sys.executable, script, name, self.site_file, self.state], **pipes)
        self.wait_exported([f"crate/server/{name}"], limit_s)

    def _database_answers(self) -> bool:
        if self.processes["database"].poll() is not None:
            raise RuntimeError((self.state / "log" / "database.log").read_text())
        try:
            tango.Database("127.0.0.1", self.port).get_info()
        except tango.DevFailed:
            return False
        return True

    def proxy(self, device: str) -> tango.DeviceProxy:
        return tango.DeviceProxy(f"tango://{self.host}/{device}")

    def wait_exported(self, devices: Sequence[str], limit_s: float = START_S) -> None:
        def ready() -> bool:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(name + " ended: " + (self.state / "log" / f"{name}.log").read_text())
            try:
                return all(self.proxy(device).ping() > 0 for device in devices)
            except tango.DevFailed:
                return False

        wait_until(ready, f"export of {devices}", limit_s)

    def tell(self, line: str) -> None:
        """Run one line of Python beside the fakes, and wait until it has run."""
        process = self.processes[self.faked]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline().decode() == "done\n"

    def stop(self, name: str, limit_s: float = 10.0) -> float:
        """End one process with SIGTERM; the seconds it took."""
        process = self.processes.pop(name)
        began = time.monotonic()
        process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close_pipes(process)
        return time.monotonic() - began

    def kill(self, name: str) -> None:
        """End one process with SIGKILL."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        _close_pipes(process)

    def close(self) -> None:
        for name in [*(n for n in self.processes if n != "database"), "database"]:
            if name in self.processes:
                self.stop(name)
        if os.environ.get("TANGO_HOST") == self.host:
            del os.environ["TANGO_HOST"]
            if self._host_before is not None:
                os.environ["TANGO_HOST"] = self._host_before


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def run_file(state: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((state / "run" / f"{name}.json").read_text()))
