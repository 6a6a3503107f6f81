"""The second dialect: 32-bit sync words, in which one word says what happens and for which waveform.

Bits 0-7 waveform (1 to 255, one per energy), 8-11 reserved (0), 12-15 flags, 16-23 function,
24-31 sync id (machine.md, row Sync event word: 0xC05A2001 is id 0xC0, function 0x5A, flags 2, waveform 1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag

from common.errors import BadInput
from timing.events import SYSTEM, Event, check_code, check_whole

SWITCH = 0x5A
"""Function: go to the waveform."""
RESERVED = 0xF00
MAX_WAVEFORM = 255


class Flag(IntFlag):
    """Bits 12 to 15. Two of them have a meaning here; the others pass through."""

    ACKNOWLEDGE = 1
    """The receivers answer this word."""
    COMPENSATION = 2
    """The receivers take the delay of their link into account."""


@dataclass(frozen=True)
class SyncWord:
    """One word in its fields. Raises BadInput for a field that does not fit; waveform 0 selects none."""

    sync_id: int
    function: int
    waveform: int
    flags: int = 0

    def __post_init__(self) -> None:
        check_whole("sync id", self.sync_id, 0, 0xFF)
        check_whole("sync function", self.function, 1, 0xFF)
        check_whole("waveform", self.waveform, 1, MAX_WAVEFORM)
        check_whole("sync flags", self.flags, 0, 0xF)

    def encode(self) -> int:
        """The 32 bits."""
        return self.sync_id << 24 | self.function << 16 | self.flags << 12 | self.waveform

    @classmethod
    def decode(cls, word: int) -> "SyncWord":
        """From 32 bits. Raises BadInput, also when reserved bits are set."""
        check_whole("sync word", word, 0, 2**32 - 1)
        if word & RESERVED:
            raise BadInput(f"sync word {word:#010x}: bits 8 to 11 are reserved and must be 0")
        return cls(word >> 24, word >> 16 & 0xFF, word & 0xFF, word >> 12 & 0xF)

    @property
    def acknowledged(self) -> bool:
        """Whether receivers answer it."""
        return bool(self.flags & Flag.ACKNOWLEDGE)

    @property
    def compensated(self) -> bool:
        """Whether receivers take their link's delay into account."""
        return bool(self.flags & Flag.COMPENSATION)


@dataclass(frozen=True)
class Dialect:
    """How a site writes events as sync words: its id, its usual flags, and the function of each code."""

    sync_id: int
    flags: int
    functions: Mapping[int, int]

    def __post_init__(self) -> None:
        if len(set(self.functions.values())) != len(self.functions):
            raise BadInput("sync words: two event codes have the same function; give each its own")
        for code, function in self.functions.items():
            check_code(code)
            SyncWord(self.sync_id, function, 1, self.flags)

    def to_words(self, events: Iterable[Event], waveform: int) -> list[tuple[int, int]]:
        """(tick, word) of each event of a machine cycle. Raises BadInput for a code without a function.

        The event system's own codes (heartbeat, time stamps) have no counterpart and are left out.
        """
        words = []
        for event in events:
            if event.code in SYSTEM:
                continue
            if event.code not in self.functions:
                known = ", ".join(f"{code:#04x}" for code in sorted(self.functions))
                raise BadInput(f"event {event.code:#04x} has no sync function: known are {known}")
            word = SyncWord(self.sync_id, self.functions[event.code], waveform, self.flags)
            words.append((event.tick, word.encode()))
        return words

    def to_events(self, words: Iterable[tuple[int, int]]) -> list[tuple[Event, int]]:
        """(event, waveform) of each (tick, word). Raises BadInput for a foreign id or function."""
        codes = {function: code for code, function in self.functions.items()}
        events = []
        for tick, bits in words:
            word = SyncWord.decode(bits)
            if word.sync_id != self.sync_id:
                raise BadInput(f"sync word {bits:#010x}: its id is not {self.sync_id:#04x}")
            if word.function not in codes:
                known = ", ".join(f"{function:#04x}" for function in sorted(codes))
                raise BadInput(f"sync word {bits:#010x}: unknown function; known are {known}")
            events.append((Event(tick, codes[word.function]), word.waveform))
        return events
