"""What the interlock answers: permits with their reasons, input states, log entries."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


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
    """What a step decides. `blocking`: all inputs that withhold a permit now; `notes`: masks that ended.

    `blocking` ends with `self_test` where a valid self-test is missing, and with `beam_off` while beam is
    not confirmed gone.
    """

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
    differs: bool = False
    """The row's two channels do not agree."""


class Verdict(NamedTuple):
    """What a step decides, in bits: `permits` over outputs, `latched` and `stops` over inputs.

    `held`: outputs that are off for want of a self-test or of the confirmation that beam is gone.
    """

    permits: int
    latched: int
    stops: int
    held: int
    notes: tuple[Entry, ...] = ()
    strays: tuple[str, ...] = ()
