"""One supervised process: its state, its restarts, its back-off. Spawned, or forked by the fork server."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.errors import LinkLost
from ptcs.orphans import die_with_parent

FIRST_BACK_OFF = 0.2
LONGEST_BACK_OFF = 10.0
STABLE_AFTER = 30.0


class ChildState(StrEnum):
    """What a supervised process is doing."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPED = "STOPPED"


@dataclass
class Child:
    """A process under supervision. Times are of the monotonic clock, in seconds."""

    name: str
    launch: Callable[[], int]
    """Starts the process and returns its pid."""
    log: Path
    state: ChildState = ChildState.WAITING
    pid: int = 0
    restarts: int = 0
    started: float = 0.0
    due: float = 0.0
    back_off: float = FIRST_BACK_OFF
    exit_status: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, now: float) -> None:
        """Start the process for the first time or again."""
        self.pid = self.launch()
        self.state, self.started = ChildState.RUNNING, now

    def exited(self, status: int, now: float) -> None:
        """Note that the process is gone; it is due again after the back-off."""
        if now - self.started > STABLE_AFTER:
            self.back_off = FIRST_BACK_OFF
        self.state, self.exit_status, self.due = ChildState.BACKOFF, status, now + self.back_off
        self.back_off = min(self.back_off * 2, LONGEST_BACK_OFF)

    def restart_if_due(self, now: float) -> bool:
        """Start again once the back-off is over; whether it was started."""
        if self.state is not ChildState.BACKOFF or now < self.due:
            return False
        self.restarts += 1
        self.start(now)
        return True

    def signal(self, number: int) -> None:
        """Send a signal to a running process; nothing if it is gone."""
        if self.state is ChildState.RUNNING and alive(self.pid):
            os.kill(self.pid, number)

    def row(self) -> dict[str, Any]:
        """What `ptcs status --json` says of it."""
        return {
            "name": self.name,
            "pid": self.pid if self.state is ChildState.RUNNING else None,
            "state": str(self.state),
            "restarts": self.restarts,
            "log": str(self.log),
        }


def alive(pid: int) -> bool:
    """Whether a process of that pid exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def spawn(command: list[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output appended to a log; it dies with us."""
    parent = os.getpid()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - no threads in the supervisor
        )


class ForkClient:
    """Speaks to the fork server of `ptcs.forkserver`."""

    def __init__(self, state_dir: Path, site_file: Path, log: Path, environment: Mapping[str, str]) -> None:
        parent = os.getpid()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ptcs.forkserver",
                    "--state",
                    str(state_dir),
                    "--site",
                    str(site_file),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - no threads in the supervisor
            )
        self._partial = b""
        self.ready = False
        self._exits: dict[str, tuple[int, int]] = {}

    def start(self, server: str, tango_host: str, timeout: float = 10.0) -> int:
        """Have a device server forked; its pid. Raises LinkLost when the fork server is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(
                (json.dumps({"start": server, "tango_host": tango_host}) + "\n").encode()
            )
            self.process.stdin.flush()
        except OSError as why:
            raise LinkLost("the fork server is gone") from why
        while True:
            for message in self.messages(timeout):
                if message.get("started") == server:
                    return int(message["pid"])

    def messages(self, timeout: float) -> list[dict[str, Any]]:
        """Messages that arrive within `timeout` s. Exits are kept for `take_exit` as well."""
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        readable, _, _ = select.select([handle], [], [], timeout)
        if not readable:
            return []
        data = os.read(handle, 65536)
        if not data:
            raise LinkLost("the fork server is gone")
        *lines, self._partial = (self._partial + data).split(b"\n")
        found = [json.loads(line) for line in lines]
        for message in found:
            self.ready = self.ready or bool(message.get("ready"))
            if "exited" in message:
                self._exits[message["exited"]] = (message["pid"], message["status"])
        return found

    def take_exit(self, server: str, pid: int) -> int | None:
        """Exit status of a server's process if it has ended, once."""
        gone = self._exits.get(server)
        if gone is None or gone[0] != pid:
            return None
        del self._exits[server]
        return gone[1]

    def stop(self) -> None:
        """End the fork server, and with it every child that still lives."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
