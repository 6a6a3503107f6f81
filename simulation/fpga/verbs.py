"""The verbs of the beam hardware, each a function of the core and a request."""

from collections.abc import Callable

import numpy as np

from common.clock import ClockRate
from common.errors import Refused
from common.text import _
from common.wire.frame import Frame
from simulation.fpga import timing_verbs, verbs_interlock
from simulation.fpga.call import Call
from simulation.fpga.core import Core
from simulation.fpga.rows import columns
from simulation.fpga.spotmap import accept
from simulation.fpga.states import ACTIVE, State
from simulation.fpga.verbs_interlock import inputs_body, interlock_body
from simulation.wire_server import Answer, number, text


def _status(call: Call) -> Answer:
    """The whole hardware; with `room`, as far as it concerns that room: its map, its permits, its inputs."""
    core, room = call.core, call.room()
    outputs, delivery = core.guard.outputs, core.delivery
    ours = not room or delivery is None or delivery.spots.room == room
    delivery = delivery if ours else None
    first = outputs.first_fault if outputs else None
    spot = delivery.spot if delivery else 0
    columns = core.guard.columns(room) if room else core.guard.matrix.output_names
    body = {
        "state": (core.state if ours else State.IDLE).value,
        "cause": core.cause if ours else "",
        "tick": core.tick,
        "factor": call.rate.factor,
        "seed": core.seed,
        "room": core.room,
        "beam": core.beam_on and ours,
        "beam_number": delivery.spots.beam_number if delivery else None,
        "layer": int(delivery.spots.layer[min(spot, delivery.spots.count - 1)]) if delivery else None,
        "spot": spot if delivery else None,
        "digest": delivery.spots.digest if delivery else None,
        "permit": {name: outputs.permits[name] for name in columns} if outputs else {},
        "first_fault": first
        and {"input": first.input, "tick": first.tick, "wall_ns": call.wall_ns(first.tick)},
        "inputs": inputs_body(core, room),
        "blocking": list(core.guard.against(room) if room else core.guard.blocking),
        "interlock": interlock_body(call),
    }
    return body, {}


def _load_cycles(call: Call) -> Answer:
    energies = call.body.get("energies")
    if not isinstance(energies, list) or not energies:
        raise Refused("load_cycles needs 'energies', a list of MeV")
    array = np.array([number({"do": "load_cycles", "energy": e}, "energy") for e in energies])
    lowest, highest = call.core.model.spill[0][0], call.core.model.spill[0][-1]
    outside = (array < lowest * 0.999) | (array > highest * 1.001)
    if outside.any():
        wrong = array[outside][0]
        raise Refused(
            _("no cycle for {energy:g} MeV: this machine has {lowest:g} to {highest:g} MeV").format(
                energy=wrong, lowest=lowest, highest=highest
            )
        )
    call.core.energies = tuple(float(energy) for energy in array)
    return {"cycles": len(array)}, {}


def _load_map(call: Call) -> Answer:
    return {"digest": call.core.load(accept(call.body, call.frame.arrays))}, {}


def _allocate(call: Call) -> Answer:
    call.core.allocate(text(call.body, "room"))
    return {"room": call.core.room}, {}


def _read_map(call: Call) -> Answer:
    delivery = call.core.delivery
    if delivery is None:
        raise Refused(_("no map is loaded: load_map first"))
    return delivery.spots.body(), delivery.spots.arrays()


def _read_counters(call: Call) -> Answer:
    core, delivery = call.core, call.core.delivery
    if delivery is None:
        raise Refused(_("no map is loaded, so there are no counters"))
    if call.room() in ("", delivery.spots.room):  # what another room has seen is not recorded for this one
        core.unread = core.unread and core.state in ACTIVE
    body = {
        "room": delivery.spots.room,
        "state": core.state.value,
        "cause": core.cause,
        "tick": core.tick,
        "wall_ns": call.wall_ns(core.tick),
        "factor": call.rate.factor,
        "origin_wall_ns": call.rate.origin_wall_ns,
        "beam_number": delivery.spots.beam_number,
        "digest": delivery.spots.digest,
    }
    return body, columns(delivery.rows)


def _fault(call: Call) -> Answer:
    size = number(call.body, "size") if "size" in call.body else None
    call.core.fault(text(call.body, "kind"), size)
    return {}, {}


def _clear(call: Call) -> Answer:
    call.core.fault(text(call.body, "kind"), 0.0)
    return {}, {}


def _plain(act: Callable[[Call], None]) -> Callable[[Call], Answer]:
    """A command without an answer of its own; one that speaks for a room must come from the beam's holder."""

    def do(call: Call) -> Answer:
        if room := call.room():
            call.core.require(room)
        act(call)
        return {"state": call.core.state.value}, {}

    return do


def _cause(call: Call) -> str:
    return text(call.body, "cause")


def _timing_load(call: Call) -> Answer:
    if call.core.state in ACTIVE:
        raise Refused(_("the timing cannot be changed while beam is under way; hold or terminate first"))
    return timing_verbs.load(call.core.cycle.timing, call.body), {}


QUESTIONS: dict[str, Callable[[Call], Answer]] = {
    "timing": lambda call: (timing_verbs.show(call.core.cycle.timing, call.body), {}),
    "timing_log": lambda call: (timing_verbs.log(call.core.cycle.timing, call.body), {}),
    "status": _status,
    "read_map": _read_map,
    "read_counters": _read_counters,
    **verbs_interlock.QUESTIONS,
}
COMMANDS: dict[str, Callable[[Call], Answer]] = {
    "timing_load": _timing_load,
    "allocate": _allocate,
    "load_cycles": _load_cycles,
    "load_map": _load_map,
    "start": _plain(lambda call: call.core.start()),
    "hold": _plain(lambda call: call.core.hold(_cause(call))),
    "resume": _plain(lambda call: call.core.resume()),
    "terminate": _plain(lambda call: call.core.terminate(_cause(call))),
    "unload": _plain(lambda call: call.core.unload()),
    "reset": _plain(lambda call: call.core.reset(text(call.body, "user"), call.roles())),
    "fault": _fault,
    "clear": _clear,
    **verbs_interlock.COMMANDS,
}


def answer(core: Core, rate: ClockRate, verb: str, frame: Frame, wall_ns: Callable[[int], int]) -> Answer:
    """Do a verb. `wall_ns`: wall time of a tick. Raises Refused, Unauthorised."""
    do = QUESTIONS.get(verb) or COMMANDS.get(verb)
    if do is None:
        allowed = ", ".join(sorted({*QUESTIONS, *COMMANDS, "hello", "step"}))
        raise Refused(f"unknown verb {verb!r}: allowed are {allowed}")
    return do(Call(core, rate, frame, wall_ns))
