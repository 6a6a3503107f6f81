"""Which processes a facility has, in start order, and how each is started."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import site
from common.errors import LinkLost
from common.files import write_json
from common.state import StateDir
from ptcs import __version__, database
from ptcs.child import Child, ForkClient, spawn

ORB_HOST = "127.0.0.1"
SERVICES = ("plant", "fpga", "ois", "tps")
"""Processes of every facility that write a run file, by name -> `python -m MODULE`."""
HOSPITAL = "hospital"
"""The same, of a site that says `hospital: simulated`: it runs before the OIS reads where the HIS is."""
MODULES = {
    "plant": "simulation.plant",
    "fpga": "simulation.fpga",
    "ois": "ois_bridge",
    "tps": "tps_engine.service",
    HOSPITAL: "simulation.hospital",
}

LEAN = {"MALLOC_ARENA_MAX": "2", "PYTANGO_DISABLE_TELEMETRY_PATCHING": "1"}
"""Two arenas of malloc: a process of many threads, each with its own, holds memory that nobody uses. PyTango
wraps each client call for traces: that takes 0.12 ms of processor time a call, also where nobody traces."""


def optional(of: site.Site) -> tuple[str, ...]:
    """Processes that only some sites have."""
    return (HOSPITAL,) if of.simulated_hospital else ()


@dataclass
class Facility:
    """The processes of one state directory. `seed` fixes the noise of the simulated beam."""

    state: StateDir
    site_file: Path
    seed: int | None = None
    children: dict[str, Child] = field(default_factory=dict)
    fork: ForkClient | None = None
    _database_log_start: int = 0
    """Where the log of the present database process begins; logs of earlier ones stay before it."""

    def __post_init__(self) -> None:
        self.site = site.load(self.site_file)
        # Tango carries Latin-1 only: what a process of the facility says to others is English. Pages, reports
        # and panels speak the language of who reads them.
        self.environment = {**LEAN, **os.environ, "PTCS_LANG": "en"}
        self._add("database", self._launch_database)
        for name in (*SERVICES, *optional(self.site)):
            self._add(name, self._launcher(name))
        for server in self.site.servers:
            self._add(server, self._forker(server))

    def _add(self, name: str, launch: Callable[[], int]) -> None:
        self.children[name] = Child(name, launch, self.state.log_file(name))

    def _launch_database(self) -> int:
        working = database.open_working(self.state.tango_database)
        environment = {**self.environment, "PYTANGO_DATABASE_NAME": str(working)}
        log = self.children["database"].log
        self._database_log_start = log.stat().st_size if log.exists() else 0
        return self._spawn(
            "database", database.command(self._former_port("database") or database.free_port()), environment
        )

    def _launcher(self, name: str) -> Callable[[], int]:
        def launch() -> int:
            command = [sys.executable, "-m", MODULES[name], *self._common_options()]
            command += ["--port", str(self._former_port(name))]
            if name == "ois":
                command += ["--dicom-port", str(self._former_port(name, "dicom_port"))]
            if name == "fpga" and self.seed is not None:
                command += ["--seed", str(self.seed)]
            return self._spawn(name, command, self.environment)

        return launch

    def _forker(self, server: str) -> Callable[[], int]:
        def launch() -> int:
            if self.fork is None:
                raise LinkLost("the fork server is not running")
            return self.fork.start(server, self.environment["TANGO_HOST"])

        return launch

    def _spawn(self, name: str, command: list[str], environment: dict[str, str]) -> int:
        child = self.children[name]
        child.process = spawn(command, child.log, environment)
        return child.process.pid

    def _common_options(self) -> list[str]:
        return ["--state", str(self.state.root), "--site", str(self.site_file)]

    def _former_port(self, name: str, key: str = "port") -> int:
        """The port a process had before it died, so that its peers find it again; else 0."""
        if self.children[name].restarts == 0:
            return 0
        try:
            return int(self.state.endpoint(name)[key])
        except (LinkLost, KeyError):
            return 0

    def start_fork_server(self) -> None:
        """Start the fork server; it is ready when `fork.ready` turns true."""
        self.fork = ForkClient(
            self.state.root, self.site_file, self.state.log_file("forkserver"), self.environment
        )

    def fork_server_ready(self) -> bool:
        """Whether the fork server has imported everything. Raises LinkLost when it is gone."""
        if self.fork is None:
            return False
        self.fork.messages(timeout=0)
        return self.fork.ready

    def exit_status(self, child: Child) -> int | None:
        """How a process ended; None while it runs."""
        if child.process is not None:
            return child.process.poll()
        return None if self.fork is None else self.fork.take_exit(child.name, child.pid)

    def announce_database(self) -> bool:
        """Once the database says where it listens, write its run file and set TANGO_HOST."""
        told = self.children["database"].log.read_bytes()[self._database_log_start :].decode(errors="replace")
        ports = re.findall(r"listening on: host=\S+, port=(\d+)", told)
        if not ports:
            return False
        write_json(
            self.state.run_file("database"),
            {"pid": self.children["database"].pid, "host": ORB_HOST, "port": int(ports[-1])},
        )
        self.environment["TANGO_HOST"] = os.environ["TANGO_HOST"] = f"{ORB_HOST}:{ports[-1]}"
        return True

    def announced(self, name: str) -> bool:
        """Whether the present process of that name has written its run file."""
        try:
            return bool(self.state.endpoint(name)["pid"] == self.children[name].pid)
        except LinkLost:
            return False

    def describe(self, phase: str) -> dict[str, Any]:
        """What `ptcs status --json` prints."""
        return {
            "schema": 1,
            "version": __version__,
            "site": self.site.name,
            "site_file": str(self.site_file),
            "phase": phase,
            "supervisor_pid": os.getpid(),
            "state_dir": str(self.state.root),
            "clock_factor": self.site.clock_factor,
            "tango_host": self.environment.get("TANGO_HOST"),
            "ois_url": self._url("ois"),
            "tps_url": self._url("tps"),
            "ois_dicom": self._dicom("ois"),
            **self._epics(),
            "servers": [child.row() for child in self.children.values()],
        }

    def _url(self, name: str) -> str | None:
        try:
            return f"http://{ORB_HOST}:{self.state.endpoint(name)['port']}"
        except LinkLost:
            return None

    def _epics(self) -> dict[str, Any]:
        """How EPICS clients find the process variables; null in a site without gateway."""
        try:
            endpoint = self.state.endpoint("epics")
        except LinkLost:
            endpoint = {}
        return {key: endpoint.get(key) for key in ("pva_env", "ca_env", "pv_pattern")}

    def _dicom(self, name: str) -> dict[str, Any] | None:
        try:
            endpoint = self.state.endpoint(name)
        except LinkLost:
            return None
        return {"host": ORB_HOST, "port": endpoint["dicom_port"], "aet": endpoint["aet"]}
