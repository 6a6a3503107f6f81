"""What a checked cause-and-effect table holds, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ISOLATED = ".isolated"
"""Last part of the name of a room's isolation key: `ROOM.isolated`."""


class Family(StrEnum):
    """Whom or what an input protects."""

    PATIENT = "patient"
    PERSONNEL = "personnel"
    EQUIPMENT = "equipment"


class Kind(StrEnum):
    """What a bad input means."""

    FAULT = "fault"
    REQUEST = "request"
    """Nobody asks for beam: no permit, and no fault."""
    KEY = "key"
    """A condition that widens what is allowed (service mode, an isolated room); it cuts nothing."""


class Latch(StrEnum):
    """When a bad input stays tripped after it is good again."""

    ALWAYS = "always"
    ARMED = "armed"
    """... if it goes bad while beam is requested."""
    NEVER = "never"


@dataclass(frozen=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Output:
    """One permit. Its actuator has ended its travel `off_us` microseconds after the permit is lost.

    `room`: the treatment room that this actuator alone serves; empty for the machine's.
    """

    name: str
    off_us: float
    text: Text
    room: str = ""


@dataclass(frozen=True)
class Input:
    """One row. `cuts` names the outputs that lose their permit; `signals` the plant channels it reads.

    With two signals both must be good, and the two must agree: a difference longer than
    `discrepancy_ticks` latches. A row with a `room` spares outputs that are not its room's while the
    room is isolated.
    """

    name: str
    family: Family
    kind: Kind
    latch: Latch
    maskable: bool
    cuts: frozenset[str]
    text: Text
    signals: tuple[str, ...] = ()
    discrepancy_ticks: int = 0
    room: str = ""

    @property
    def signal(self) -> str:
        """The plant channel of a row that reads one only; empty otherwise."""
        return self.signals[0] if len(self.signals) == 1 else ""

    @property
    def paired(self) -> bool:
        """Whether two channels have to agree."""
        return len(self.signals) == 2


@dataclass(frozen=True)
class Stage:
    """One stage of switching beam off: `confirm` has to be seen within `within_ticks` of the command."""

    outputs: frozenset[str]
    confirm: str
    within_ticks: int


@dataclass(frozen=True)
class SearchPlan:
    """One room's search: buttons in order within `walk_ticks`, then the door within `close_ticks`."""

    room: str
    input: str
    buttons: tuple[str, ...]
    walk_ticks: int
    close_ticks: int


@dataclass(frozen=True)
class Matrix:
    """A checked table. Row order is the priority among causes of one tick.

    `reset_roles` and `mask_roles`: family -> roles with that right (no entry: nobody).
    `self_test_ticks`: how long a passed self-test is worth; 0 where the table asks for none.
    """

    name: str
    title: Text
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...]
    arming: frozenset[str]
    service_key: str
    fast_output: str
    mask_limit_ticks: int
    unmaskable: frozenset[Family]
    reset_roles: Mapping[Family, frozenset[str]]
    mask_roles: Mapping[Family, frozenset[str]]
    searches: tuple[SearchPlan, ...]
    beam_off: tuple[Stage, ...] = ()
    self_test_ticks: int = 0

    def input(self, name: str) -> Input:
        """The row of that name. Raises KeyError."""
        for row in self.inputs:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of all rows, in order."""
        return tuple(row.name for row in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.outputs)

    @property
    def signals(self) -> dict[str, str]:
        """Input name -> plant channel, for the rows that read one channel."""
        return {row.name: row.signal for row in self.inputs if row.signal}

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Input name -> its two plant channels, for the rows that compare two."""
        return {row.name: (row.signals[0], row.signals[1]) for row in self.inputs if row.paired}

    @property
    def rooms(self) -> tuple[str, ...]:
        """Rooms that have an output of their own, in column order."""
        return tuple(dict.fromkeys(column.room for column in self.outputs if column.room))

    @property
    def isolation_keys(self) -> dict[str, str]:
        """Room -> the key that says it is isolated, for rooms that have one."""
        names = set(self.input_names)
        return {room: room + ISOLATED for room in self.rooms if room + ISOLATED in names}

    @property
    def keys(self) -> frozenset[str]:
        """Rows that grant something when good: the service key and the isolation keys."""
        return frozenset({self.service_key, *self.isolation_keys.values()})
