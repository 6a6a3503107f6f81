"""An overview as JSON: what `Query` answers, `ptcs archive query --json` prints and the REST interface gives.

{"attribute", "start", "end", "width": s (0: the rows are the samples themselves), "before": [time, value] or
null, and arrays of one length: "time", "count", "unknown", "minimum", "maximum", "mean", "last"}. Times are
seconds since 1970-01-01T00:00:00Z. null is an unknown value; infinities are the texts "Infinity" and
"-Infinity", for JSON has no numbers for them.
"""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.layout import Floats
from device_servers.services.archive.protocols import Overview

_FLOATS = ("minimum", "maximum", "mean", "last")
_COUNTS = ("count", "unknown")


def to_dict(overview: Overview, attribute: str, start: float, end: float) -> dict[str, Any]:
    """An overview of an attribute from `start` to `end` as JSON's types."""
    before = overview.before
    return {
        "attribute": attribute,
        "start": start,
        "end": end,
        "width": overview.width,
        "before": None if before is None else [before[0], _plain(before[1])],
        "time": overview.times.tolist(),
        **{name: getattr(overview, name).tolist() for name in _COUNTS},
        **{name: _column(getattr(overview, name)) for name in _FLOATS},
    }


def to_json(overview: Overview, attribute: str, start: float, end: float) -> str:
    """An overview as a JSON text."""
    return json.dumps(to_dict(overview, attribute, start, end), allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Overview:
    """The overview in a JSON text. Raises ValueError, KeyError or TypeError for another text."""
    found = json.loads(text)
    before = found["before"]
    held = None if before is None else (float(before[0]), float(_floats(before[1:])[0]))
    return Overview(
        width=float(found["width"]),
        times=np.array(found["time"], float),
        count=np.array(found["count"], np.int64),
        unknown=np.array(found["unknown"], np.int64),
        minimum=_floats(found["minimum"]),
        maximum=_floats(found["maximum"]),
        mean=_floats(found["mean"]),
        last=_floats(found["last"]),
        before=held,
    )


def _column(values: Floats) -> list[float | str | None]:
    plain: NDArray[Any] = values.astype(object)
    for index in np.flatnonzero(~np.isfinite(values)):
        plain[index] = _plain(float(values[index]))
    return list(plain.tolist())


def _plain(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _floats(values: list[Any]) -> Floats:
    return np.array([math.nan if value is None else float(value) for value in values], float)
