"""The interlock: inputs in, permits out, with latch, first fault, reset and masks. Time is in ticks."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import Refused, Unauthorised
from common.text import _
from interlock.matrix import Input, Matrix
from interlock.rules import (
    State,
    advance,
    blocking,
    clearable,
    compile_rows,
    either_int,
    may_be_masked,
)


@dataclass(frozen=True)
class FirstFault:
    """The cause that tripped first, its tick, and what else tripped on that tick (row order)."""

    input: str
    tick: int
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One line for the log of resets and masks."""

    action: str
    tick: int
    user: str
    roles: tuple[str, ...]
    inputs: tuple[str, ...]
    reason: str = ""
    until_tick: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Outputs:
    """What a step decides. `blocking`: all inputs that withhold a permit now; `notes`: masks that ended."""

    permits: Mapping[str, bool]
    tripped: tuple[str, ...]
    first_fault: FirstFault | None
    blocking: tuple[str, ...] = ()
    notes: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class InputState:
    """One input as seen at the last step; `ok` is None when it was missing or unknown."""

    ok: bool | None
    latched: bool
    masked: bool


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
        self._until: dict[str, Entry] = {}
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
        due = any(entry.until_tick <= tick for entry in self._until.values())
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
        rights = _rights(self._rows.reset_by, held)
        cleared = clearable(self._state, good, rights)
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
        held = frozenset(roles)
        row = self._row(name)
        reason = reason.strip()
        good = max(self._good, 0)
        allowed = may_be_masked(self._rows, good, _rights(self._rows.mask_by, held), either_int)
        if not self._bits[name] & allowed:
            self._refuse_mask(row, user, held, good)
        if not reason:
            raise Refused(_("a mask needs a reason; say why the input may be ignored"))
        latest = self._tick + self.matrix.mask_limit_ticks
        if not self._tick < until_tick <= latest:
            raise Refused(
                _("a mask ends at tick {until}: allowed are {first} to {last}").format(
                    until=until_tick, first=self._tick + 1, last=latest
                )
            )
        entry = Entry("mask", self._tick, user, tuple(sorted(held)), (name,), reason, until_tick)
        self._until[name] = entry
        self._state = self._state._replace(masked=self._state.masked | self._bits[name])
        self._outputs = None
        return entry

    def unmask(self, name: str, user: str, roles: Iterable[str]) -> Entry:
        """End a mask. Everybody may: it is the safe direction. Raises Refused if there is none."""
        self._row(name)
        if name not in self._until:
            raise Refused(_("input {name} is not masked").format(name=name))
        self._drop_mask(name)
        return Entry("unmask", self._tick, user, tuple(sorted(frozenset(roles))), (name,))

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
        notes = self._end_masks(good)
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

    def _end_masks(self, good: int) -> tuple[Entry, ...]:
        service = bool(good & self._rows.key)
        ended = [e for e in self._until.values() if not service or e.until_tick <= self._tick]
        for entry in ended:
            self._drop_mask(entry.inputs[0])
        return tuple(
            Entry("expired" if service else "void", self._tick, e.user, e.roles, e.inputs, e.reason)
            for e in ended
        )

    def _drop_mask(self, name: str) -> None:
        del self._until[name]
        self._state = self._state._replace(masked=self._state.masked & ~self._bits[name])
        self._outputs = None

    def _row(self, name: str) -> Input:
        try:
            return self.matrix.input(name)
        except KeyError as why:
            raise Refused(
                _("no interlock input {name}: allowed are {names}").format(
                    name=name, names=", ".join(self.matrix.input_names)
                )
            ) from why

    def _refuse_reset(self, user: str, gone: int) -> None:
        names = ", ".join(self._names(gone or self._state.latched))
        if gone:
            raise Unauthorised(
                _("{user} may not reset {names}; ask somebody who may").format(user=user, names=names)
            )
        raise Refused(
            _("not reset: the cause is still there for {names}; remove it first").format(names=names)
        )

    def _refuse_mask(self, row: Input, user: str, held: frozenset[str], good: int) -> None:
        if not self._bits[row.name] & self._rows.maskable:
            raise Refused(_("input {name} is never masked").format(name=row.name))
        if not good & self._rows.key:
            raise Refused(_("masks exist in service mode only; turn the service key first"))
        roles = ", ".join(sorted(self.matrix.mask_roles.get(row.family, frozenset()))) or _("nobody")
        raise Unauthorised(
            _("{user} ({held}) may not mask {name}: allowed are {roles}").format(
                user=user, held=", ".join(sorted(held)), name=row.name, roles=roles
            )
        )

    def _names(self, bits: int) -> tuple[str, ...]:
        return tuple(name for name, bit in self._bits.items() if bits & bit)


def _rights(by_role: Mapping[str, int], roles: frozenset[str]) -> int:
    rights = 0
    for role in roles:
        rights |= by_role.get(role, 0)
    return rights


def _strays(inputs: Mapping[str, bool | None], known: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(name for name in inputs if name not in known))


def _plain(value: bool | None) -> bool | None:
    if value is None:
        return None
    return value is True
