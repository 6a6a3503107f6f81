"""Plant and beam hardware of a site as real processes, with links to them, without Tango."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from common import site as sites
from common.errors import LinkLost, PtcsError
from common.links.wire import Peer, WireClient, block_values
from common.site import Site
from common.wire.frame import Frame
from interlock import matrix

ANSWER_S = 10.0
READY_S = 90.0
POLL_S = 0.03


class NotInTime(PtcsError):
    """Something that must happen did not happen in its time."""


def until(done: Callable[[], Any], what: str, limit_s: float = READY_S) -> Any:
    """Wait for something true and return it. Raises NotInTime."""
    deadline = time.monotonic() + limit_s
    while True:
        with suppress(LinkLost):
            if value := done():
                return value
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not within {limit_s:g} s")
        time.sleep(POLL_S)


class Processes:
    """Plant and beam hardware of a site, and their links."""

    def __init__(self, folder: Path, site_file: Path, room: str, seed: int = 1) -> None:
        """`room`: the room that gets the beam."""
        self.folder, self.room, self.seed = folder, room, seed
        self.site: Site = sites.load(site_file)
        self.table = matrix.load(self.site.interlock_path)
        self.events: list[dict[str, Any]] = []
        self.dead: set[str] = set()
        """Watched clients that send no heartbeat now."""
        self.links: dict[str, WireClient] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._blocks: dict[str, Frame] = {}
        self._index: dict[str, dict[str, int]] = {}

    # --- processes and links -------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start `plant` or `fpga` and wait until it has told its port."""
        command = [sys.executable, "-m", f"simulation.{name}", "--state", str(self.folder)]
        command += ["--site", str(self.site.path)]
        command += ["--seed", str(self.seed)] if name == "fpga" else []
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stderr=log, stdout=log)
        until(lambda: self._run_file(name).get("pid") == self._processes[name].pid, f"{name} starts")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """A signal to a process."""
        os.kill(self._processes[name].pid, number)
        if number == signal.SIGKILL:
            self._processes[name].wait(10)

    def stop(self) -> None:
        """End links and processes."""
        for link in self.links.values():
            link.close()
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    def connect(self, server: str, name: str, watched: bool = False) -> WireClient:
        """A link to a process; the watched ones beat until their name is in `dead`."""

        def keep(frame: Frame) -> None:
            self._blocks[server] = frame

        def note(frame: Frame) -> None:
            self.events.append(dict(frame.body))

        peer = Peer(
            "127.0.0.1",
            int(self._run_file(server)["port"]),
            name,
            watched,
            stale_s=None,
            healthy=lambda: name not in self.dead,
        )
        shows = name in ("operator", "console")
        link = WireClient(peer, keep if shows else _nothing, note if name == "console" else _nothing)
        link.wait_alive(ANSWER_S)
        self.links[name] = link
        return link

    def _run_file(self, name: str) -> dict[str, Any]:
        path = self.folder / "run" / f"{name}.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            return {}

    # --- asking --------------------------------------------------------------------------------

    def fpga(self, verb: str, arrays: Mapping[str, NDArray[Any]] | None = None, **body: Any) -> Frame:
        """A request to the beam hardware."""
        return self.links["console"].request({"do": verb, **body}, arrays, ANSWER_S)

    def plant(self, verb: str, **body: Any) -> Mapping[str, Any]:
        """A request to the plant."""
        return self.links["operator"].request({"do": verb, **body}, timeout=ANSWER_S).body

    def status(self) -> Mapping[str, Any]:
        """The beam hardware as it concerns the room."""
        return self.fpga("status", room=self.room).body

    def reading(self, server: str, channel: str) -> float:
        """A channel in the latest block; NaN before the first one."""
        frame = self._blocks.get(server)
        return float(block_values(frame)[self._places(server)[channel]]) if frame else float("nan")

    def has(self, server: str, channel: str) -> bool:
        """Whether a process has a channel."""
        return channel in self._places(server)

    def _places(self, server: str) -> Mapping[str, int]:
        if server not in self._index:
            link = self.links["operator" if server == "plant" else "console"]
            self._index[server] = {name: i for i, name in enumerate(link.channels)}
        return self._index[server]


def _nothing(frame: Frame) -> None:
    """A link whose news nobody needs."""
