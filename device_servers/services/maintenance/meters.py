"""What each device does, counted: hours, strokes, faults by cause. Pure: time and states are arguments."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from device_servers.modes import Health
from device_servers.services.health.rollup import DeviceHealth
from device_servers.services.maintenance.plan import ClassPlan

LONGEST_S = 30.0
"""A longer gap between two looks was watched by nobody and counts as nothing."""
SILENT = "no answer"
"""Cause of a device in use that is unknown or whose server does not answer."""


@dataclass
class Faults:
    """One cause: how often, and for how long in s."""

    count: int = 0
    seconds: float = 0.0


@dataclass
class Meter:
    """One device, or one subsystem. Seconds; `counter` is the sum of a counter of the device's own.

    observed_s: watched while in use. down_s: of these, with a fault or without an answer.
    """

    observed_s: float = 0.0
    running_s: float = 0.0
    down_s: float = 0.0
    cycles: int = 0
    counter: float = 0.0
    counter_last: float | None = None
    faults: dict[str, Faults] = field(default_factory=dict)

    def fail(self, cause: str, seconds: float, *, begins: bool) -> None:
        """Count a fault that begins, or goes on for some seconds."""
        fault = self.faults.setdefault(cause, Faults())
        fault.count += begins
        fault.seconds += seconds

    def hear(self, value: float) -> None:
        """Take the device's own counter; one that went back began again from zero."""
        last = 0.0 if self.counter_last is None or value < self.counter_last else self.counter_last
        self.counter += value - last
        self.counter_last = value

    def reading(self) -> dict[str, float]:
        """What the register keeps when a component is fitted or served."""
        hours = round(self.running_s / 3600, 4)
        return {"hours": hours, "cycles": self.cycles, "counter": round(self.counter, 3)}


class Meters:
    """All devices and subsystems of a site."""

    def __init__(self, plans: Mapping[str, ClassPlan]) -> None:
        """plans: device -> plan of its class; others are not counted."""
        self._plans = plans
        self.devices = {name: Meter() for name in plans}
        self.subsystems: dict[str, Meter] = {name.rsplit("/", 1)[0]: Meter() for name in plans}
        self._ends: dict[str, str] = {}
        self._causes: dict[str, str] = {}
        self._down: dict[str, bool] = {}
        self._heard: set[str] = set()
        """Devices that have answered since this process began: before that nobody knows how they are."""
        self._last: float | None = None

    def look(self, now: float, rows: Iterable[DeviceHealth], name_fault: Callable[[str], str]) -> None:
        """Count what was since the last look. now: monotonic s; name_fault: cause of a FAULT."""
        before, self._last = self._last, now
        passed = 0.0 if before is None or now - before > LONGEST_S else now - before
        down: dict[str, bool] = {}
        for row in rows:
            if row.name not in self._plans:
                continue
            if row.health is not Health.UNKNOWN:
                self._heard.add(row.name)
            self._wear(row, passed)
            if row.used and row.name in self._heard:
                subsystem = row.name.rsplit("/", 1)[0]
                down[subsystem] = self._count(row, passed, name_fault) or down.get(subsystem, False)
            else:
                self._causes.pop(row.name, None)
        for name, is_down in down.items():
            meter = self.subsystems[name]
            meter.observed_s += passed
            meter.down_s += passed if is_down else 0.0

    def _wear(self, row: DeviceHealth, passed: float) -> None:
        """What a device does wears its component, also in maintenance."""
        meter, plan = self.devices[row.name], self._plans[row.name]
        if row.state in plan.runs:
            meter.running_s += passed
        if row.state in plan.strokes:
            meter.cycles += self._ends.get(row.name, row.state) != row.state
            self._ends[row.name] = row.state

    def _count(self, row: DeviceHealth, passed: float, name_fault: Callable[[str], str]) -> bool:
        """A device in use; whether it is down."""
        meter = self.devices[row.name]
        meter.observed_s += passed
        if row.health not in (Health.FAILED, Health.UNKNOWN):
            self._causes.pop(row.name, None)
            return False
        cause = self._causes.get(row.name)
        begins = cause is None or (cause == SILENT) != (row.health is Health.UNKNOWN)
        if begins:
            cause = SILENT if row.health is Health.UNKNOWN else name_fault(row.name)
            self._causes[row.name] = cause
        assert cause is not None
        meter.fail(cause, passed, begins=begins)
        meter.down_s += passed
        return True

    def uptime(self) -> list[dict[str, Any]]:
        """A row a subsystem: name, observed_h, down_h, uptime (0..1, null unobserved), faults by cause."""
        rows = []
        for name, meter in self.subsystems.items():
            causes: dict[str, Faults] = {}
            for device, each in self.devices.items():
                if device.rsplit("/", 1)[0] == name:
                    for cause, fault in each.faults.items():
                        whole = causes.setdefault(cause, Faults())
                        whole.count, whole.seconds = whole.count + fault.count, whole.seconds + fault.seconds
            rows.append(
                {
                    "name": name,
                    "observed_h": meter.observed_s / 3600,
                    "down_h": meter.down_s / 3600,
                    "uptime": 1 - meter.down_s / meter.observed_s if meter.observed_s else None,
                    "faults": {
                        cause: {"count": fault.count, "hours": fault.seconds / 3600}
                        for cause, fault in causes.items()
                    },
                }
            )
        return rows

    def kept(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "devices": {name: asdict(meter) for name, meter in self.devices.items()},
            "subsystems": {name: asdict(meter) for name, meter in self.subsystems.items()},
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Take up what `kept` gave. Raises KeyError, TypeError or ValueError for anything else."""
        for own, key in ((self.devices, "devices"), (self.subsystems, "subsystems")):
            for name, values in kept[key].items():
                faults = {cause: Faults(**fault) for cause, fault in values["faults"].items()}
                own[name] = Meter(**{**values, "faults": faults})

    def at_least(self, device: str, reading: Mapping[str, float]) -> None:
        """The register knows that a device had already done so much."""
        meter = self.devices.setdefault(device, Meter())
        meter.running_s = max(meter.running_s, 3600 * reading["hours"])
        meter.cycles = max(meter.cycles, int(reading["cycles"]))
        meter.counter = max(meter.counter, reading["counter"])
