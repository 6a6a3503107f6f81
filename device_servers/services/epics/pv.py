"""What a process variable (PV) is: its name, its shape, and one sample of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

PREFIX = "PTCS"
LONGEST_NAME = 60
"""Characters that a Channel Access name may have by convention of EPICS records."""

STATES = (
    "ON", "OFF", "CLOSE", "OPEN", "INSERT", "EXTRACT", "MOVING",
    "STANDBY", "FAULT", "INIT", "RUNNING", "ALARM", "DISABLE", "UNKNOWN",
)  # fmt: skip
"""Choices of a State, in the order of Tango's DevState."""


class Severity(IntEnum):
    """Alarm severity of EPICS."""

    NONE = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class Status(IntEnum):
    """Alarm status of EPICS base (alarm.h); those that the gateway uses."""

    NO_ALARM = 0
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COMM = 9
    LINK = 14
    UDF = 17


OF_GATEWAY = "gateway"
"""In place of a device: PVs of the gateway itself."""


def pv_name(device: str, member: str) -> str:
    """Name of the PV of an attribute or command."""
    return f"{PREFIX}:{device}:{member}"


@dataclass(frozen=True)
class Shape:
    """What does not change from sample to sample. Not-given limits are infinite.

    block: its values come in the block of its server; others are read while somebody looks at them.
    kind: float, int, bool, enum or text; `array` for a spectrum or (row by row) an image. `words`: an
    enum whose Tango value is the word itself. `alarms`: lolo, lo, hi, hihi.
    """

    device: str
    member: str
    server: str
    kind: str = "float"
    array: bool = False
    longest: int = 1
    writable: bool = False
    command: bool = False
    block: bool = False
    words: bool = False
    private: bool = False
    choices: tuple[str, ...] = ()
    unit: str = ""
    decimals: int = 6
    description: str = ""
    limits: tuple[float, float] = (-math.inf, math.inf)
    alarms: tuple[float, float, float, float] | None = None

    @cached_property
    def name(self) -> str:
        """Name of the PV."""
        return pv_name(self.device, self.member)

    @property
    def source(self) -> str:
        """`device/attribute`, as in the `Channels` of a Crate."""
        return f"{self.device}/{self.member}"

    @property
    def read(self) -> bool:
        """Whether its value has to be read, while somebody looks at it."""
        return not (self.block or self.command or self.device == OF_GATEWAY)

    @property
    def limited(self) -> bool:
        """Whether both limits are numbers."""
        return all(map(math.isfinite, self.limits))


class Sample(NamedTuple):
    """A value, its time (s since the epoch), severity, status and reason. Without value: the one before."""

    value: Any
    when: float
    severity: Severity = Severity.NONE
    status: Status = Status.NO_ALARM
    message: str = ""


def empty(shape: Shape) -> Any:
    """What stands for a value that was never known."""
    if shape.array:
        return []
    return {"float": math.nan, "text": ""}.get(shape.kind, 0)


NUMBERS: dict[str, Callable[[float], Any]] = {"float": float, "int": int, "bool": bool}


def of_number(shape: Shape, number: float, when: float) -> Sample:
    """A sample from a number of a block; NaN means that the hardware does not answer."""
    if not math.isfinite(number):
        return Sample(None, when, Severity.INVALID, Status.COMM, "no link to the hardware")
    if shape.kind == "enum":
        return _choice(shape, int(number), when)
    if shape.kind == "text":
        return Sample(str(int(number)), when)
    value = NUMBERS[shape.kind](number)
    if shape.alarms is None:
        return Sample(value, when)
    return Sample(value, when, *_level(shape.alarms, number))


def of_reading(shape: Shape, value: Any, when: float, valid: bool) -> Sample:
    """A sample from what Tango read; not `valid`: of quality INVALID."""
    if not valid or (value is None and not shape.array):
        return Sample(None, when, Severity.INVALID, Status.COMM, "the device does not know the value")
    if shape.array:
        return Sample(_flat(value), when)
    if shape.kind == "text":
        text = "(private)" if shape.private and value else str(value)
        return Sample(text, when)
    if shape.kind == "enum":
        return _choice(shape, _index(shape, value), when)
    return of_number(shape, float(value), when)


def _flat(value: Any) -> Any:
    """A spectrum or image as one row."""
    if value is None:
        return []
    return value.ravel() if hasattr(value, "ravel") else [part for row in value for part in _row(row)]


def _index(shape: Shape, value: Any) -> int:
    if isinstance(value, str):
        return shape.choices.index(value) if value in shape.choices else -1
    return int(value)


def _row(row: Any) -> Any:
    return row if isinstance(row, tuple | list) else (row,)


def lost(when: float) -> Sample:
    """The sample of a PV whose server does not answer."""
    return Sample(None, when, Severity.INVALID, Status.LINK, "the device server does not answer")


def unknown(when: float) -> Sample:
    """The sample of a PV that was not read yet."""
    return Sample(None, when, Severity.INVALID, Status.UDF, "not read yet")


STATE_SEVERITY = {
    "FAULT": Severity.MAJOR,
    "ALARM": Severity.MINOR,
    "UNKNOWN": Severity.INVALID,
    "INIT": Severity.INVALID,
}


def _choice(shape: Shape, index: int, when: float) -> Sample:
    if not 0 <= index < len(shape.choices):
        return Sample(None, when, Severity.INVALID, Status.STATE, f"{index} has no word")
    severity = STATE_SEVERITY.get(shape.choices[index]) if shape.member == "State" else None
    if severity is None:
        return Sample(index, when)
    return Sample(index, when, severity, Status.STATE, shape.choices[index])


def _level(alarms: tuple[float, float, float, float], number: float) -> tuple[Severity, Status, str]:
    """Alarm of a number: the same rule as quality in Tango."""
    lolo, low, high, hihi = alarms
    if low <= number <= high:
        return Severity.NONE, Status.NO_ALARM, ""
    if number > high:
        severity, status = (Severity.MAJOR, Status.HIHI) if number > hihi else (Severity.MINOR, Status.HIGH)
    else:
        severity, status = (Severity.MAJOR, Status.LOLO) if number < lolo else (Severity.MINOR, Status.LOW)
    return severity, status, status.name
