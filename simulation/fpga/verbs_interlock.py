"""The verbs of the interlock: inputs, masks, self-test, statistics, ring buffers."""

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from common.clock import ticks
from common.errors import Refused
from common.text import _
from simulation.fpga.call import Call
from simulation.fpga.core import Core
from simulation.fpga.guard import Guard
from simulation.fpga.rings import Trip
from simulation.wire_server import Answer, number, text


def interlock_body(call: Call) -> dict[str, Any]:
    """Self-test, masks and beam-off of the interlock, times as wall time."""
    interlock = call.core.guard.interlock
    test, off = interlock.self_tested, interlock.switching_off
    return {
        "self_test_needed": call.core.guard.matrix.self_test_ticks > 0,
        "self_test": test
        and {
            "passed": test.passed,
            "user": test.user,
            "cases": test.cases,
            "failures": list(test.failures[:8]),
            "wall_ns": call.wall_ns(test.tick),
            "until_wall_ns": call.wall_ns(test.until_tick),
            "valid": test.valid(call.core.tick),
        },
        "masks": [
            {
                "input": mask.inputs[0],
                "user": mask.user,
                "reason": mask.reason,
                "until_wall_ns": call.wall_ns(mask.until_tick),
            }
            for mask in interlock.masks
        ],
        "statistics": _numbers(call),
        "beam_off": {"state": off.state.value, "stage": off.level},
    }


def inputs_body(core: Core, room: str) -> dict[str, dict[str, bool | None]]:
    """Every input, or those that concern a room: but the rows of other rooms that stand in nobody's way."""
    concerned = frozenset(core.guard.against(room)) if room else frozenset()
    return _inputs(core.guard, (*core.guard.interlock.words, core.guard.known), room, concerned)


@lru_cache(maxsize=16)
def _inputs(
    guard: Guard, _words: tuple[int, ...], room: str, concerned: frozenset[str]
) -> dict[str, dict[str, bool | None]]:
    """As `inputs_body`; asked many times a second for words that seldom change."""
    rows = {row.name: row.room for row in guard.matrix.inputs}
    return {
        name: {"ok": state.ok, "latched": state.latched, "masked": state.masked}
        for name, state in guard.states().items()
        if not room or rows[name] in ("", room) or name in concerned
    }


def _rings(call: Call) -> Answer:
    """What the ring buffers hold of a span of ticks."""
    rings = call.core.guard.rings
    begin, end = int(number(call.body, "from_tick")), int(number(call.body, "to_tick"))
    return {**rings.body(), "tick": call.core.tick, "factor": call.rate.factor}, rings.arrays(begin, end)


def _trips(call: Call) -> Answer:
    rings = call.core.guard.rings
    trips = [trip.as_dict() for trip in rings.trips]
    window = {"pre_s": rings.window.pre_s, "post_s": rings.window.post_s}
    body = {"trips": trips, "tick": call.core.tick, "wall_ns": call.wall_ns(call.core.tick), **window}
    return {**body, "factor": call.rate.factor, "origin_wall_ns": call.rate.origin_wall_ns}, {}


def _mark(call: Call) -> Answer:
    tick = call.core.tick
    call.core.guard.rings.trips.append(Trip(tick, call.wall_ns(tick), text(call.body, "cause")[:200], None))
    return {"tick": tick}, {}


def _self_test(call: Call) -> Answer:
    record = call.core.self_test(text(call.body, "user"), call.roles())
    return {"passed": record.passed, "cases": record.cases, "failures": list(record.failures)}, {}


def _classify(call: Call) -> Answer:
    body = call.body
    name, user, reason = text(body, "name"), text(body, "user"), text(body, "reason")
    if name not in call.core.guard.matrix.input_names:
        raise Refused(_("no interlock input {name}").format(name=name))
    call.core.guard.interlock.classify_false(name, user, call.roles(), reason)
    return {}, {}


def _numbers(call: Call) -> dict[str, Any]:
    counts = call.core.guard.interlock.counts
    causes = {name: asdict(count) for name, count in counts.as_dict().items()}
    return {"causes": causes, "tests": {"passed": counts.tests_passed, "failed": counts.tests_failed}}


def _input(call: Call) -> Answer:
    ok = call.body.get("ok")
    if not isinstance(ok, bool):
        raise Refused("input: 'ok' must be true or false")
    call.core.drive(text(call.body, "name"), ok)
    return {}, {}


def _mask(call: Call) -> Answer:
    body, core = call.body, call.core
    until = core.tick + ticks(number(body, "seconds") * call.rate.factor)
    name, user, reason = text(body, "name"), text(body, "user"), text(body, "reason")
    entry = core.guard.interlock.mask(name, user, call.roles(), reason, until)
    core.guard.again(core.tick)
    return {"until_tick": entry.until_tick}, {}


def _unmask(call: Call) -> Answer:
    body, core = call.body, call.core
    core.guard.interlock.unmask(text(body, "name"), text(body, "user"), call.roles())
    core.guard.again(core.tick)
    return {}, {}


QUESTIONS: dict[str, Callable[[Call], Answer]] = {
    "rings": _rings,
    "trips": _trips,
}
COMMANDS: dict[str, Callable[[Call], Answer]] = {
    "input": _input,
    "mask": _mask,
    "unmask": _unmask,
    "mark": _mark,
    "self_test": _self_test,
    "classify": _classify,
}
