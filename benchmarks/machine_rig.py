"""A machine of any site run over frames: switched on and searched as operators do, with beam.

A map is loaded again whenever it is delivered.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from benchmarks.machine_processes import ANSWER_S, POLL_S, READY_S, NotInTime, Processes, until
from common.errors import Refused
from common.units import air_density_correction
from ptcs.demo.machine import buttons, start_up, stations
from simulation.fpga.guard import OWN_CHECKS, Guard
from simulation.fpga.states import State

ROLES = ["therapist", "operator", "service"]
USER = "campaign"
ENERGIES = 4
SPOTS = 400
"""Layers of the map that is delivered again and again, and spots in each."""
HIGHEST, LOWEST = 150.0, 120.0


class Operated(Processes):
    """What operators do with a machine until it permits beam, and what can be lost of it."""

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


class Rig(Operated):
    """A machine that delivers beam."""

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
