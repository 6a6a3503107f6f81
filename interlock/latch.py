"""The interlock: inputs in, permits out, with latch, first fault, reset and masks. Time is in ticks."""

from collections.abc import Iterable, Mapping

from common.errors import Refused, Unauthorised
from common.text import _
from interlock.masks import Masks
from interlock.matrix import Matrix
from interlock.outcome import Entry, FirstFault, InputState, Outputs
from interlock.rules import State, advance, blocking, clearable, compile_rows, either_int, rights

__all__ = ["Entry", "FirstFault", "InputState", "Interlock", "Outputs"]


class Interlock:
    """The matrix in operation. Not thread-safe: one owner steps it.

    Only the value True is good: None, a missing name, and any other value are bad. A name that is no
    row of the matrix withholds every permit for that step.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._rows = compile_rows(matrix)
        self._bits = {name: 1 << i for i, name in enumerate(matrix.input_names)}
        self._state = State(latched=0, masked=0, armed=0)
        self._masks = Masks(matrix, self._rows)
        self._first: FirstFault | None = None
        self._seen: dict[str, bool | None] = {}
        self._tick = 0
        self._outputs: Outputs | None = None
        self._good = -1

    def step(self, tick: int, inputs: Mapping[str, bool | None]) -> Outputs:
        """Judge the inputs at a tick. Raises ValueError if ticks run backwards."""
        if tick < self._tick:
            raise ValueError(f"tick {tick} comes before tick {self._tick}: ticks never run backwards")
        self._tick = tick
        self._seen = dict(inputs)
        good = self._good_bits(inputs)
        strays = () if inputs.keys() <= self._bits.keys() else _strays(inputs, self._bits)
        due = self._masks.due(tick)
        if good == self._good and self._outputs is not None and not due and not strays:
            return self._outputs
        outputs = self._judge(good, strays)
        # A step with a stray name or a note is not repeated from memory.
        self._outputs = None if strays or outputs.notes else outputs
        self._good = good
        return outputs

    def reset(self, user: str, roles: Iterable[str], inputs: Mapping[str, bool | None]) -> Entry:
        """Clear every latch whose cause is gone from `inputs` and that these roles may clear.

        Raises Refused when causes are still there, or Unauthorised when the roles lack the right,
        and nothing could be cleared.
        """
        held = frozenset(roles)
        good = self._good_bits(inputs)
        cleared = clearable(self._state, good, rights(self._rows.reset_by, held))
        if self._state.latched and not cleared:
            self._refuse_reset(user, self._state.latched & good)
        self._state = self._state._replace(latched=self._state.latched & ~cleared)
        if not self._state.latched:
            self._first = None
        self._outputs = None
        return Entry("reset", self._tick, user, tuple(sorted(held)), self._names(cleared))

    def mask(self, name: str, user: str, roles: Iterable[str], reason: str, until_tick: int) -> Entry:
        """Let a bad input pass until a tick. It judges by the service key as of the last step.

        Raises Refused (unknown or forbidden input, clinical mode, no reason, time too long or past)
        or Unauthorised.
        """
        asked = Entry(
            "mask", self._tick, user, tuple(sorted(set(roles))), (name,), reason.strip(), until_tick
        )
        self._masks.add(asked, max(self._good, 0))
        self._set_masked(self._state.masked | self._bits[name])
        return asked

    def unmask(self, name: str, user: str, roles: Iterable[str]) -> Entry:
        """End a mask. Everybody may: it is the safe direction. Raises Refused if there is none."""
        self._masks.drop(name)
        self._set_masked(self._state.masked & ~self._bits[name])
        return Entry("unmask", self._tick, user, tuple(sorted(set(roles))), (name,))

    def states(self) -> dict[str, InputState]:
        """Every input as of the last step, in row order."""
        return {
            name: InputState(
                ok=_plain(self._seen.get(name)),
                latched=bool(self._state.latched & bit),
                masked=bool(self._state.masked & bit),
            )
            for name, bit in self._bits.items()
        }

    def _good_bits(self, inputs: Mapping[str, bool | None]) -> int:
        get = inputs.get
        good = 0
        for name, bit in self._bits.items():
            if get(name) is True:
                good |= bit
        return good

    def _judge(self, good: int, strays: tuple[str, ...]) -> Outputs:
        notes = self._masks.end(self._tick, good)
        for note in notes:
            self._set_masked(self._state.masked & ~self._bits[note.inputs[0]])
        before = self._state.latched
        self._state = advance(self._rows, self._state, good, either_int)
        fresh = self._names(self._state.latched & ~before)
        if fresh and self._first is None:
            self._first = FirstFault(fresh[0], self._tick, fresh[1:])
        stops = blocking(self._rows, self._state, good)
        permits = {
            output.name: not stops & cut and not strays
            for output, cut in zip(self.matrix.outputs, self._rows.cuts, strict=True)
        }
        names = (*self._names(stops), *strays)
        return Outputs(permits, self._names(self._state.latched), self._first, names, notes)

    def _set_masked(self, masked: int) -> None:
        self._state = self._state._replace(masked=masked)
        self._outputs = None

    def _refuse_reset(self, user: str, gone: int) -> None:
        names = ", ".join(self._names(gone or self._state.latched))
        if gone:
            raise Unauthorised(
                _("{user} may not reset {names}; ask somebody who may").format(user=user, names=names)
            )
        raise Refused(
            _("not reset: the cause is still there for {names}; remove it first").format(names=names)
        )

    def _names(self, bits: int) -> tuple[str, ...]:
        names = []
        while bits:
            lowest = bits & -bits
            names.append(self.matrix.inputs[lowest.bit_length() - 1].name)
            bits ^= lowest
        return tuple(names)


def _strays(inputs: Mapping[str, bool | None], known: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(name for name in inputs if name not in known))


def _plain(value: bool | None) -> bool | None:
    if value is None:
        return None
    return value is True
