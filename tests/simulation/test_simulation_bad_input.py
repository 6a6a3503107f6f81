"""What reaches plant and fpga from outside may be anything; it is refused with a reason, or it is fine."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rig_fpga import SITE, SLICE, Rig, make_map

from common.clock import ClockRate
from common.errors import BadInput, PtcsError, Refused, Tampered
from common.wire.frame import Decoder, Frame, Kind, encode
from simulation.fpga.__main__ import build
from simulation.fpga.retained import Retained, Status, create
from simulation.fpga.rows import blank
from simulation.fpga.spotmap import accept
from simulation.fpga.states import State
from simulation.fpga.verbs import COMMANDS, QUESTIONS, answer
from simulation.plant.plant import Plant
from simulation.wire_server import Client

NUMBERS = [0, 1, -1, 3.5, float("nan"), float("inf"), 1e308, -1e308, 2**70, 10**400]
NAMES = ["", "x", "emergency_stop", "position_offset", "ring-dipole", "room1-couch", "regulation", "setpoint"]
VALUES = [None, True, False, *NUMBERS, *NAMES, [], [1], ["a"], {}, {"x": 1}, {"x": float("nan")}]
KEYS = ["name", "ok", "user", "roles", "reason", "seconds", "kind", "size", "cause", "energies"]
KEYS += ["device", "value", "target", "beam_number", "k_tp", "plan_hash", "resume"]
DEVICE_VERBS = ["set", "on", "off", "reset", "open", "close", "move", "stop"]


def some_map(rng: random.Random) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    body, arrays = make_map()
    for name in arrays:
        if rng.random() < 0.1:
            whole = arrays[name]
            huge = np.full(len(whole), 2**62, "<i8")
            arrays[name] = rng.choice([whole[:3], -whole, whole * np.nan, huge, np.zeros((2, 2)), whole[:0]])
    return body, arrays


@pytest.mark.requirement("SYS-SECURITY")
def test_any_request_is_done_or_refused_and_time_goes_on() -> None:
    rng = random.Random(3)
    rig, plant, rate = Rig(), Plant(SITE), ClockRate(10, 0)
    refused = done = 0
    for count in range(6000):
        verb = rng.choice([*QUESTIONS, *COMMANDS, "dance"])
        body, arrays = some_map(rng) if verb == "load_map" else ({}, {})
        body |= {key: rng.choice(VALUES) for key in KEYS if rng.random() < (0.05 if arrays else 0.5)}
        calls = [
            lambda v=verb, b=body, a=arrays: answer(
                rig.core, rate, v, Frame(Kind.REQUEST, 1, {**b, "do": v}, a), lambda t: t
            ),
            lambda b=body: plant.do(rng.choice(DEVICE_VERBS), b),
            lambda b=body: rng.choice([plant.inject, plant.clear])(b),
        ]
        for call in calls:
            try:
                call()
                done += 1
            except PtcsError as why:
                assert str(why)
                refused += 1
        if count % 50 == 0:
            rig.go(SLICE)
            plant.step(0.01)
    assert refused > 5000 and done > 1000
    assert plant.values().shape == (len(plant.channels()),)


@pytest.mark.requirement("SYS-SECURITY")
def test_damaged_frames_are_noticed() -> None:
    rng = random.Random(5)
    whole = encode(Frame(Kind.REQUEST, 1, *make_map()))
    for _ in range(2000):
        data = bytearray(whole)
        at = rng.randrange(36, len(data))
        data[at] ^= rng.randrange(1, 256)
        with pytest.raises(BadInput):
            list(Decoder().feed(bytes(data)))


@pytest.mark.requirement("SYS-LOOP")
def test_without_room_for_the_counters_a_map_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "fpga").write_text("in the way of the folder")
    crate, _ = build(SITE, tmp_path, seed=1, stepped=True)
    client = Client(writer=None)
    body, arrays = make_map()
    energies = [float(energy) for energy in arrays["energy"]]
    crate.handle(client, Frame(Kind.REQUEST, 1, {"do": "load_cycles", "energies": energies}))
    with pytest.raises(Refused, match="counters cannot be kept"):
        crate.handle(client, Frame(Kind.REQUEST, 2, {**body, "do": "load_map"}, arrays))
    assert crate.core.state is State.IDLE and crate.core.delivery is None


@pytest.mark.requirement("TCS-RECORD")
def test_damaged_retained_memory_is_not_believed(tmp_path: Path) -> None:
    spots = accept(*make_map())
    path = tmp_path / "fpga" / "counters.bin"
    create(path, spots, blank(spots.count), Status(1, State.HELD, ""), 1).close()
    good = path.read_bytes()
    for bad in (good[:40], good[:-1], b"X" + good[1:], good[:250] + b"\xff" + good[251:]):
        path.write_bytes(bad)
        with pytest.raises(Tampered):
            memory = Retained(path)
            try:
                memory.load()
            finally:
                memory.close()
        with pytest.raises(Tampered):
            build(SITE, tmp_path, seed=1, stepped=False)
