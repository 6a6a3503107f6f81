"""How long two channels of a row have differed. Pure: time is the tick that is passed in."""

from interlock.table import Matrix

NEVER = 1 << 62
"""A tick that does not come."""


class Discrepancies:
    """The rows whose channels differ, each with the tick since when."""

    def __init__(self, matrix: Matrix) -> None:
        self._limits = {1 << i: row.discrepancy_ticks for i, row in enumerate(matrix.inputs) if row.paired}
        self._due: dict[int, int] = {}
        self._differing = 0
        self.wake = NEVER
        """The tick at which the next row becomes overdue, if nothing changes before."""

    def step(self, tick: int, differing: int) -> int:
        """The rows that have differed for longer than their limit at this tick."""
        if not differing:
            if self._differing:
                self._due.clear()
                self._differing, self.wake = 0, NEVER
            return 0
        changed = differing ^ self._differing
        while changed:
            bit = changed & -changed
            changed ^= bit
            if differing & bit:
                self._due[bit] = tick + self._limits[bit] + 1
            else:
                del self._due[bit]
        self._differing = differing
        self.wake = min((due for due in self._due.values() if due > tick), default=NEVER)
        return sum(bit for bit, due in self._due.items() if due <= tick)
