"""What a delivery's verification says, as handed over for the irradiation report."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import BadInput
from common.text import _


@dataclass(frozen=True)
class Gamma:
    """Global gamma index. pass_rate and threshold in per cent, dose_percent of the maximum."""

    pass_rate: float
    dose_percent: float
    distance_mm: float
    threshold_percent: float
    points: int


@dataclass(frozen=True)
class ReportSummary:
    """The parts of a summary that the report shows.

    relative_beam: beam number (text) -> deviation of the delivered meterset from the planned, relative.
    metrics: {"target": {name: Gy}, "organs": {ROI: {name: Gy}}} of the delivered dose, may be empty.
    """

    gamma: Gamma
    centroid_max_mm: float
    centroid_mean_mm: float
    max_relative_spot: float
    relative_beam: Mapping[str, float]
    passed: bool
    failures: tuple[str, ...]
    planned_metrics: Mapping[str, Any] = field(default_factory=dict)
    delivered_metrics: Mapping[str, Any] = field(default_factory=dict)
    interruptions: tuple[Mapping[str, Any], ...] = ()
    clock_factor: float | None = None


def parse(text: str) -> ReportSummary:
    """Read a summary: JSON with `verification` {gamma, centroid, meterset, passed, failures, metrics},
    and where there are such `plan` {metrics}, `delivery` {interruptions}, `clock_factor`.

    Raises BadInput naming what is missing, no number, or contradicts itself.
    """
    try:
        whole = json.loads(text)
        check = whole["verification"]
        summary = ReportSummary(
            gamma=_gamma(check["gamma"]),
            centroid_max_mm=_number(check["centroid"]["max_mm"]),
            centroid_mean_mm=_number(check["centroid"]["mean_mm"]),
            max_relative_spot=_number(check["meterset"]["max_relative_spot"]),
            relative_beam={str(n): _number(r) for n, r in check["meterset"]["relative_beam"].items()},
            passed=_truth(check["passed"]),
            failures=tuple(str(line) for line in check["failures"]),
            planned_metrics=dict(whole.get("plan", {}).get("metrics") or {}),
            delivered_metrics=dict(check.get("metrics") or {}),
            interruptions=tuple(dict(row) for row in whole.get("delivery", {}).get("interruptions", ())),
            clock_factor=_number(whole["clock_factor"]) if "clock_factor" in whole else None,
        )
    except KeyError as why:
        raise BadInput(_("The report's summary lacks {name}.").format(name=why)) from why
    except (ValueError, TypeError, AttributeError) as why:
        raise BadInput(_("The report's summary cannot be used: {why}").format(why=why)) from why
    if summary.passed == bool(summary.failures):
        raise BadInput(_("The report's summary contradicts itself: passed with failures, or failed without."))
    return summary


def _gamma(part: Mapping[str, Any]) -> Gamma:
    return Gamma(
        pass_rate=_number(part["pass_rate"]),
        dose_percent=_number(part["dose_percent"]),
        distance_mm=_number(part["distance_mm"]),
        threshold_percent=_number(part["threshold_percent"]),
        points=int(part["points"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
