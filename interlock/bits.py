"""Names and values to bits and back: bit i is the i-th name."""

from collections.abc import Iterable, Mapping

Value = bool | None | tuple[bool | None, bool | None]
"""One input: True is good, False bad, None unknown; two channels as a pair."""

_FEW = 12


class Names:
    """The names of rows or columns, in order."""

    def __init__(self, names: Iterable[str], paired: Iterable[str] = ()) -> None:
        self.all = tuple(names)
        self.bit = {name: 1 << i for i, name in enumerate(self.all)}
        self._paired = frozenset(paired)

    def of(self, bits: int) -> tuple[str, ...]:
        """The names whose bits are set, in order."""
        if bits.bit_count() > _FEW:
            shown = bin(bits)[:1:-1]
            return tuple(name for name, digit in zip(self.all, shown, strict=False) if digit == "1")
        names = []
        while bits:
            lowest = bits & -bits
            names.append(self.all[lowest.bit_length() - 1])
            bits ^= lowest
        return tuple(names)

    def gather(self, values: Mapping[str, Value]) -> tuple[int, int]:
        """First and second channels: a bit where the value is True itself, and nothing else.

        A name with two channels needs a pair; one with one channel has no second.
        """
        first = second = 0
        get = values.get
        for name, bit in self.bit.items():
            if get(name) is True:
                first |= bit
        for name in self._paired:
            bit = self.bit[name]
            pair = get(name)
            first &= ~bit
            if isinstance(pair, tuple) and len(pair) == 2:
                first |= bit if pair[0] is True else 0
                second |= bit if pair[1] is True else 0
        return first, second


def plain(value: object) -> bool | None:
    """A value as good, bad or unknown: a pair is bad if one channel is, unknown if one is."""
    if isinstance(value, tuple):
        known = [plain(part) for part in value]
        if False in known:
            return False
        return None if None in known else True
    return None if value is None else value is True
