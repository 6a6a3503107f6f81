"""The verbs of the timing system: what it shows, what it takes, and its event log."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from common.errors import Refused
from common.text import _
from simulation.fpga.timing import Beam, MachineTiming
from simulation.wire_server import text
from timing.events import Event, check_whole
from timing.plan import DOWN, MACHINE_MODES, UP
from timing.pulser import PulserSettings, check_prescaler
from timing.receiver import Stamp
from timing.sequencer import Mode, Sequence

Body = Mapping[str, Any]
MOST_EVENTS = 1000
"""Events of the log in one answer."""
SHOWN_FINDINGS = 50
FLAGS = ("inverted", "enabled")
NUMBERS = ("delay", "width", "prescaler")


def show(timing: MachineTiming, body: Body) -> dict[str, Any]:
    """Everything there is to see; with `sequencer`, that sequencer's steps too. Raises BadInput."""
    tick = timing.now or 0
    answer = {
        "plan": timing.plan.name,
        "tick": tick,
        "heartbeat": timing.alive(tick),
        "collisions": timing.generator.collisions,
        "sequencers": [_sequencer(timing, number) for number in (UP, DOWN)],
        "receivers": [_receiver(timing, name, tick) for name in timing.monitors],
        "pulsers": {name: _pulser(timing, settings) for name, settings in timing.settings.items()},
        "findings": _findings(timing),
        "diagnosis": [
            {"cause": d.cause.value, "where": d.where, "text": d.text, "deviation": d.deviation}
            for d in timing.diagnosis(tick)
        ],
        "beam": {"ion": timing.beam.ion, "intensity": timing.beam.intensity, "room": timing.beam.room},
        "events": {f"0x{code:02X}": name for code, name in sorted(timing.plan.names.items())},
        "accelerator": timing.accelerator,
        "log": timing.log.next,
    }
    if "sequencer" in body:
        sequence = timing.sequencer(body["sequencer"]).sequence
        answer["sequence"] = None if sequence is None else sequence.as_body()
    return answer


def _sequencer(timing: MachineTiming, number: int) -> dict[str, Any]:
    sequencer = timing.sequencer(number)
    body = sequencer.sequence.as_body() if sequencer.sequence else {}
    return {
        "number": number,
        "stage": sequencer.stage.value,
        "mode": sequencer.mode.value,
        "trigger": sequencer.source,
        "steps": len(body.get("steps", ())),
        "length": body.get("length", 0),
        "digest": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
        "masked": sequencer.masked,
        "enabled": sequencer.enabled,
        "runs": sequencer.runs,
        "lost_triggers": sequencer.lost_triggers,
    }


def _receiver(timing: MachineTiming, name: str, tick: int) -> dict[str, Any]:
    monitor = timing.monitors[name]
    receiver = monitor.receiver
    return {
        "name": name,
        "alive": receiver.alive(tick),
        "received": receiver.received,
        "matched": monitor.matched,
        "findings": len(monitor.findings),
        "fifo": len(receiver.fifo),
        "overflow": receiver.fifo.overflow,
        "pulses": {
            key: {"pulses": pulser.pulses, "lost_triggers": pulser.lost_triggers, "level": pulser.level}
            for key, pulser in receiver.pulsers.items()
        },
    }


def _pulser(timing: MachineTiming, settings: PulserSettings) -> dict[str, Any]:
    return {
        "events": {timing.plan.names[code]: action.value for code, action in settings.actions.items()},
        "delay": settings.delay,
        "width": settings.width,
        "prescaler": settings.prescaler,
        "inverted": settings.inverted,
        "enabled": settings.enabled,
    }


def _findings(timing: MachineTiming) -> list[dict[str, Any]]:
    rows = [("", finding) for finding in timing.collisions]
    rows += [(name, finding) for name, monitor in timing.monitors.items() for finding in monitor.findings]
    rows.sort(key=lambda row: row[1].event.tick)
    return [
        {
            "receiver": name,
            "fault": finding.fault.value,
            "event": _name(timing, finding.event.code),
            "tick": finding.event.tick,
            "deviation": finding.deviation,
        }
        for name, finding in rows[-SHOWN_FINDINGS:]
    ]


def load(timing: MachineTiming, body: Body) -> dict[str, Any]:
    """One change: of a sequencer, of a pulser, of the beam that cycles are for, or `clear` of findings.

    Raises BadInput for what cannot be used, Refused for what cannot be now; then nothing has changed.
    """
    kinds = [kind for kind in LOADS if kind in body]
    if len(kinds) != 1:
        raise Refused(f"timing_load needs exactly one of {', '.join(LOADS)}")
    LOADS[kinds[0]](timing, body)
    return {}


def _load_sequencer(timing: MachineTiming, body: Body) -> None:
    number = body["sequencer"]
    sequencer = timing.sequencer(number)
    if "steps" in body:
        sequence, mode = Sequence.of(body), _mode(body.get("mode", sequencer.mode.value))
        plan = timing.plan.with_sequence(number, sequence)
        sequencer.load(sequence, mode)
        timing.plan = plan
        sequencer.arm()
        return
    bits = {key: check_whole(key, body[key], 0, 15) for key in ("masked", "enabled") if key in body}
    armed = body.get("arm")
    if not bits and not isinstance(armed, bool):
        raise Refused("timing_load of a sequencer needs 'steps', 'arm', 'masked' or 'enabled'")
    sequencer.masked = bits.get("masked", sequencer.masked)
    sequencer.enabled = bits.get("enabled", sequencer.enabled)
    if isinstance(armed, bool):
        sequencer.arm() if armed else sequencer.disarm()


def _mode(name: object) -> Mode:
    allowed = [mode.value for mode in MACHINE_MODES]
    if name not in allowed:
        why = _("mode {mode}: the machine cycle is triggered each time, so allowed are {allowed}")
        raise Refused(why.format(mode=name, allowed=", ".join(allowed)))
    return Mode(name)


def _load_pulser(timing: MachineTiming, body: Body) -> None:
    name = text(body, "pulser")
    timing.plan.settings(name)
    changes: dict[str, Any] = {}
    for key in FLAGS:
        if key in body:
            if not isinstance(body[key], bool):
                raise Refused(f"pulser {name}: {key!r} must be true or false")
            changes[key] = body[key]
    for key in NUMBERS:
        if key in body:
            absent = key == "prescaler" and body[key] is None
            prescaler = key == "prescaler" and not absent
            check = check_prescaler if prescaler else lambda v, key=key: check_whole(key, v, 0, 2**32 - 1)
            changes[key] = None if absent else check(body[key])
    if not changes:
        raise Refused(f"pulser {name}: give one of {', '.join((*NUMBERS, *FLAGS))}")
    timing.set_up(name, replace(timing.settings[name], **changes))


def _load_beam(timing: MachineTiming, body: Body) -> None:
    beam = body["beam"]
    known = ("ion", "intensity", "room")
    if not isinstance(beam, dict) or not all(k in known and isinstance(v, str) for k, v in beam.items()):
        raise Refused(f"timing_load: 'beam' must hold texts {', '.join(known)}")
    ion = beam.get("ion", timing.beam.ion)
    if ion not in timing.ions:
        raise Refused(_("no ion {ion}: this machine has {ions}").format(ion=ion, ions=", ".join(timing.ions)))
    timing.beam = replace(timing.beam, **beam) if beam else Beam(ion=timing.ions[0])


def _clear(timing: MachineTiming, body: Body) -> None:
    if body["clear"] is not True:
        raise Refused("timing_load: 'clear' must be true")
    timing.clear()


LOADS: dict[str, Callable[[MachineTiming, Body], None]] = {
    "sequencer": _load_sequencer,
    "pulser": _load_pulser,
    "beam": _load_beam,
    "clear": _clear,
}


def log(timing: MachineTiming, body: Body) -> dict[str, Any]:
    """Events of the machine since a number of the log; with `receiver`, what waits in its FIFO.

    Raises BadInput or Refused.
    """
    if "receiver" in body:
        name = text(body, "receiver")
        if name not in timing.monitors:
            raise Refused(f"no receiver {name!r}: there are {', '.join(timing.monitors)}")
        fifo = timing.monitors[name].receiver.fifo
        overflow, count = fifo.overflow, len(fifo)
        events = [_row(timing, n, *fifo.take()) for n in range(count)]
        fifo.clear()
        return {"events": events, "overflow": overflow}
    since = check_whole("since", body.get("since", 0), 0, 2**53)
    first, kept = timing.log.since(since)
    rows = [_row(timing, first + n, *row) for n, row in enumerate(islice(kept, MOST_EVENTS))]
    return {"first": first, "next": first + len(rows), "end": timing.log.next, "events": rows}


def _row(timing: MachineTiming, number: int, event: Event, stamp: Stamp) -> dict[str, Any]:
    return {
        "number": number,
        "tick": event.tick,
        "event": _name(timing, event.code),
        "code": event.code,
        "seconds": stamp.seconds,
        "ticks": stamp.ticks,
    }


def _name(timing: MachineTiming, code: int) -> str:
    return timing.plan.names.get(code, f"0x{code:02X}")
