"""What rules see: the latest value of every attribute that some rule names, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int32]

QUALITIES = ("VALID", "INVALID", "ALARM", "CHANGING", "WARNING")
"""Words of a quality, in the order of Tango's AttrQuality."""
VALID, INVALID, ALARM, _CHANGING, WARNING = range(5)
NO_WORD = -1
UNKNOWN_WORDS = frozenset({"UNKNOWN", "GONE"})
"""Words that say that nobody knows: a rule treats them as an unknown value."""


class Words:
    """Texts as numbers, the same text always the same one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.texts: list[str] = []
        for text in QUALITIES:
            self.number(text)

    def number(self, text: str) -> int:
        """The number of a text; NO_WORD for one that stands for unknown."""
        if text in UNKNOWN_WORDS:
            return NO_WORD
        found = self._numbers.setdefault(text, len(self.texts))
        if found == len(self.texts):
            self.texts.append(text)
        return found


@dataclass(frozen=True)
class Sample:
    """New values of some inputs, all of shape (n,), each input once.

    numbers: NaN where the value is a word or unknown; words: NO_WORD where it is a number or unknown.
    lost: unknown because its server does not answer. times: s since the epoch, as the server says.
    """

    index: Indices
    numbers: Floats
    words: Ints
    qualities: Ints
    lost: Flags
    times: Floats


class Inputs:
    """The present values, shape (number of names,), beginning with everything unknown."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.index = {name: place for place, name in enumerate(self.names)}
        count = len(self.names)
        self.numbers = np.full(count, np.nan)
        self.words = np.full(count, NO_WORD, dtype=np.int32)
        self.qualities = np.full(count, INVALID, dtype=np.int32)
        self.lost = np.zeros(count, dtype=bool)
        self.times = np.zeros(count)

    def take(self, sample: Sample) -> Indices:
        """Keep new values; the inputs that are now others than before."""
        place = sample.index
        numbers = np.where(np.isfinite(sample.numbers), sample.numbers, np.nan)
        same = (numbers == self.numbers[place]) | (np.isnan(numbers) & np.isnan(self.numbers[place]))
        same &= sample.words == self.words[place]
        same &= sample.qualities == self.qualities[place]
        same &= sample.lost == self.lost[place]
        self.numbers[place], self.words[place] = numbers, sample.words
        self.qualities[place], self.lost[place] = sample.qualities, sample.lost
        self.times[place] = sample.times
        return place[~same]
