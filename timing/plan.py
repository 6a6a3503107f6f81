"""A site's timing as data: sequences of the machine cycle, receivers with their pulsers, sync words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.clock import ticks
from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from timing.cycle import CODES, Durations, Phase
from timing.events import SYSTEM, Code
from timing.pulser import PulserSettings, actions_of
from timing.sequencer import Mode, Sequence
from timing.syncword import Dialect

START, END = "cycle.start", "cycle.end"
"""Hardware triggers of sequencer 1 (up to the flat-top and through it) and 2 (down)."""
UP, DOWN = 1, 2
RISING = (Phase.INJECTION, Phase.RAMP, Phase.FLAT_TOP)
FALLING = (Phase.RAMP_DOWN,)
MACHINE_MODES = (Mode.RETRIGGER, Mode.SINGLE)


@dataclass(frozen=True)
class TimingPlan:
    """What `config/SITE/timing.yaml` says, in ticks. names: event code -> its name.

    tolerance, patience: ticks an event may be off, and after which it counts as missed.
    receivers: receiver -> pulser -> settings. up, down: the sequences of the machine cycle.
    """

    name: str
    names: Mapping[int, str]
    up: Sequence
    down: Sequence
    receivers: Mapping[str, Mapping[str, PulserSettings]]
    tolerance: int
    patience: int
    dialect: Dialect

    @property
    def durations(self) -> Durations:
        """Ticks of the phases, as the sequences have them."""
        at = {code: offset for offset, code in self.up.steps}
        injection, ramp, top = (at[CODES[phase]] for phase in RISING)
        return Durations(ramp - injection, top - ramp, self.down.length)

    def with_sequence(self, number: int, sequence: Sequence) -> "TimingPlan":
        """The same with another sequence. Raises BadInput for one that is no machine cycle."""
        check_cycle(number, sequence)
        return replace(self, up=sequence) if number == UP else replace(self, down=sequence)

    def settings(self, pulser: str) -> PulserSettings:
        """Settings of "receiver/pulser". Raises BadInput for a name that does not exist."""
        receiver, _, name = pulser.partition("/")
        if name not in self.receivers.get(receiver, {}):
            known = ", ".join(f"{r}/{p}" for r, rows in self.receivers.items() for p in rows) or "none"
            raise BadInput(f"no pulser {pulser!r}: there are {known}")
        return self.receivers[receiver][name]


def check_cycle(number: int, sequence: Sequence) -> None:
    """Raises BadInput unless the phases of the machine cycle stand in a sequence once, in order, from 0."""
    wanted = [int(CODES[phase]) for phase in (RISING if number == UP else FALLING)]
    phases = {int(code) for code in CODES.values()}
    found = [(offset, code) for offset, code in sequence.steps if code in phases]
    if [code for _, code in found] != wanted or found[0][0] != 0:
        names = ", ".join(Code(code).name for code in wanted)
        raise BadInput(f"sequence {number}: it must begin with and hold, once and in this order: {names}")
    system = sorted(code for _, code in sequence.steps if code in SYSTEM)
    if system:
        raise BadInput(f"sequence {number}: code {system[0]:#04x} belongs to the event system itself")
    if sequence.masks and any(
        mask for mask, (_, code) in zip(sequence.masks, sequence.steps, strict=True) if code in phases
    ):
        raise BadInput(f"sequence {number}: the phases of the machine cycle cannot be masked")


def plain(layer_switch_s: float) -> TimingPlan:
    """A machine cycle of phases only, heard by one receiver without pulsers. Raises BadInput."""
    durations = Durations.of_layer_switch(layer_switch_s)
    content = {
        "timing": "plain",
        "tolerance_us": 1.0,
        "patience_us": 1000.0,
        "receivers": {"machine": {}},
        "sync_words": {"sync_id": 0xC0, "functions": {phase.value: n for n, phase in enumerate(Phase, 0x5A)}},
    }
    return from_content(content, durations)


def locate(folder: Path, site: str, file: str) -> Path:
    """A data file of a site: in the folder of its name beside the site file, beside it, or in `config/`."""
    places = (folder / site / file, folder / file, CONFIG / site / file, CONFIG / file)
    return next((place for place in places if place.exists()), places[0])


def load(path: Path, layer_switch_s: float) -> TimingPlan:
    """Read and check a timing file for a layer switch in seconds. Raises BadConfig."""
    content = load_checked(path, "timing")
    shares = content.get("shares", {})
    try:
        durations = Durations.of_layer_switch(layer_switch_s, **shares)
        return from_content(content, durations)
    except BadConfig:
        raise
    except BadInput as why:
        raise BadConfig(f"{path.name}: {why}") from why


def from_content(content: Mapping[str, Any], durations: Durations) -> TimingPlan:
    """The plan of a schema-checked content. Raises BadInput naming what does not fit."""
    codes = {code.name: int(code) for code in Code} | dict(content.get("codes", {}))
    if len(set(codes.values())) != len(codes):
        twice = next(name for name, code in codes.items() if list(codes.values()).count(code) > 1)
        raise BadInput(f"event {twice}: its code {codes[twice]:#04x} has another name already")
    rising, falling = _begins(durations)
    triggers = content.get("triggers", ())
    up = _sequence([t for t in triggers if t["in"] != Phase.RAMP_DOWN], rising, codes, None)
    down = _sequence([t for t in triggers if t["in"] == Phase.RAMP_DOWN], falling, codes, durations.ramp_down)
    for number, sequence in ((UP, up), (DOWN, down)):
        check_cycle(number, sequence)
    words = content["sync_words"]
    functions = {_code(name, codes): function for name, function in words["functions"].items()}
    return TimingPlan(
        name=content["timing"],
        names={code: name for name, code in codes.items()},
        up=up,
        down=down,
        receivers={
            receiver: {name: _pulser(row, codes) for name, row in rows.items()}
            for receiver, rows in content["receivers"].items()
        },
        tolerance=_us(content["tolerance_us"]),
        patience=_us(content["patience_us"]),
        dialect=Dialect(words["sync_id"], words.get("flags", 0), functions),
    )


Spans = Mapping[str, tuple[int, int | None]]
"""(begin, end) of each phase in its sequence, in ticks; a flat-top has no end of its own."""


def _begins(durations: Durations) -> tuple[Spans, Spans]:
    """Where the phases lie in sequence 1 and in sequence 2."""
    ramp, top = durations.injection, durations.injection + durations.ramp
    rising = {"INJECTION": (0, ramp), "RAMP": (ramp, top), "FLAT_TOP": (top, None)}
    return rising, {"RAMP_DOWN": (0, durations.ramp_down)}


def _sequence(
    triggers: list[Any],
    begins: Spans,
    codes: Mapping[str, int],
    length: int | None,
) -> Sequence:
    steps = [(begin, int(Code[phase])) for phase, (begin, _end) in begins.items()]
    for trigger in triggers:
        begin, end = begins[trigger["in"]]
        at = begin + _us(trigger["at_us"])
        if end is not None and at >= end:
            raise BadInput(f"event {trigger['event']}: {trigger['at_us']} us is beyond {trigger['in']}")
        steps.append((at, _code(trigger["event"], codes)))
    steps.sort()
    return Sequence(tuple(steps), length or steps[-1][0] + 1)


def _pulser(row: Mapping[str, Any], codes: Mapping[str, int]) -> PulserSettings:
    prescaler = row.get("prescaler")
    unit = prescaler or 1
    return PulserSettings(
        actions=actions_of({_code(event, codes): action for event, action in row["events"].items()}),
        delay=_us(row.get("delay_us", 0.0) / unit),
        width=max(_us(row.get("width_us", 0.0) / unit), 1),
        prescaler=prescaler,
        inverted=row.get("inverted", False),
        enabled=row.get("enabled", True),
    )


def _code(name: str, codes: Mapping[str, int]) -> int:
    if name not in codes:
        raise BadInput(f"no event {name!r}: there are {', '.join(sorted(codes))}")
    return codes[name]


def _us(microseconds: float) -> int:
    if not math.isfinite(microseconds):
        raise BadInput(f"time of {microseconds} us: it must be a finite number")
    return ticks(microseconds * 1e-6)
