"""A machine as its two real processes, plant and beam hardware, run over frames without Tango.

Everything is switched on and searched as operators do; a map is loaded again whenever it is delivered.
"""

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

import numpy as np
from numpy.typing import NDArray

from common import site as sites
from common.errors import LinkLost, PtcsError, Refused
from common.links.wire import Peer, WireClient, block_values, channel_names
from common.site import Site
from common.units import air_density_correction
from common.wire.frame import Frame
from interlock import matrix
from ptcs.demo.machine import buttons, start_up, stations
from simulation.fpga.guard import OWN_CHECKS, Guard
from simulation.fpga.states import State

ROLES = ["therapist", "operator", "service"]
USER = "campaign"
ANSWER_S = 10.0
READY_S = 90.0
POLL_S = 0.03
ENERGIES = 4
SPOTS = 400
"""Layers of the map that is delivered again and again, and spots in each."""
HIGHEST, LOWEST = 150.0, 120.0


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


class Rig:
    """Plant and beam hardware of a site, their links, and what operators do with them."""

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
            self._index[server] = {name: i for i, name in enumerate(channel_names(link.crate))}
        return self._index[server]

    # --- operating -----------------------------------------------------------------------------

    def up(self) -> None:
        """From nothing to permits for the room."""
        self.start("plant")
        self.start("fpga")
        self.connect("plant", "operator")
        self.connect("fpga", "console")
        for name in self.site.watchdogs["clients"]:
            self.connect("fpga", name, watched=True)
        self.switch_on()
        self.search()
        if len(self.site.rooms) > 1:
            self.fpga("allocate", room=self.room)
        self.drive(False)
        if self.table.self_test_ticks:
            test = self.fpga("self_test", user=USER, roles=ROLES).body
            if not test["passed"]:
                raise NotInTime(f"self-test of the interlock: {test['failures'][:3]}")
        self.drive(True)
        self.permitted()

    def switch_on(self) -> None:
        """Every stage of the start in order; a valve waits for its vacuum."""
        for stage, devices in start_up(self.site, self.room):
            for device in devices:
                self._patiently(device.wire, stage.command.lower())

    def search(self) -> None:
        """Walk through the halls and the room, pressing the buttons, and close behind."""
        for station in stations(self.site, self.room):
            for button in buttons(station):
                self.plant("press", device=station.wire, button=button)

    def drive(self, request: bool) -> None:
        """Drive the inputs that servers and people drive; `request`: whether the room asks for beam."""
        for name in Guard(self.table).drivable() - {self.table.service_key}:
            asking = request and self.table.input(name).room in ("", self.room)
            self.fpga("input", name=name, ok=asking if name in self.table.arming else True)

    def permitted(self, limit_s: float = READY_S) -> None:
        """Reset until the room has every permit. Raises NotInTime naming what withholds them."""
        deadline = time.monotonic() + limit_s
        while blocking := self.status()["blocking"]:
            if time.monotonic() > deadline:
                raise NotInTime(f"no permit within {limit_s:g} s: {', '.join(blocking[:6])}")
            with suppress(Refused):
                self.fpga("reset", user=USER, roles=ROLES)
            time.sleep(POLL_S)

    def _patiently(self, wire: str, verb: str) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.plant(verb, device=wire)
            except Refused:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def losses(self, kind: str, name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """How to lose a link or a process, and how to have it back."""
        ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "silent": (lambda: self.dead.add(name), lambda: self.dead.discard(name)),
            "closed": (
                lambda: self.links.pop(name).close(),
                lambda: self.connect("fpga", name, watched=True),
            ),
            "stopped": (lambda: self.kill(name, signal.SIGSTOP), lambda: self.kill(name, signal.SIGCONT)),
            "killed": (lambda: self.kill(name), lambda: self.again(name)),
        }
        return ways[kind]

    def again(self, name: str) -> None:
        """A process, killed if it still runs, comes back on its port; links find it."""
        if self._processes[name].poll() is None:
            self.kill(name)
        self.start(name)
        for link in self.links.values():
            link.wait_alive(ANSWER_S)
        if name == "fpga":
            if len(self.site.rooms) > 1:
                self.fpga("allocate", room=self.room)
            self.drive(True)

    # --- beam ----------------------------------------------------------------------------------

    def load(self) -> None:
        """A map of some seconds of beam, in the air as it is."""
        air = air_density_correction(
            *(self.reading("plant", f"beam.{x}") for x in ("temperature", "pressure"))
        )
        energies = np.round(np.linspace(HIGHEST, LOWEST, ENERGIES))
        rng, n = np.random.default_rng(self.seed), ENERGIES * SPOTS
        arrays = {
            "energy": energies,
            "layer": np.repeat(np.arange(ENERGIES, dtype="<i4"), SPOTS),
            "x": rng.uniform(-50, 50, n),
            "y": rng.uniform(-50, 50, n),
            "size_x": np.full(n, 5.0),
            "size_y": np.full(n, 5.0),
            "preset": np.full(n, 20_000, dtype="<i8"),
            "done": np.zeros(n, "<i8"),
        }
        body = {
            "beam_number": 1,
            "counts_per_mu": float(self.site.monitor["counts_per_mu"]),
            "k_tp": air,
            "plan_hash": "ab" * 32,
            "resume": False,
            "room": self.room,
        }
        self.fpga("load_cycles", energies=[float(energy) for energy in energies])
        self.fpga("load_map", arrays, **body)

    def state(self) -> State:
        """State of the beam hardware in its latest block: asking for it costs it nothing."""
        value = self.reading("fpga", "fpga.state")
        return list(State)[int(value)] if value == value else State.IDLE  # noqa: PLR0124 - NaN: no block yet

    def beam(self, limit_s: float = READY_S) -> None:
        """See to it that beam is delivered now: permits, a map, start or resume, and counts that grow."""
        deadline = time.monotonic() + limit_s
        while (state := self._asked()) is not State.DELIVERING:
            why = ""
            try:
                self._towards_beam(state)
                until(lambda: self.state() in (State.DELIVERING, State.TRIPPED, State.COMPLETE), "beam", 6.0)
            except (Refused, NotInTime) as refusal:
                why = str(refusal)[:120]
            if time.monotonic() > deadline:
                raise NotInTime(f"no beam within {limit_s:g} s: state {state}, {why}")
            time.sleep(POLL_S)

    def _asked(self) -> State:
        return State(str(self.fpga("status", room=self.room).body["state"]))

    def _towards_beam(self, state: State) -> None:
        if state is State.TRIPPED:
            self.permitted()
            self.fpga("reset", user=USER, roles=ROLES)
            state = State.HELD
        if state is State.HELD and self.fpga("status").body["cause"] not in OWN_CHECKS:
            self.permitted()
            self.fpga("resume")
        elif state is not State.SWITCHING:
            # What a check has stopped goes on as a map of its own, like any part of a treatment.
            self.load()
            self.permitted()
            self.fpga("start")


def _nothing(frame: Frame) -> None:
    """A link whose news nobody needs."""
