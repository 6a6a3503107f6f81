"""The interlock's step on bits: rules, timers, masks, beam-off and self-test put together."""

from interlock.actuators import Holder
from interlock.bits import Names
from interlock.counts import Counts
from interlock.masks import Masks
from interlock.outcome import FirstFault, Verdict
from interlock.rules import (
    State,
    advance,
    agreed,
    blocking,
    compile_rows,
    cutting,
    differing,
    either_int,
    isolated,
)
from interlock.table import Matrix
from interlock.timers import Discrepancies


class Engine:
    """The state of one interlock, stepped by bits. `counts` has the numbers of each cause."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.counts = Counts(matrix)
        self.names = Names(matrix.input_names, matrix.pairs)
        self._every = (1 << len(matrix.outputs)) - 1
        self._fast = matrix.output_names.index(matrix.fast_output)
        self._rows = compile_rows(matrix)
        self._state = State(latched=0, masked=0, armed=0)
        self._masks = Masks(matrix, self._rows)
        self._timers = Discrepancies(matrix)
        self._hold = Holder(matrix, self.counts)
        self._first: FirstFault | None = None
        self._tick = 0
        self._known = (0, 0, 0)
        self._wake = 0
        self._verdict: Verdict | None = None

    def step_bits(
        self, tick: int, first: int, second: int = 0, confirmed: int = 0, strays: tuple[str, ...] = ()
    ) -> Verdict:
        """Judge inputs given as bits, bit i for row i; `strays` withhold every permit.

        `first` is the channel of a row (the first one of two), `second` the other channel of a row with
        two; bit k of `confirmed` is the confirmation of beam-off stage k. Raises ValueError if ticks run
        backwards.
        """
        if tick < self._tick:
            raise ValueError(f"tick {tick} comes before tick {self._tick}: ticks never run backwards")
        self._tick = tick
        known = (first, second, confirmed)
        if self._verdict is not None and known == self._known and tick < self._wake and not strays:
            return self._verdict
        self._known = known
        verdict = self._judge(strays)
        # A step that the next one may differ from, with the same inputs, is not repeated from memory.
        self._verdict = None if strays or verdict.notes or self._hold.moving else verdict
        self._wake = min(self._timers.wake, self._hold.wake, self._masks.wake)
        return verdict

    def hold(self, on: bool) -> None:
        """Hold every output off (a self-test of the real equipment is under way), or let go."""
        self._hold.testing = on
        self._verdict = None

    @property
    def words(self) -> tuple[int, ...]:
        """What the inputs are, and are latched and masked, as bits: equal words, equal states."""
        return (self.good, *self._known, self._state.latched, self._state.masked)

    @property
    def good(self) -> int:
        """The rows that were good at the last step."""
        good: int = agreed(self._rows, self._known[0], self._known[1])
        return good

    @property
    def granted(self) -> int:
        """The rows that were good and not latched at the last step; what keys are judged by."""
        granted: int = self.good & ~self._state.latched
        return granted

    def _judge(self, strays: tuple[str, ...]) -> Verdict:
        first, second, confirmed = self._known
        rows, tick = self._rows, self._tick
        good = agreed(rows, first, second)
        notes = self._masks.end(tick, good & ~self._state.latched)
        for note in notes:
            self._set_masked(self._state.masked & ~self.names.bit[note.inputs[0]])
        before = self._state.latched
        overdue = self._timers.step(tick, differing(rows, first, second))
        self._state = advance(rows, self._state, good, overdue, either_int)
        self._trip(self._state.latched & ~before)
        stops = blocking(rows, self._state, good)
        given = 0 if strays else self._given(stops, good)
        held = self._hold.step(tick, given, lambda: self._against_fast(stops, good), confirmed)
        return Verdict(given & ~held, self._state.latched, stops, held, notes, strays)

    def _against_fast(self, stops: int, good: int) -> tuple[str, ...]:
        """The inputs that take the permit of the fast output."""
        spared = isolated(self._rows, self._state, good, either_int)
        return self.names.of(cutting(self._rows, stops, spared, self._fast))

    def _given(self, stops: int, good: int) -> int:
        """The outputs that the inputs leave their permit."""
        if not stops:
            return self._every
        spared = isolated(self._rows, self._state, good, either_int)
        given = 0
        for k in range(len(self._rows.bound)):
            if not cutting(self._rows, stops, spared, k):
                given |= 1 << k
        return given

    def _trip(self, fresh: int) -> None:
        if not fresh:
            return
        names = self.names.of(fresh)
        self.counts.trips.update(names)
        if self._first is None:
            self._first = FirstFault(names[0], self._tick, names[1:])

    def _set_masked(self, masked: int) -> None:
        self._state = self._state._replace(masked=masked)
        self._verdict = None
