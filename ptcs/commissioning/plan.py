"""What is to be measured: steps of settings, what is read at each, and how long to wait."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats

SAMPLES = 10


@dataclass(frozen=True)
class Settle:
    """When a setting counts as set: after `wait_s`, and where `readback` names attributes, one a setting,
    when each stands within `tolerance` of its setting for two readings, at most `limit_s` later.
    """

    wait_s: float = 0.2
    readback: tuple[str, ...] = ()
    tolerance: float = 0.0
    limit_s: float = 20.0


@dataclass(frozen=True)
class Condition:
    """An attribute that must lie between two values before each step."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """A measurement. settings: (k,) names. steps: m rows of k values; `relative`: to what stood before.

    measure: (n,) names. samples: fresh readings averaged at each step. patience_s: how long no value may come
    (no beam) before it gives up. changing: of `measure`, those of which only a changed value is new, as they
    stay where they are while nothing is measured. own: a setting that reads further than this from what was
    written is somebody else's.
    """

    title: str
    settings: tuple[str, ...]
    steps: tuple[tuple[float, ...], ...]
    measure: tuple[str, ...]
    relative: bool = False
    samples: int = SAMPLES
    settle: Settle = field(default_factory=Settle)
    require: tuple[Condition, ...] = ()
    patience_s: float = 30.0
    sample_s: float = 0.02
    own: float = 1e-3
    changing: tuple[str, ...] = ()
    kind: str = "scan"

    def __post_init__(self) -> None:
        """Raise BadInput for a plan that cannot be followed."""
        if not self.settings or not self.steps or not self.measure:
            raise BadInput(_("a measurement needs settings, steps and something to measure"))
        if len(set(self.settings)) != len(self.settings) or len(set(self.measure)) != len(self.measure):
            raise BadInput(_("a measurement names an attribute twice"))
        if any(len(row) != len(self.settings) for row in self.steps):
            raise BadInput(
                _("each step needs one value for each of {count} settings").format(count=len(self.settings))
            )
        if not np.isfinite(np.array(self.steps)).all():
            raise BadInput(_("a step is not a number"))
        if self.samples < 1 or (self.settle.readback and len(self.settle.readback) != len(self.settings)):
            raise BadInput(_("samples must be 1 or more, and a readback needs one name for each setting"))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Plan":
        """What `as_dict` gave. Raises BadInput."""
        try:
            values = dict(kept)
            settle = dict(values["settle"])
            values["settle"] = Settle(**{**settle, "readback": tuple(settle["readback"])})
            values["require"] = tuple(Condition(**row) for row in values["require"])
            values["steps"] = tuple(tuple(float(v) for v in row) for row in values["steps"])
            values |= {name: tuple(values[name]) for name in ("settings", "measure", "changing")}
            return cls(**values)
        except (KeyError, TypeError, ValueError) as why:
            raise BadInput(_("a kept measurement cannot be read: {why}").format(why=why)) from why


def scan(title: str, setting: str, values: Sequence[float], measure: Sequence[str], **options: Any) -> Plan:
    """One setting against measurements; `options` are those of Plan."""
    steps = tuple((float(value),) for value in values)
    return Plan(title, (setting,), steps, tuple(measure), **options)


def response(title: str, settings: Sequence[str], kick: float | Sequence[float], measure: Sequence[str],
             **options: Any) -> Plan:  # fmt: skip
    """Each setting in turn up and down by its kick, the others where they stand: for a response matrix."""
    size = np.broadcast_to(np.asarray(kick, dtype=np.float64), (len(settings),))
    ups = np.diag(size)
    steps = np.concatenate([[up, -up] for up in ups])
    rows = tuple(tuple(float(value) for value in row) for row in steps)
    return Plan(title, tuple(settings), rows, tuple(measure), relative=True, kind="response", **options)


@dataclass(frozen=True)
class Point:
    """One step as measured. settings (k,) as written, mean and error (n,), count (n,), time s.

    error: standard error of the mean; NaN from one sample. A value that never came is NaN with count 0.
    """

    index: int
    settings: tuple[float, ...]
    mean: tuple[float, ...]
    error: tuple[float, ...]
    count: tuple[int, ...]
    time: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """A measurement with its points so far. start (k,): what the settings were before."""

    id: str
    plan: Plan
    start: tuple[float, ...]
    points: tuple[Point, ...]

    def settings(self) -> Floats:
        """Settings of each point, (p, k)."""
        return np.array([point.settings for point in self.points], dtype=np.float64)

    def mean(self) -> Floats:
        """Means, (p, n)."""
        return np.array([point.mean for point in self.points], dtype=np.float64)

    def error(self) -> Floats:
        """Standard errors, (p, n)."""
        return np.array([point.error for point in self.points], dtype=np.float64)

    @property
    def complete(self) -> bool:
        """Whether every step was measured."""
        return len(self.points) == len(self.plan.steps)
