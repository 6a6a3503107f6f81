"""Results on disk beside their measurements, and what earlier ones of the same kind were."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import BadInput
from common.files import read_json, write_json
from common.text import _
from ptcs.commissioning.result import Result, Table
from ptcs.commissioning.store import RESULT, Store


@dataclass(frozen=True)
class Trend:
    """A quantity over the results of one kind: when, value and error of each."""

    name: str
    unit: str
    when: tuple[str, ...]
    value: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def change(self) -> float:
        """How far the last value is from the mean of those before, in sigmas; NaN: nothing before."""
        if len(self.value) < 2:
            return float("nan")
        value, error = np.array(self.value), np.maximum(np.nan_to_num(np.array(self.error)), 1e-12)
        weight = 1.0 / error[:-1] ** 2
        mean = float(np.sum(weight * value[:-1]) / weight.sum())
        scatter = float(np.std(value[:-1], ddof=1)) if len(value) > 2 else 0.0
        return float((value[-1] - mean) / np.hypot(error[-1], max(scatter, weight.sum() ** -0.5)))


def keep(store: Store, result: Result) -> Result:
    """Write a result beside its measurement. Raises BadInput for a measurement that there is not, OSError."""
    write_json(store.folder(result.id) / RESULT, result.as_dict())
    return result


def load(store: Store, number: str) -> Result:
    """The result of a measurement. Raises BadInput."""
    path = store.folder(number) / RESULT
    if not path.exists():
        raise BadInput(_("measurement {id} has no result yet").format(id=number))
    try:
        return Result.from_dict(read_json(path))
    except (OSError, ValueError) as why:
        raise BadInput(_("a kept result cannot be read: {why}").format(why=why)) from why


def load_or_points(store: Store, number: str) -> Result:
    """The result of a measurement; of one that nobody judged, a result without quantities: its points.

    Raises BadInput.
    """
    folder = store.folder(number)
    if (folder / RESULT).exists():
        return load(store, number)
    measured, head = store.load(number), store.head(number)
    plan = measured.plan
    columns = ("step", *plan.settings, *plan.measure)
    rows = []
    for point in measured.points:
        seen = map(with_sigma, point.mean, point.error)
        rows.append((str(point.index + 1), *(f"{value:.5g}" for value in point.settings), *seen))
    notes = (_("Not judged: the points as they were measured."),)
    return Result(number, plan.kind, plan.title, head["user"], head["began"], (), {}, head["machine"],
                  (Table("points", columns, tuple(rows)),), notes)  # fmt: skip


def with_sigma(value: float, error: float) -> str:
    """A value and one sigma, rounded to two digits of it."""
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(error) or error <= 0.0:
        return f"{value:.5g}"
    digits = max(1 - math.floor(math.log10(error)), 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def of_kind(store: Store, kind: str) -> list[Result]:
    """All results of a kind, oldest first."""
    found = [load(store, number) for number in store.ids() if (store.root / number / RESULT).exists()]
    return sorted(
        (result for result in found if result.kind == kind), key=lambda result: (result.when, result.id)
    )


def trends(results: Sequence[Result]) -> list[Trend]:
    """Each quantity of the newest result, over all of these (oldest first)."""
    found = []
    for quantity in results[-1].quantities if results else ():
        rows = [(r.when, q) for r in results for q in r.quantities if q.name == quantity.name]
        found.append(
            Trend(
                quantity.name,
                quantity.unit,
                tuple(when for when, _q in rows),
                tuple(q.value for _when, q in rows),
                tuple(q.error for _when, q in rows),
            )
        )
    return found


def listed(store: Store) -> list[dict[str, Any]]:
    """All measurements as rows: id, title, user, began, points, verdict ("" without a result)."""
    rows = []
    for number in store.ids():
        measured, head = store.load(number), store.head(number)
        has = (store.root / number / RESULT).exists()
        verdict = load(store, number).verdict.value if has else ""
        done = f"{len(measured.points)}/{len(measured.plan.steps)}"
        rows.append({"id": number, "title": measured.plan.title, "user": head["user"],
                     "began": head["began"], "points": done, "verdict": verdict})  # fmt: skip
    return rows
