"""Checks of a waveform before it goes to a supply."""

import json

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.text import _

SLACK = 1.0 + 1e-9
"""Slopes are compared with room for rounding."""


def checked_waveform(
    text: str, limits: tuple[float, float] | None, ramp_a_s: float, most: int
) -> NDArray[np.float64]:
    """Rows (n, 2) of time s and current A from JSON [[t, i], ...].

    Raises Refused unless there are 2 .. `most` finite points, times begin at 0 and rise, currents are
    within `limits` and no slope is steeper than `ramp_a_s`.
    """
    try:
        rows = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, RecursionError) as why:
        raise Refused(_("waveform is not JSON [[t, A], ...] ({why})").format(why=why)) from why
    if rows.ndim != 2 or rows.shape[1] != 2 or not 2 <= len(rows) <= most:
        raise Refused(_("waveform must have 2 .. {most} points [t, A]").format(most=most))
    if not np.isfinite(rows).all():
        raise Refused(_("waveform holds a value that is not finite"))
    times, currents = rows.T
    steps = np.diff(times)
    if times[0] != 0.0 or not (steps > 0).all():
        raise Refused(_("waveform times must begin at 0 and rise"))
    if limits is not None and not ((currents >= limits[0]) & (currents <= limits[1])).all():
        worst = float(currents[np.argmax(np.maximum(currents - limits[1], limits[0] - currents))])
        message = _("waveform reaches {worst:g} A: allowed are {low:g} .. {high:g} A")
        raise Refused(message.format(worst=worst, low=limits[0], high=limits[1]))
    steepest = float(np.max(np.abs(np.diff(currents)) / steps))
    if steepest > ramp_a_s * SLACK:
        message = _("waveform is as steep as {steepest:g} A/s: allowed are up to {rate:g} A/s")
        raise Refused(message.format(steepest=steepest, rate=ramp_a_s))
    return rows
