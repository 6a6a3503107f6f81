"""Switching beam off, stage by stage: commanded, awaited until a tick, confirmed or escalated.

Pure and driven by one table. When the permit of the fast output falls, the first stage's confirmation
is awaited; a stage without confirmation in time takes the outputs of the next one, and the last takes
every output. What was escalated stays off until a reset.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from interlock.table import Matrix, Stage
from interlock.timers import NEVER


class OffState(StrEnum):
    """How far switching off has come."""

    OFF = "OFF"
    """No permit, and beam confirmed gone (or never permitted)."""
    READY = "READY"
    """The permit is given: beam may be there."""
    AWAITING = "AWAITING"
    """A stage was commanded; its confirmation is awaited until a tick."""
    HELD = "HELD"
    """A later stage was needed and is confirmed; its outputs stay off until a reset."""
    DOWN = "DOWN"
    """No stage was confirmed: every output is off until a reset."""


class OffEvent(StrEnum):
    """What moves it."""

    RISE = "rise"
    """The permit of the fast output is given."""
    FALL = "fall"
    """The permit of the fast output is taken."""
    CONFIRMED = "confirmed"
    """The first stage is confirmed in time."""
    CONFIRMED_LATER = "confirmed_later"
    """A later stage is confirmed in time."""
    LATE = "late"
    """A stage with one behind it is not confirmed in time."""
    LAST_LATE = "last_late"
    """The last stage is not confirmed in time."""
    RESET = "reset"
    """Somebody with the right resets, and the first stage's confirmation is there."""


TABLE: Mapping[OffState, Mapping[OffEvent, OffState]] = {
    OffState.OFF: {OffEvent.RISE: OffState.READY},
    OffState.READY: {OffEvent.FALL: OffState.AWAITING},
    OffState.AWAITING: {
        OffEvent.CONFIRMED: OffState.OFF,
        OffEvent.CONFIRMED_LATER: OffState.HELD,
        OffEvent.LATE: OffState.AWAITING,
        OffEvent.LAST_LATE: OffState.DOWN,
    },
    OffState.HELD: {OffEvent.RESET: OffState.OFF},
    OffState.DOWN: {OffEvent.RESET: OffState.OFF},
}
"""An event that a state does not name changes nothing."""


class BeamOff(NamedTuple):
    """Where a sequence is. `level`: the stage awaited; `until`: the last tick of its confirmation."""

    state: OffState = OffState.OFF
    level: int = 0
    until: int = NEVER

    @property
    def escalated(self) -> bool:
        """Whether a reset is needed for what was not confirmed."""
        return self.state in (OffState.HELD, OffState.DOWN)


def event(stages: int, now: BeamOff, tick: int, permitted: bool, confirmed: int) -> OffEvent | None:
    """What the inputs of a tick mean in a state; bit k of `confirmed`: stage k. None: nothing."""
    if now.state is OffState.OFF:
        return OffEvent.RISE if permitted else None
    if now.state is OffState.READY:
        return None if permitted else OffEvent.FALL
    if now.state is not OffState.AWAITING:
        return None
    if tick > now.until:
        return OffEvent.LATE if now.level + 1 < stages else OffEvent.LAST_LATE
    if not confirmed >> now.level & 1:
        return None
    return OffEvent.CONFIRMED_LATER if now.level else OffEvent.CONFIRMED


def apply(stages: Sequence[Stage], now: BeamOff, what: OffEvent, tick: int) -> BeamOff:
    """The sequence after an event."""
    after = TABLE[now.state].get(what)
    if after is None:
        return now
    if after is OffState.AWAITING:
        level = now.level + 1 if what is OffEvent.LATE else 0
        return BeamOff(after, level, tick + stages[level].within_ticks)
    return BeamOff(after, 0 if after in (OffState.OFF, OffState.READY) else now.level)


def held(masks: Sequence[int], now: BeamOff, every: int) -> int:
    """The outputs that are off whatever the inputs say; `masks`: each stage's with all before it."""
    if now.state is OffState.DOWN:
        return every
    if now.state in (OffState.AWAITING, OffState.HELD):
        return masks[now.level]
    return 0


def stage_masks(matrix: Matrix) -> tuple[int, ...]:
    """For each stage the bits of its outputs and of those of all stages before."""
    return tuple(_growing(matrix))


def _growing(matrix: Matrix) -> Iterator[int]:
    bits = 0
    for stage in matrix.beam_off:
        bits |= sum(1 << i for i, name in enumerate(matrix.output_names) if name in stage.outputs)
        yield bits
