"""Sequencers: a fixed series of (tick offset, event code) played on a trigger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.errors import BadInput, Refused
from common.text import _
from timing.events import Event, check_code, check_whole

MAX_STEPS = 2048
MAX_OFFSET = 2**32 - 1


@dataclass(frozen=True)
class Sequence:
    """Steps of (offset in ticks, code), offsets strictly rising. Raises BadInput for anything else.

    `length`: ticks from the trigger to the end of the sequence; beyond the last offset. `masks`: one
    byte a step, or none at all: a step whose low four bits meet the sequencer's `masked` bits is left
    out, and one with high four bits goes out only if they meet its `enabled` bits.
    """

    steps: tuple[tuple[int, int], ...]
    length: int
    masks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise BadInput(f"sequence of {len(self.steps)} steps: allowed are 1 to {MAX_STEPS}")
        previous = -1
        for offset, code in self.steps:
            check_code(code)
            if not previous < check_whole("offset", offset, 0, MAX_OFFSET):
                raise BadInput(f"offset {offset}: offsets must rise, and the one before is {previous}")
            previous = offset
        if not previous < check_whole("length", self.length, 1, MAX_OFFSET):
            raise BadInput(f"length {self.length}: it must lie above the last offset {previous}")
        if self.masks and len(self.masks) != len(self.steps):
            raise BadInput(f"{len(self.masks)} masks for {len(self.steps)} steps: one each, or none")
        for mask in self.masks:
            check_whole("mask", mask, 0, 0xFF)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Sequence":
        """From {"steps": [[offset, code], ...], "length": n, "masks": [...]}. Raises BadInput."""
        steps = body.get("steps")
        if not isinstance(steps, list) or not all(isinstance(s, list | tuple) and len(s) == 2 for s in steps):
            raise BadInput("sequence: 'steps' must be a list of [offset in ticks, event code]")
        masks = body.get("masks", [])
        if not isinstance(masks, list):
            raise BadInput("sequence: 'masks' must be a list of bytes, one a step")
        if not 1 <= len(steps) <= MAX_STEPS:
            raise BadInput(f"sequence of {len(steps)} steps: allowed are 1 to {MAX_STEPS}")
        rows = tuple((check_whole("offset", at, 0, MAX_OFFSET), check_code(code)) for at, code in steps)
        length = check_whole("length", body.get("length"), 1, MAX_OFFSET)
        return cls(rows, length, tuple(check_whole("mask", mask, 0, 0xFF) for mask in masks))

    def as_body(self) -> dict[str, Any]:
        """What `of` reads."""
        body: dict[str, Any] = {"steps": [list(step) for step in self.steps], "length": self.length}
        return body | ({"masks": list(self.masks)} if self.masks else {})

    def sends(self, position: int, masked: int, enabled: int) -> bool:
        """Whether the step at a place goes out under the mask and enable bits of the sequencer."""
        mask = self.masks[position] if self.masks else 0
        needs = mask >> 4
        return not (mask & 0xF & masked) and (needs == 0 or bool(needs & enabled))

    def events(self, origin: int, masked: int = 0, enabled: int = 0) -> Iterable[Event]:
        """The events of a run that begins at a tick."""
        for position, (offset, code) in enumerate(self.steps):
            if self.sends(position, masked, enabled):
                yield Event(origin + offset, code)


class Mode(StrEnum):
    """What follows the end of a sequence."""

    SINGLE = "single"
    """Nothing: it has to be armed anew."""
    RECYCLE = "recycle"
    """It begins again, `length` ticks after it began."""
    RETRIGGER = "retrigger"
    """It waits for the next trigger."""


class Stage(StrEnum):
    """What a sequencer does."""

    DISABLED = "disabled"
    ARMED = "armed"
    RUNNING = "running"


TABLE: Mapping[Stage, Mapping[str, Stage]] = {
    Stage.DISABLED: {"arm": Stage.ARMED, "disarm": Stage.DISABLED},
    Stage.ARMED: {"arm": Stage.ARMED, "trigger": Stage.RUNNING, "disarm": Stage.DISABLED},
    Stage.RUNNING: {
        "stop": Stage.ARMED,
        "disarm": Stage.DISABLED,
        Mode.SINGLE: Stage.DISABLED,
        Mode.RECYCLE: Stage.RUNNING,
        Mode.RETRIGGER: Stage.ARMED,
    },
}
"""stage -> {event: next stage}; the modes are what the end of a sequence is in them."""


class Sequencer:
    """Plays one sequence. `trigger` begins it; `advance` hands out what has become due."""

    def __init__(self, sequence: Sequence | None = None, mode: Mode = Mode.SINGLE) -> None:
        self.sequence = sequence
        self.mode = mode
        self.stage = Stage.DISABLED
        self.source = ""
        """Name of the hardware trigger that starts it; empty: commands only."""
        self.masked = 0
        self.enabled = 0
        self.runs = 0
        self.lost_triggers = 0
        self.origin = 0
        """Tick at which the present or the last run began."""
        self._position = 0

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.stage is Stage.RUNNING

    @property
    def next_tick(self) -> int | None:
        """Tick of the next step or of the end; None unless it runs."""
        if not self.running:
            return None
        sequence = self._loaded()
        if self._position < len(sequence.steps):
            return self.origin + sequence.steps[self._position][0]
        return self.origin + sequence.length

    def load(self, sequence: Sequence, mode: Mode) -> None:
        """Take another sequence; it has to be armed then. Raises Refused while it runs."""
        if self.running:
            raise Refused(_("sequencer is running; stop it before the next trigger"))
        self.sequence, self.mode = sequence, mode
        self.stage = Stage.DISABLED

    def arm(self) -> None:
        """Be ready for a trigger. Raises Refused while it runs, or without a sequence."""
        self._loaded()
        self._go("arm")

    def disarm(self) -> None:
        """Take no trigger, and end a run at once."""
        self._go("disarm")

    def trigger(self, tick: int) -> None:
        """Begin at a tick. Raises Refused while it runs or is not armed."""
        if self.running:
            raise Refused(_("sequencer is running; stop it before the next trigger"))
        self._go("trigger")
        self.origin, self._position = tick, 0
        self.runs += 1

    def hardware_trigger(self, source: str, tick: int) -> None:
        """A trigger input has fired: begin if it is this sequencer's and it is armed, else count it."""
        if source != self.source or not source:
            return
        if self.stage is Stage.ARMED:
            self.trigger(tick)
        else:
            self.lost_triggers += 1

    def stop(self) -> None:
        """End a run at once, armed for the next; what has not been sent is not sent."""
        if self.running:
            self._go("stop")

    def advance(self, tick: int) -> list[Event]:
        """The events due up to and including a tick, each with its own tick."""
        sent: list[Event] = []
        while self.running:
            sequence = self._loaded()
            if self._position < len(sequence.steps):
                offset, code = sequence.steps[self._position]
                if self.origin + offset > tick:
                    break
                if sequence.sends(self._position, self.masked, self.enabled):
                    sent.append(Event(self.origin + offset, code))
                self._position += 1
            elif self.origin + sequence.length > tick:
                break
            else:
                self._end()
        return sent

    def _end(self) -> None:
        self._go(self.mode)
        if self.running:
            self.origin, self._position = self.origin + self._loaded().length, 0
            self.runs += 1

    def _go(self, event: str) -> None:
        allowed = TABLE[self.stage]
        if event not in allowed:
            raise Refused(
                _("sequencer: {event} is not possible while {stage}; possible: {allowed}").format(
                    event=event, stage=self.stage, allowed=", ".join(allowed)
                )
            )
        self.stage = allowed[event]

    def _loaded(self) -> Sequence:
        if self.sequence is None:
            raise Refused(_("the sequencer has no sequence; load one first"))
        return self.sequence
