"""The maintenance plan: for each device class what counts as running, and which task is due when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from common.site import Device
from common.yaml_file import CONFIG, load_checked

PATH = CONFIG / "components.yaml"
DAYS_A_MONTH = 365.25 / 12
KINDS = ("hours", "cycles", "counter", "months")
"""What a task's interval is counted in: running hours, strokes, the device's own counter, the calendar."""


@dataclass(frozen=True)
class Task:
    """One recurring task. text: language -> words."""

    name: str
    text: Mapping[str, str]
    kind: str
    every: float


@dataclass(frozen=True)
class ClassPlan:
    """A device class. runs: States that count hours; strokes: end States; counter: an attribute that counts.

    clinical: whether patients depend on it, so that its exchange locks clinical mode.
    """

    name: str
    clinical: bool = True
    runs: frozenset[str] = frozenset()
    strokes: frozenset[str] = frozenset()
    counter: str = ""
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """From where a task counts: time, and meter readings then."""

    time: datetime
    reading: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Due:
    """How far a task of a device is: `used` of `every`, in `kind`."""

    device: str
    task: Task
    used: float

    @property
    def share(self) -> float:
        """1 and more: overdue."""
        return self.used / self.task.every

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        words = {"device": self.device, "task": self.task.name, "text": dict(self.task.text)}
        numbers = {"kind": self.task.kind, "every": self.task.every, "used": round(self.used, 3)}
        return {**words, **numbers, "share": round(self.share, 4), "overdue": self.share >= 1}


def load(path: Path = PATH) -> dict[str, ClassPlan]:
    """Class -> plan. Raises BadConfig with line and reason."""
    return {name: _class(name, row) for name, row in load_checked(path, "components")["classes"].items()}


def of_devices(plans: Mapping[str, ClassPlan], devices: Iterable[Device]) -> dict[str, ClassPlan]:
    """Device -> plan of its class. A class without a plan is one that patients depend on."""
    return {d.name: plans.get(d.tango_class, ClassPlan(d.tango_class)) for d in devices}


def due(
    device: str, plan: ClassPlan, now: datetime, reading: Mapping[str, float], since: Mapping[str, Baseline]
) -> list[Due]:
    """Each task of a device. since: task -> baseline (hours of a baseline that lacks them are 0)."""
    found = []
    for task in plan.tasks:
        base = since[task.name]
        if task.kind == "months":
            used = (now - base.time).total_seconds() / 86400 / DAYS_A_MONTH
        else:
            used = reading[task.kind] - base.reading.get(task.kind, 0.0)
        found.append(Due(device, task, max(used, 0.0)))
    return found


def _class(name: str, row: Mapping[str, Any]) -> ClassPlan:
    return ClassPlan(
        name,
        row.get("clinical", True),
        frozenset(row.get("runs", ())),
        frozenset(row.get("strokes", ())),
        row.get("counter", ""),
        tuple(_task(task, content) for task, content in row.get("tasks", {}).items()),
    )


def _task(name: str, row: Mapping[str, Any]) -> Task:
    kind = next(kind for kind in KINDS if kind in row)
    return Task(name, row["text"], kind, float(row[kind]))
