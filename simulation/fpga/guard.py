"""The interlock with its inputs gathered: the hardware's own checks, the plant, links, and driven ones."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache

from common.errors import Refused
from common.text import _
from interlock.bits import Value
from interlock.latch import Entry, InputState, Outputs, TestRecord
from interlock.matrix import Input, Matrix
from interlock.memory import KeptInterlock
from interlock.table import ISOLATED
from simulation.fpga.plant_bits import NO_PLANT, PlantBits
from simulation.fpga.rings import Rings, Window

OWN_CHECKS = frozenset(
    {
        "monitor.overdose",
        "monitor.mismatch",
        "spot.position",
        "spot.size",
        "energy.selection",
        "delivery.timer",
        "beam.unexpected",
        "timing.good",
    }
)
"""Inputs that the beam hardware decides by itself."""

DEFAULT_WINDOW = Window()
LINK_PLANT = "link.plant"
WATCHDOG = "watchdog."
"""First part of the inputs that say whether a watched client lives: `watchdog.NAME`."""
BEAM_GONE = "beam.current"
"""Confirmation of a beam-off stage that the hardware gives itself: its monitors see no beam any more."""


class Guard:
    """Collects the inputs of the matrix at a tick and steps the interlock."""

    def __init__(self, matrix: Matrix, window: Window = DEFAULT_WINDOW) -> None:
        self.matrix = matrix
        self.interlock = KeptInterlock(matrix)
        self.rings = Rings(matrix.input_names, matrix.output_names, window)
        self._all_outputs = (1 << len(matrix.outputs)) - 1
        self.outputs: Outputs | None = None
        self.off_us = {column.name: column.off_us for column in matrix.outputs}
        """Travel time of each output's actuator, microseconds."""
        self.known = 0
        """Rows whose value was known at the last look (bits)."""
        self._rows = {row.name: row for row in matrix.inputs}
        self._bit = self.interlock.names.bit
        self._pairs = sum(self._bit[name] for name in matrix.pairs)
        self._own = sum(self._bit[name] for name in OWN_CHECKS if name in self._bit)
        self._stages = tuple((stage.confirm, 1 << k) for k, stage in enumerate(matrix.beam_off))
        self._driven = 0
        self._told = 0
        self._last = (0, 0)
        self._permits = 0
        self._confirmed = 0
        self.columns = cache(self._columns)
        self._needs = cache(self._need)

    def drivable(self) -> frozenset[str]:
        """Inputs that a client may drive: neither measured here nor read from the plant."""
        return frozenset(row.name for row in self.matrix.inputs if _driven_outside(row))

    def drive(self, name: str, ok: bool) -> None:
        """Set an input from outside. Raises Refused for one that has another source."""
        if name not in self.drivable():
            allowed = ", ".join(sorted(self.drivable()))
            raise Refused(
                _("input {name} cannot be set from outside: allowed are {allowed}").format(
                    name=name, allowed=allowed
                )
            )
        bit = self._bit[name]
        self._told |= bit
        self._driven = self._driven | bit if ok else self._driven & ~bit

    def look(
        self,
        tick: int,
        outside: Mapping[str, Value],
        bad: Collection[str] = (),
        plant: PlantBits = NO_PLANT,
        confirmed: Collection[str] = (),
    ) -> Outputs:
        """Step the interlock. `outside`: links, searches, rooms; `plant`: what the plant's signals say;
        `bad`: own checks that fail; `confirmed`: confirmations of beam-off stages that are there.
        """
        first, second, known = plant
        for name, value in outside.items():
            bit = self._bit.get(name, 0)
            one, other = value if isinstance(value, tuple) else (value, value)
            first = first | bit if one is True else first & ~bit
            second = second | bit & self._pairs if other is True else second & ~bit
            known = known | bit if None not in (one, other) else known & ~bit
        ours = self._told | self._own
        first, known = first & ~ours | self._driven | self._own, known | ours
        for name in bad:
            first &= ~self._bit.get(name, 0)
        self._confirmed = sum(bit for name, bit in self._stages if name in confirmed)
        self._last, self.known = (first, second), known
        return self._step(tick)

    def permits(self, room: str) -> bool:
        """Whether every output that beam into a room needs has its permit."""
        needs = self._needs(room)
        return self.outputs is not None and self._permits & needs == needs

    def against(self, room: str) -> tuple[str, ...]:
        """What withholds a permit that beam into a room needs: inputs, or the interlock's own reasons."""
        if self.outputs is None:
            return self.matrix.input_names
        columns = frozenset(self.columns(room))
        return tuple(name for name in self.outputs.blocking if self._cuts(name, columns, room))

    def tripped(self, room: str) -> tuple[str, ...]:
        """Latched inputs that take a permit which beam into a room needs; every one where no room has it."""
        if self.outputs is None or not room:
            return self.matrix.input_names if self.outputs is None else self.outputs.tripped
        columns = frozenset(self.columns(room))
        return tuple(name for name in self.outputs.tripped if self._cuts(name, columns, room))

    @property
    def blocking(self) -> tuple[str, ...]:
        """What withholds any permit: inputs that cut an output, or the interlock's own reasons."""
        if self.outputs is None:
            return self.matrix.input_names
        rows = self._rows
        return tuple(name for name in self.outputs.blocking if name not in rows or rows[name].cuts)

    def reset(self, user: str, roles: Iterable[str], tick: int) -> Entry:
        """Clear the latches whose cause is gone. Raises Refused or Unauthorised."""
        entry = self.interlock.reset_bits(user, roles, *self._last)
        self._step(tick)
        return entry

    def again(self, tick: int) -> None:
        """Judge the same inputs again, after a mask came or went."""
        self._step(tick)

    def self_test(self, user: str, roles: Iterable[str], tick: int) -> TestRecord:
        """Drop every input alone, all outputs held off, and compare with the table.

        Raises Refused or Unauthorised.
        """
        self.interlock.hold(True)
        try:
            return self.interlock.self_test(user, roles)
        finally:
            self.interlock.hold(False)
            self._step(tick)

    def states(self) -> dict[str, InputState]:
        """Every input as of the last look; `ok` is None for one that nobody tells."""
        return {
            name: state if self.known & self._bit[name] else replace(state, ok=None)
            for name, state in self.interlock.states().items()
        }

    def _step(self, tick: int) -> Outputs:
        verdict = self.interlock.step_bits(tick, *self._last, self._confirmed)
        self._permits = verdict.permits
        self.rings.inputs.note(tick, self.interlock.good & self.known, self.known)
        self.rings.outputs.note(tick, verdict.permits, self._all_outputs)
        self.outputs = self.interlock.outputs(verdict)
        return self.outputs

    def _columns(self, room: str) -> tuple[str, ...]:
        """The outputs that beam into a room needs: the machine's and its own."""
        return tuple(column.name for column in self.matrix.outputs if column.room in ("", room))

    def _need(self, room: str) -> int:
        return sum(1 << k for k, column in enumerate(self.matrix.outputs) if column.room in ("", room))

    def _cuts(self, name: str, columns: frozenset[str], room: str) -> bool:
        """Whether a bad row takes one of the outputs that beam into a room needs."""
        row = self._rows.get(name)
        if row is None:
            return True
        if row.room in ("", room):
            return bool(row.cuts & columns)
        isolated = self.interlock.granted & self._bit.get(row.room + ISOLATED, 0)
        return bool(row.cuts & columns) and not isolated


def _driven_outside(row: Input) -> bool:
    own = row.name in OWN_CHECKS or row.name == LINK_PLANT or row.name.startswith(WATCHDOG)
    return not own and not row.signals and not row.name.endswith(ISOLATED)
