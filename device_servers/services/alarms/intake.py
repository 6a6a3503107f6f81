"""From what sources hear to samples for the engine. Any thread may put; one thread drains."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from device_servers.services.alarms.attributes import Attribute, Origin
from device_servers.services.alarms.inputs import (
    ALARM,
    INVALID,
    NO_WORD,
    VALID,
    WARNING,
    Floats,
    Indices,
    Inputs,
    Ints,
    Sample,
    Words,
)
from device_servers.services.archive.recorder import Batch

Value = float | str | None
"""A number, a word, or None for unknown."""
NOT_USED = -1
MOST_WAITING = 20_000
"""Samples that wait at most: minutes of a machine. Beyond, the oldest are joined away and counted."""


class Intake:
    """A queue of samples. Values of one subscription keep their order, and none is merged into the next."""

    def __init__(
        self, inputs: Inputs, words: Words, attributes: Sequence[Attribute], wake: Callable[[], None]
    ) -> None:
        """`attributes`: those of `inputs`, in its order. `wake` is called after each sample."""
        self._inputs, self._words, self._wake = inputs, words, wake
        self._waiting: deque[Sample] = deque()
        self._maps: dict[int, tuple[Sequence[str], Indices]] = {}
        self._labels = {
            place: np.array([words.number(label) for label in attribute.labels], dtype=np.int32)
            for place, attribute in enumerate(attributes)
            if attribute.labels
        }
        self._levels = np.full((4, len(attributes)), np.nan)
        for place, attribute in enumerate(attributes):
            if attribute.alarms is not None:
                self._levels[:, place] = attribute.alarms
        self._blocks = np.array([attribute.origin is Origin.BLOCK for attribute in attributes], dtype=bool)
        self.lost = 0
        """Events that Tango reported as missed, and samples that found no room."""

    def take(self, batch: Batch) -> None:
        """Values of a server's block."""
        if batch.triples is None:
            return
        places = self._map(batch.names)[batch.triples[:, 1].astype(np.intp)]
        used = places != NOT_USED
        if used.any():
            self._split(places[used], batch.triples[used, 2], batch.triples[used, 0])

    def gone(self, names: Sequence[str], when: float, also: Mapping[str, Value]) -> None:
        """The server of these attributes does not answer any more; `also` holds at the same moment."""
        places = self._map(names)
        places = places[places != NOT_USED]
        count = len(places)
        lost = Sample(
            places,
            np.full(count, np.nan),
            np.full(count, NO_WORD, dtype=np.int32),
            np.full(count, INVALID, dtype=np.int32),
            np.ones(count, dtype=bool),
            np.full(count, when),
        )
        self._add(_joined(lost, self._sample(also, when, lost=False)))

    def put(self, values: Mapping[str, Value], when: float, *, lost: bool = False) -> None:
        """Values by name. lost: unknown ones belong to a server that does not answer."""
        self._add(self._sample(values, when, lost=lost))

    def missed(self) -> None:
        """Tango reported a missed event."""
        self.lost += 1

    def drain(self) -> list[Sample]:
        """Everything that waits, in order of arrival."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    # --- Inner

    def _add(self, sample: Sample) -> None:
        if not len(sample.index):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(sample)
        self._wake()

    def _map(self, names: Sequence[str]) -> Indices:
        known = self._maps.get(id(names))
        if known is None or known[0] is not names:
            index = self._inputs.index
            places = np.array([index.get(name, NOT_USED) for name in map(lower_device, names)], dtype=np.intp)
            known = self._maps[id(names)] = (names, places)
        return known[1]

    def _split(self, places: Indices, numbers: Floats, times: Floats) -> None:
        """As samples in which each input stands once: several values of one input follow one another."""
        while len(places):
            _some, first = np.unique(places, return_index=True)
            self._add(self._of_block(places[first], numbers[first], times[first]))
            rest = np.ones(len(places), dtype=bool)
            rest[first] = False
            places, numbers, times = places[rest], numbers[rest], times[rest]

    def _of_block(self, places: Indices, numbers: Floats, times: Floats) -> Sample:
        words = np.full(len(places), NO_WORD, dtype=np.int32)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        if self._labels:
            for row in np.flatnonzero(np.isin(places, list(self._labels))):
                labels, number = self._labels[int(places[row])], numbers[row]
                if 0 <= number < len(labels):
                    words[row] = labels[int(number)]
        lost = np.zeros(len(places), dtype=bool)
        return Sample(places, numbers, words, self._quality(places, numbers), lost, times)

    def _quality(self, places: Indices, numbers: Floats) -> Ints:
        lolo, low, high, hihi = self._levels[:, places]
        quality = np.full(len(places), VALID, dtype=np.int32)
        quality[(numbers < low) | (numbers > high)] = WARNING
        quality[(numbers < lolo) | (numbers > hihi)] = ALARM
        quality[np.isnan(numbers)] = INVALID
        return quality

    def _sample(self, values: Mapping[str, Value], when: float, *, lost: bool) -> Sample:
        used = {
            self._inputs.index[name]: value for name, value in values.items() if name in self._inputs.index
        }
        texts = [isinstance(value, str) for value in used.values()]
        numbers = [float(v) if isinstance(v, int | float) else math.nan for v in used.values()]
        words = [self._words.number(v) if isinstance(v, str) else NO_WORD for v in used.values()]
        known = [
            math.isfinite(n) or (t and w != NO_WORD) for n, t, w in zip(numbers, texts, words, strict=True)
        ]
        return Sample(
            np.array(list(used), dtype=np.intp),
            np.array(numbers, dtype=float),
            np.array(words, dtype=np.int32),
            np.array([VALID if k else INVALID for k in known], dtype=np.int32),
            np.array([lost and not k for k in known], dtype=bool),
            np.full(len(used), when),
        )


def lower_device(name: str) -> str:
    """device/attribute as rules name it: the device in lower case."""
    device, _slash, attribute = name.rpartition("/")
    return f"{device.lower()}/{attribute}"


def _joined(one: Sample, other: Sample) -> Sample:
    """Both at the same moment; what stands in both counts as in `other`."""
    keep = ~np.isin(one.index, other.index)
    fields = ("index", "numbers", "words", "qualities", "lost", "times")
    return Sample(*(np.concatenate([getattr(one, f)[keep], getattr(other, f)]) for f in fields))
