"""What holds outputs off besides the inputs: beam not confirmed gone, a self-test that is missing."""

from collections.abc import Callable, Sequence

from interlock import beam_off
from interlock.beam_off import BeamOff, OffEvent, OffState
from interlock.complaints import RESERVED
from interlock.counts import Counts
from interlock.rules import either_int, held_off
from interlock.selftest import TestRecord
from interlock.table import Matrix
from interlock.timers import NEVER

SELF_TEST, BEAM_OFF = RESERVED


class Holder:
    """The beam-off sequence and the self-test's record of one interlock."""

    def __init__(self, matrix: Matrix, counts: Counts) -> None:
        self._stages = matrix.beam_off
        self._masks = beam_off.stage_masks(matrix)
        self._every = (1 << len(matrix.outputs)) - 1
        self._fast = 1 << matrix.output_names.index(matrix.fast_output)
        self._asks_test = matrix.self_test_ticks > 0
        self._counts = counts
        self._cause = SELF_TEST
        self._tick = 0
        self.reasons: tuple[str, ...] = ()
        """What holds outputs off since the last step, other than inputs."""
        self.sequence = BeamOff()
        self.record: TestRecord | None = None
        self.testing = False
        """A self-test of the real equipment is under way: every output is held off."""

    def tested(self, tick: int) -> bool:
        """Whether no self-test is missing at a tick."""
        if self.testing:
            return False
        return not self._asks_test or (self.record is not None and self.record.valid(tick))

    def step(self, tick: int, given: int, causes: Callable[[], Sequence[str]], confirmed: int) -> int:
        """The outputs held off at a tick; `given`: what the inputs alone would permit.

        One event a step: a confirmation counts from the step after the command. `causes` names what
        withholds permits, first cause first.
        """
        untested = not self.tested(tick)
        self._tick = tick
        if self._stages:
            permitted = bool(given & self._fast) and not untested
            what = beam_off.event(len(self._stages), self.sequence, tick, permitted, confirmed)
            if what is not None:
                self._count(what, causes)
                self.sequence = beam_off.apply(self._stages, self.sequence, what, tick)
        late = beam_off.held(self._masks, self.sequence, self._every)
        self.reasons = ((SELF_TEST,) if untested else ()) + ((BEAM_OFF,) if late else ())
        off: int = held_off(self._every, int(untested), late, either_int)
        return off

    @property
    def wake(self) -> int:
        """The next tick at which something changes although no input does."""
        record = self.record
        waits = self._asks_test and record is not None and self._tick < record.until_tick
        return record.until_tick if waits and record else NEVER

    @property
    def moving(self) -> bool:
        """Whether the next step may differ from this one with the same inputs."""
        return self.sequence.state is OffState.AWAITING

    def may_reset(self, confirmed: int) -> bool:
        """Whether an escalation can be ended now: the first stage's confirmation is there."""
        return self.sequence.escalated and bool(confirmed & 1)

    def reset(self, tick: int) -> None:
        """End an escalation."""
        self.sequence = beam_off.apply(self._stages, self.sequence, OffEvent.RESET, tick)

    def _count(self, what: OffEvent, causes: Callable[[], Sequence[str]]) -> None:
        if what is OffEvent.FALL:
            self._cause = next(iter(causes()), SELF_TEST)
        elif what in (OffEvent.CONFIRMED, OffEvent.CONFIRMED_LATER):
            self._counts.confirmed[self._cause] += 1
        elif what in (OffEvent.LATE, OffEvent.LAST_LATE):
            self._counts.escalations[self._cause] += 1
