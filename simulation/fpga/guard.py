"""The interlock with its inputs gathered: the hardware's own checks, the plant, links, and driven ones."""

from collections.abc import Collection, Iterable, Mapping

from common.errors import Refused
from common.text import _
from interlock.latch import Entry, InputState, Interlock, Outputs
from interlock.matrix import Matrix
from interlock.table import ISOLATED

OWN_CHECKS = frozenset(
    {
        "monitor.overdose",
        "monitor.mismatch",
        "spot.position",
        "spot.size",
        "energy.selection",
        "delivery.timer",
        "beam.unexpected",
    }
)
"""Inputs that the beam hardware decides by itself."""

LINK_PLANT = "link.plant"
WATCHDOG = "watchdog."
"""First part of the inputs that say whether a watched client lives: `watchdog.NAME`."""


class Guard:
    """Collects the inputs of the matrix at a tick and steps the interlock."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.interlock = Interlock(matrix)
        self.driven: dict[str, bool] = {}
        self.outputs: Outputs | None = None
        self._last: dict[str, bool | None] = {}
        self._rows = {row.name: row for row in matrix.inputs}

    def drivable(self) -> frozenset[str]:
        """Inputs that a client may drive: neither measured here nor read from the plant."""
        return frozenset(
            name
            for name in self.matrix.input_names
            if name not in OWN_CHECKS
            and name not in self.matrix.signals
            and name not in self.matrix.pairs
            and not name.endswith(ISOLATED)
            and name != LINK_PLANT
            and not name.startswith(WATCHDOG)
        )

    def drive(self, name: str, ok: bool) -> None:
        """Set an input from outside. Raises Refused for one that has another source."""
        if name not in self.drivable():
            allowed = ", ".join(sorted(self.drivable()))
            raise Refused(
                _("input {name} cannot be set from outside: allowed are {allowed}").format(
                    name=name, allowed=allowed
                )
            )
        self.driven[name] = ok

    def look(self, tick: int, outside: Mapping[str, bool | None], bad: Collection[str] = ()) -> Outputs:
        """Step the interlock. `outside`: links, plant signals; `bad`: own checks that fail."""
        inputs: dict[str, bool | None] = dict.fromkeys(self.matrix.input_names)
        inputs.update((name, value) for name, value in outside.items() if name in inputs)
        inputs.update((name, name not in bad) for name in OWN_CHECKS if name in inputs)
        inputs.update(self.driven)
        self._last = inputs
        self.outputs = self.interlock.step(tick, inputs)
        return self.outputs

    def columns(self, room: str) -> tuple[str, ...]:
        """The outputs that beam into a room needs: the machine's and its own."""
        return tuple(column.name for column in self.matrix.outputs if column.room in ("", room))

    def permits(self, room: str) -> bool:
        """Whether every output that beam into a room needs has its permit."""
        return self.outputs is not None and all(self.outputs.permits[name] for name in self.columns(room))

    def against(self, room: str) -> tuple[str, ...]:
        """What withholds a permit that beam into a room needs: inputs, or the interlock's own reasons."""
        if self.outputs is None:
            return self.matrix.input_names
        columns = frozenset(self.columns(room))
        return tuple(name for name in self.outputs.blocking if self._cuts(name, columns, room))

    def _cuts(self, name: str, columns: frozenset[str], room: str) -> bool:
        """Whether a bad row takes one of the outputs that beam into a room needs."""
        row = self._rows.get(name)
        if row is None:
            return True
        if row.room in ("", room):
            return bool(row.cuts & columns)
        return bool(row.cuts & columns) and self._last.get(row.room + ISOLATED) is not True

    def reset(self, user: str, roles: Iterable[str], tick: int) -> Entry:
        """Clear the latches whose cause is gone. Raises Refused or Unauthorised."""
        entry = self.interlock.reset(user, roles, self._last)
        self.outputs = self.interlock.step(tick, self._last)
        return entry

    def again(self, tick: int) -> None:
        """Judge the same inputs once more, after a mask came or went."""
        self.outputs = self.interlock.step(tick, self._last)

    def states(self) -> dict[str, InputState]:
        """Every input as of the last look."""
        return self.interlock.states()
