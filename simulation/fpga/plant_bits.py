"""The plant's block as interlock inputs: one bit a row, made once a block."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interlock.matrix import Matrix


class PlantBits(NamedTuple):
    """Rows whose first and second channel is good, and rows of which every channel is known."""

    first: int = 0
    second: int = 0
    known: int = 0


NO_PLANT = PlantBits()
"""Nothing is known: every signal is bad."""


class SignalMap:
    """Which channel of a block each row reads. Only the value 1 is good, only 0 and 1 are known."""

    def __init__(self, matrix: Matrix) -> None:
        count = len(matrix.inputs)
        self._names: list[tuple[str, str]] = []
        for row in matrix.inputs:
            first, *rest = row.signals or ("",)
            self._names.append((first, rest[0] if rest else ""))
        self._read = np.array([bool(first) for first, _second in self._names], dtype=bool)
        self._paired = np.array([bool(second) for _first, second in self._names], dtype=bool)
        self._at = np.full((2, count), -1, dtype=np.intp)

    def connect(self, index: Mapping[str, int]) -> None:
        """The plant has told its channels. A channel that it does not have stays unknown."""
        pairs = [(index.get(first, -1), index.get(second, -1)) for first, second in self._names]
        self._at = np.array(pairs, dtype=np.intp).reshape(-1, 2).T

    def bits(self, values: NDArray[np.float64]) -> PlantBits:
        """The inputs in a block (channels,)."""
        if len(values) <= self._at.max(initial=0):
            return NO_PLANT
        seen = np.where(self._at >= 0, values[self._at], np.nan)
        good = seen == 1.0
        known = good | (seen == 0.0)
        both = known[0] & (known[1] | ~self._paired) & self._read
        return PlantBits(_whole(good[0]), _whole(good[1] & self._paired), _whole(both))


def _whole(flags: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
