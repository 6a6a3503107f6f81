"""Starts a facility in order, restarts what dies with back-off, stops everything.

One thread, no Tango events: it polls its children and, while starting, the devices' states.
"""

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TextIO

import click

from common import logs
from common.errors import LinkLost, PtcsError, Refused
from common.files import write_json
from common.state import StateDir
from ptcs import database
from ptcs.child import Child, ChildState
from ptcs.facility import SERVICES, Facility
from ptcs.startup import start

POLL = 0.05
STOP_LIMIT = 3.5

log = logging.getLogger("supervisor")


class Supervisor:
    """Owner of all processes of one state directory."""

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self.stopping = False
        self._lock: TextIO | None = None

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start, supervise, stop. Returns after a stop signal.

        Raises Refused if the state directory is in use, PtcsError if the facility does not come up.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._take_lock()
        try:
            start(self.facility, lambda: self.stopping, self._report)
            if not self.stopping:
                self._report("UP")
                on_ready()
            while not self.stopping:
                self._watch()
                time.sleep(POLL)
        finally:
            self._stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _take_lock(self) -> None:
        path = self.facility.state.root / "run" / "supervisor.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as why:
            raise Refused(
                f"a facility already runs in {self.facility.state.root}; `ptcs down` stops it, "
                "or choose another --state"
            ) from why
        for stale in path.parent.glob("*.json"):
            stale.unlink()

    def _watch(self) -> None:
        changed = False
        assert self.facility.fork is not None
        try:
            self.facility.fork.messages(timeout=0)
        except LinkLost:
            log.error("fork server died; it and its device servers start again")
            self._restart_fork_server()
            changed = True
        now = time.monotonic()
        for child in self.facility.children.values():
            status = self.facility.exit_status(child) if child.state is ChildState.RUNNING else None
            if status is not None:
                log.error(
                    "%s ended with status %s; starts again in %.1f s", child.name, status, child.back_off
                )
                child.exited(status, now)
                changed = True
            changed = child.restart_if_due(now) or changed
        if changed or self._addresses_moved():
            self._report("UP")

    def _restart_fork_server(self) -> None:
        facility = self.facility
        assert facility.fork is not None
        facility.fork.stop()
        now = time.monotonic()
        for server in facility.site.servers:
            child = facility.children[server]
            if child.state is ChildState.RUNNING:
                child.exited(-signal.SIGKILL, now)
        facility.start_fork_server()

    def _addresses_moved(self) -> bool:
        """Whether a restarted service has announced itself since the last report."""
        moved = [name for name in SERVICES if self.facility.announced(name) is not self._announced.get(name)]
        return bool(moved)

    def _report(self, phase: str) -> None:
        self._announced = {name: self.facility.announced(name) for name in SERVICES}
        write_json(self.facility.state.facility, self.facility.describe(phase))

    def _stop(self) -> None:
        """Stop everything within 5 s: ask, wait, kill."""
        children = list(self.facility.children.values())
        for child in reversed(children):
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT
        while time.monotonic() < deadline and any(self._still_runs(child) for child in children):
            time.sleep(POLL / 2)
        for child in children:
            if self._still_runs(child):
                log.warning("%s did not stop in %.1f s and is killed", child.name, STOP_LIMIT)
                child.signal(signal.SIGKILL)
            child.state = ChildState.STOPPED
        if self.facility.fork is not None:
            self.facility.fork.stop()
        for child in children:
            if child.process is not None:
                child.process.wait()
        database.keep(self.facility.state.tango_database)
        if self._lock is not None:
            self._report("DOWN")
            self._lock.close()

    def _still_runs(self, child: Child) -> bool:
        if child.state is not ChildState.RUNNING:
            return False
        if self.facility.fork is not None and child.process is None:
            try:
                self.facility.fork.messages(timeout=0)
            except LinkLost:
                return False
        return self._exit_status_kept(child)

    def _exit_status_kept(self, child: Child) -> bool:
        status = self.facility.exit_status(child)
        if status is not None:
            child.state, child.exit_status = ChildState.STOPPED, status
        return status is None


@click.command()
@click.option("--state", required=True, type=click.Path(path_type=Path))
@click.option("--site", "site_file", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--seed", type=int, default=None)
def main(state: Path, site_file: Path, seed: int | None) -> None:
    """Run a facility until SIGTERM or SIGINT."""
    logs.set_up("supervisor")
    supervisor = Supervisor(Facility(StateDir(state.resolve()), site_file.resolve(), seed))
    try:
        supervisor.run()
    except PtcsError as why:
        log.error("%s", why)
        sys.exit(1)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
