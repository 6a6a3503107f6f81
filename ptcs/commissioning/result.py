"""What a calibration came to: quantities with uncertainty and tolerance, and the verdict."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from common.errors import BadInput
from common.text import _

SIGMAS = 2.0
"""A tolerance nearer than this many sigmas leaves a verdict unsure."""


class Verdict(StrEnum):
    """How a quantity stands to its tolerance."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    UNSURE = "UNSURE"
    """Its tolerance lies within two sigmas of it: measure longer."""
    NONE = "NONE"
    """It has no tolerance."""


@dataclass(frozen=True)
class Quantity:
    """A value with one sigma. low, high: its tolerance; None: none on that side."""

    name: str
    value: float
    error: float
    unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Against the tolerance. A value that is not known has failed where there is one."""
        if self.low is None and self.high is None:
            return Verdict.NONE
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= self.value <= high:
            return Verdict.FAILED
        error = self.error if math.isfinite(self.error) else 0.0
        near = min(self.value - low, high - self.value) < SIGMAS * error
        return Verdict.UNSURE if near else Verdict.PASSED


@dataclass(frozen=True)
class Table:
    """Rows of numbers or texts under columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Result:
    """A calibration or correction. id: of its measurement. inputs: what it was made with.

    machine: what is known of the machine then (site, mode, snapshot). proposal: for the beam catalogue.
    """

    id: str
    kind: str
    title: str
    user: str
    when: str
    quantities: tuple[Quantity, ...]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    proposal: Mapping[str, Any] | None = None

    @property
    def verdict(self) -> Verdict:
        """FAILED where a quantity is, UNSURE where one is, PASSED where all that have a tolerance are."""
        found = {quantity.verdict for quantity in self.quantities}
        order = (Verdict.FAILED, Verdict.UNSURE, Verdict.PASSED)
        return next((verdict for verdict in order if verdict in found), Verdict.NONE)

    def quantity(self, name: str) -> Quantity:
        """A quantity by its name. Raises BadInput."""
        found = next((quantity for quantity in self.quantities if quantity.name == name), None)
        if found is None:
            raise BadInput(
                _("{id} has no quantity {name}: allowed are {allowed}").format(
                    id=self.id, name=name, allowed=", ".join(q.name for q in self.quantities)
                )
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; NaN becomes null."""
        content: dict[str, Any] = _plain({**asdict(self), "verdict": self.verdict.value})
        return content

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Result":
        """What `as_dict` gave. Raises BadInput."""
        try:
            values = {key: value for key, value in kept.items() if key != "verdict"}
            rows = [{**row, "value": _number(row["value"]), "error": _number(row["error"])}
                    for row in values["quantities"]]  # fmt: skip
            values["quantities"] = tuple(Quantity(**row) for row in rows)
            values["tables"] = tuple(
                Table(t["title"], tuple(t["columns"]), tuple(tuple(row) for row in t["rows"]))
                for t in values["tables"]
            )
            return cls(**{**values, "notes": tuple(values["notes"])})
        except (KeyError, TypeError, ValueError) as why:
            raise BadInput(_("a kept result cannot be read: {why}").format(why=why)) from why


def now() -> str:
    """UTC now, as results have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
