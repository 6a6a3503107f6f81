"""Beam for measurements against hardware that shows old news, trips and is ended by others; lost sessions."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tango

from common.errors import LinkLost, Refused, Unauthorised
from common.site import CONFIG, load
from device_servers.central.physics_steps import STEPS, check_step
from ptcs.commissioning.beam import Aborted, RoomBeam, Spot
from ptcs.commissioning.bench import Readings
from ptcs.commissioning.instruments import TRIES, delivered
from ptcs.commissioning.tango_bench import TangoBench
from simulation.fpga.states import TABLE, State

pytestmark = pytest.mark.requirement("ACS-COMMISSION")
SITE = load(CONFIG / "demo.yaml")
COMMANDS = {"Load": "load", "Ready": "load", "Start": "start", "Resume": "resume",
            "Terminate": "terminate", "Unload": "unload"}  # fmt: skip


class Hardware:
    """A bench whose PhysicsBeam follows the hardware's table; `script`: what comes after each start."""

    user, site = "sven", SITE

    def __init__(self, *script: State) -> None:
        self.state, self.script, self.loads = State.COMPLETE, list(script), 0
        self.clock = 0.0

    def command(self, device: str, name: str, argument: Any = None) -> Any:
        if name == "Standing":
            told = self.state
            if told is State.DELIVERING:
                self.state = self.script.pop(0)
            return json.dumps({"state": told, "cause": "", "mine": True})
        if name == "Counters":
            return json.dumps({key: [1.0] for key in
                               ("x", "y", "size_x", "size_y", "primary", "secondary")})  # fmt: skip
        if name in ("Start", "Resume"):
            check_step(self.state, name)
            self.state = State.DELIVERING
        elif name == "Load":
            check_step(self.state, name)
            self.state, self.loads = State.LOADED, self.loads + 1
        elif name == "ResetTrips" and self.state is State.TRIPPED:
            self.state = State.HELD
        return None

    def read(self, names: Any) -> Readings:
        values = [
            float(self.state is State.TRIPPED) if name.endswith("Tripped") else 1000.0 for name in names
        ]
        values = [20.0 if name.endswith("Temperature") else v for name, v in zip(names, values, strict=True)]
        return Readings(np.array(values), np.full(len(names), self.clock))

    def text(self, name: str) -> str:
        return "COMPLETE"  # the block before: whoever believes it takes the last delivery for this one

    def pause(self, seconds: float) -> None:
        self.clock += seconds

    def now(self) -> float:
        return self.clock


def beam_of(bench: Hardware) -> RoomBeam:
    return RoomBeam(bench, "room1", patience_s=5.0)  # type: ignore[arg-type]


def test_a_delivery_is_its_own_and_goes_on_after_trips() -> None:
    bench = Hardware(State.TRIPPED, State.HELD, State.COMPLETE)
    beam = beam_of(bench)
    seen = beam.deliver([150.0], [Spot(0, 0.0, 0.0, 1.0)])
    assert seen.primary.tolist() == [1.0] and bench.loads == 1 and bench.script == []
    assert [why.partition(":")[0] for why in beam.revived] == ["TRIPPED", "HELD"]


def test_a_delivery_that_somebody_ended_is_made_anew_from_zero() -> None:
    bench, zeroed = Hardware(State.TERMINATED, State.COMPLETE), []

    def charge() -> np.ndarray:
        return np.array([13.0])

    command: Callable[..., Any] = bench.command

    def seen_by(device: str, name: str, argument: Any = None) -> Any:
        if name == "Zero":
            zeroed.append(bench.loads)
        return command(device, name, argument)

    bench.command = seen_by  # type: ignore[method-assign]
    spots = [Spot(0, 0.0, 0.0, 1.0)]
    _seen, total = delivered(bench, beam_of(bench), "room1/dosimetry/reference", 150.0, spots, charge)  # type: ignore[arg-type]
    assert total.tolist() == [13.0] and bench.loads == 2 and zeroed == [0, 1]
    bench.script = [State.TERMINATED] * TRIES
    with pytest.raises(Aborted, match="deliver it anew"):
        delivered(bench, beam_of(bench), "room1/dosimetry/reference", 150.0, spots, charge)  # type: ignore[arg-type]
    bench.script = [State.COMPLETE]
    with pytest.raises(LinkLost, match="has seen nothing"):
        delivered(bench, beam_of(bench), "x", 150.0, spots, lambda: np.zeros(1))  # type: ignore[arg-type]


def test_steps_are_those_that_the_hardware_takes_and_lead_back_from_every_end() -> None:
    assert set(STEPS) == set(TABLE)
    for state, steps in STEPS.items():
        for step in steps - {"Hold"}:
            tripped = state == "TRIPPED" and step in ("Load", "Ready")  # given up first
            assert tripped or COMMANDS[step] in TABLE[State(state)], (state, step)
    for state in ("COMPLETE", "TERMINATED", "TRIPPED", "HELD", "IDLE"):
        assert {"Load", "Ready"} <= STEPS[state]
    with pytest.raises(Refused, match="allowed are Load, Ready, Unload"):
        check_step("TERMINATED", "Start")


def test_a_server_that_has_forgotten_the_session_gets_it_again() -> None:
    known: list[str] = []

    class Proxy:
        def __init__(self, name: str) -> None:
            self.name = name

        def command_inout(self, name: str, *given: Any) -> str:
            if not known:
                tango.Except.throw_exception("Refused", "no session of this client", "authority")
            return "done"

        def read_attribute(self, name: str) -> Any:
            return SimpleNamespace(value=known[0] if known else "")

    renewed: list[int] = []

    def renew() -> None:
        renewed.append(1)
        known.append("sven")

    client = SimpleNamespace(user="sven", proxy=Proxy, renew=renew)
    bench = TangoBench(client, SITE)  # type: ignore[arg-type]
    assert bench.command("room1/beam/physics", "Ask") == "done" and renewed == [1]
    known.clear()
    bench.ended = True
    with pytest.raises(Unauthorised, match="no session"):
        bench.command("room1/beam/physics", "Ask")
    assert renewed == [1]
