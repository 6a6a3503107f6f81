"""The fork server of the device servers: has everything imported, has no ORB and no thread.

It is spoken to in lines of JSON on stdin and stdout:

    -> {"start": SERVER, "tango_host": HOST:PORT}    <- {"started": SERVER, "pid": N}
                                                     <- {"exited": SERVER, "pid": N, "status": S}
End of stdin stops it; its children die with it (parent-death signal).
"""

import contextlib
import encodings.idna  # noqa: F401 - every child would import it for its first connection
import gc
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path

import click

from common import logs, site
from common.state import StateDir
from device_servers import server as device_server
from ptcs.orphans import die_with_parent

PRIORITY = -8
"""Nice value of device servers where the system permits it."""


class ForkServer:
    """Forks one child per server name and reports who starts and who exits."""

    def __init__(self, site_file: Path, state: StateDir) -> None:
        self._site = site.load(site_file)
        self._state = state
        self._names: dict[int, str] = {}
        self._wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answer requests until stdin ends."""
        gc.collect()
        gc.freeze()  # what is loaded by now is shared by the children and never collected
        requests = b""
        while True:
            readable, _, _ = select.select([sys.stdin.fileno(), self._wake], [], [])
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._reap()
            if sys.stdin.fileno() in readable:
                data = os.read(sys.stdin.fileno(), 65536)
                if not data:
                    return
                *lines, requests = (requests + data).split(b"\n")
                for line in lines:
                    request = json.loads(line)
                    os.environ["TANGO_HOST"] = request["tango_host"]
                    self._start(request["start"])

    def _start(self, name: str) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(name, parent)
        self._names[pid] = name
        _say(started=name, pid=pid)

    def _become(self, name: str, parent: int) -> None:
        """Turn the forked child into a device server; never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(parent)
            os.setsid()
            _prefer()
            self._redirect(name)
            logs.set_up(name)
            device_server.run(name, self._site, self._state.root)
            status = 0
        except BaseException:  # noqa: BLE001 - the border of a process
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _redirect(self, name: str) -> None:
        log = os.open(self._state.log_file(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)

    def _reap(self) -> None:
        while self._names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            name = self._names.pop(pid)
            _say(exited=name, pid=pid, status=os.waitstatus_to_exitcode(status))


def _prefer() -> None:
    """Ask to be run before planning and web pages: a late watchdog pulse stops the beam."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def _say(**message: object) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())


@click.command()
@click.option("--state", required=True, type=click.Path(path_type=Path))
@click.option("--site", "site_file", required=True, type=click.Path(path_type=Path, exists=True))
def main(state: Path, site_file: Path) -> None:
    """Run the fork server until stdin ends."""
    fork_server = ForkServer(site_file, StateDir(state))
    _say(ready=True)
    fork_server.serve()


if __name__ == "__main__":
    main()
