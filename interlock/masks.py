"""Masks: who may let which bad input pass, why, and until when."""

from common.errors import Refused, Unauthorised
from common.text import _
from interlock.outcome import Entry
from interlock.rules import Rows, either_int, may_be_masked, rights
from interlock.table import Input, Matrix
from interlock.timers import NEVER


class Masks:
    """The masks in force, each as the entry that put it on."""

    def __init__(self, matrix: Matrix, rows: Rows) -> None:
        self._matrix = matrix
        self._rows = rows
        self._bits = {name: 1 << i for i, name in enumerate(matrix.input_names)}
        self._entries: dict[str, Entry] = {}

    def add(self, asked: Entry, good: int) -> None:
        """Put a mask on, judged by the good inputs (the service key among them).

        Raises Refused (unknown or forbidden input, clinical mode, no reason, time too long or past)
        or Unauthorised.
        """
        row = self._find(asked.inputs[0])
        allowed = may_be_masked(self._rows, good, rights(self._rows.mask_by, asked.roles), either_int)
        if not self._bits[row.name] & allowed:
            self._refuse(row, asked, good)
        if not asked.reason:
            raise Refused(_("a mask needs a reason; say why the input may be ignored"))
        latest = asked.tick + self._matrix.mask_limit_ticks
        if not asked.tick < asked.until_tick <= latest:
            raise Refused(
                _("a mask to tick {until}: allowed are {first} to {last}").format(
                    until=asked.until_tick, first=asked.tick + 1, last=latest
                )
            )
        self._entries[row.name] = asked

    def drop(self, name: str) -> None:
        """Take a mask off. Raises Refused if there is none."""
        self._find(name)
        if self._entries.pop(name, None) is None:
            raise Refused(_("input {name} is not masked").format(name=name))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The masks in force, in the order in which they were put on."""
        return tuple(self._entries.values())

    @property
    def wake(self) -> int:
        """The tick at which the next mask ends."""
        return min((entry.until_tick for entry in self._entries.values()), default=NEVER)

    def end(self, tick: int, good: int) -> tuple[Entry, ...]:
        """Drop the masks whose time is over, and all of them when the service key is not good."""
        service = bool(good & self._rows.key)
        over = [e for e in self._entries.values() if not service or e.until_tick <= tick]
        for entry in over:
            del self._entries[entry.inputs[0]]
        action = "expired" if service else "void"
        return tuple(Entry(action, tick, e.user, e.roles, e.inputs, e.reason) for e in over)

    def _find(self, name: str) -> Input:
        try:
            return self._matrix.input(name)
        except KeyError as why:
            raise Refused(
                _("no interlock input {name}: allowed are {names}").format(
                    name=name, names=", ".join(self._matrix.input_names)
                )
            ) from why

    def _refuse(self, row: Input, asked: Entry, good: int) -> None:
        if not self._bits[row.name] & self._rows.maskable:
            raise Refused(_("input {name} is never masked").format(name=row.name))
        if not good & self._rows.key:
            raise Refused(_("masks exist in service mode only; turn the service key first"))
        roles = ", ".join(sorted(self._matrix.mask_roles.get(row.family, frozenset()))) or _("nobody")
        raise Unauthorised(
            _("{user} may not mask {name}: allowed are {roles}").format(
                user=asked.user, name=row.name, roles=roles
            )
        )
