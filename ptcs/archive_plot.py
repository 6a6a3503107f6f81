"""An overview as a picture: dots of braille in a terminal, or a PNG."""

import math
from datetime import datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.protocols import Overview

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
_BLANK = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of the eight dots of a braille sign, by row and column (Unicode 2800 to 28FF)."""
_MARGIN = 11


def terminal(overview: Overview, start: float, end: float, columns: int, rows: int) -> list[str]:
    """Lines of text: from lowest to highest value of each column, the held value between; gaps stay empty.

    columns, rows: of the terminal; at least 30 and 6 are used.
    """
    wide, high = max(columns, 30) - _MARGIN, max(rows, 6) - 2
    low, top = _limits(overview)
    if not math.isfinite(low):
        return []
    dots = _raster(overview, start, end, (2 * wide, 4 * high), (low, top))
    cells = dots.reshape(high, 4, wide, 2).swapaxes(1, 2)
    signs = _BLANK + (cells * _DOTS).sum(axis=(2, 3))
    lines = ["".join(chr(sign) for sign in row) for row in signs]
    labels = {0: f"{top:.5g}", high - 1: f"{low:.5g}", high // 2: f"{(low + top) / 2:.5g}"}
    axis = [f"{labels.get(index, ''):>{_MARGIN - 2}} ┤{line}" for index, line in enumerate(lines)]
    first, last = (datetime.fromtimestamp(time).strftime("%Y-%m-%d %H:%M:%S") for time in (start, end))
    gap = max(1, wide - len(first) - len(last))
    return [*axis, " " * (_MARGIN - 1) + "└" + "─" * wide, " " * _MARGIN + first + " " * gap + last]


def _limits(overview: Overview) -> tuple[float, float]:
    """Lowest and highest finite value, apart at least by what can be drawn; NaN without one."""
    held = [] if overview.before is None else [overview.before[1]]
    values = np.concatenate([overview.minimum, overview.maximum, held])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan, math.nan
    low, top = float(finite.min()), float(finite.max())
    room = 0.0 if top > low else max(abs(low), 1.0) * 1e-3
    return low - room, top + room


def _raster(
    overview: Overview, start: float, end: float, size: tuple[int, int], limits: tuple[float, float]
) -> Bools:
    """Dots (rows, columns), the highest value on top."""
    wide, high = size
    lowest, highest, held = _columns(overview, start, end, wide)
    low, top = limits
    scale = (high - 1) / (top - low)
    dots = np.zeros((high, wide), bool)
    place = np.arange(high)[:, None]
    for one, other in ((lowest, highest), (held, held)):
        with np.errstate(invalid="ignore"):
            below, above = (np.rint((np.clip(edge, low, top) - low) * scale) for edge in (one, other))
            dots |= (place >= below) & (place <= above)
    return dots[::-1]


def _columns(overview: Overview, start: float, end: float, wide: int) -> tuple[Floats, Floats, Floats]:
    """Of each column the lowest and highest value in it, and the value that held at its end (or NaN)."""
    share = (overview.times + overview.width / 2 - start) / max(end - start, 1e-9)
    where = np.clip((share * wide).astype(int), 0, wide - 1)
    lowest, highest = np.full(wide, np.nan), np.full(wide, np.nan)
    np.fmin.at(lowest, where, overview.minimum)
    np.fmax.at(highest, where, overview.maximum)
    held = np.full(wide, np.nan)
    value, column = math.nan if overview.before is None else overview.before[1], 0
    for row, until in enumerate(where.tolist()):
        held[column:until] = value
        value, column = float(overview.last[row]), until
    held[column:] = value
    return lowest, highest, held


def picture(overview: Overview, attribute: str, start: float, end: float) -> bytes:
    """A PNG: the band from lowest to highest, and the mean of each bin; samples as steps. Local time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.dates import DateFormatter, date2num  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    def days(times: Floats) -> Floats:
        zone = datetime.fromtimestamp(end).astimezone().tzinfo
        return np.array([date2num(datetime.fromtimestamp(time, zone).replace(tzinfo=None)) for time in times])

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = overview.times + overview.width / 2
    if overview.raw:
        axes.step(days(times), np.where(np.isinf(overview.last), np.nan, overview.last), where="post", lw=1)
    else:
        low, high = (np.where(np.isinf(v), np.nan, v) for v in (overview.minimum, overview.maximum))
        axes.fill_between(days(times), low, high, alpha=0.3, lw=0)
        axes.plot(days(times), np.where(np.isinf(overview.mean), np.nan, overview.mean), lw=1)
    axes.set_xlim(*days(np.array([start, max(end, start + 1e-3)])))
    axes.xaxis.set_major_formatter(DateFormatter("%m-%d\n%H:%M:%S"))
    axes.set_title(attribute)
    axes.grid(alpha=0.3)
    out = BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
