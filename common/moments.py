"""Moments as people write them: ISO 8601, seconds since the epoch, or so long ago."""

import math
import re
from datetime import datetime

from common.errors import BadInput
from common.text import _

_AGO = re.compile(r"-\s*(\d+(?:\.\d*)?|\.\d+)\s*([smhdw])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_EARLIEST, _LATEST = -6.0e10, 2.5e11
"""Years 68 and 9892: within what calendars can show."""


def moment(text: str, now: float) -> float:
    """Seconds since 1970-01-01T00:00:00Z of a moment.

    text: `now`; `-90s`, `-5m`, `-2h`, `-3d`, `-1w` before `now`; an ISO 8601 date or time, local time if it
    names no zone; or seconds since the epoch. Raises BadInput for anything else.
    """
    plain = text.strip()
    if plain.lower() == "now":
        return now
    ago = _AGO.fullmatch(plain.lower())
    try:
        found = now - float(ago[1]) * _UNITS[ago[2]] if ago else _absolute(plain)
    except (ValueError, OverflowError, OSError) as why:
        raise BadInput(_message(text)) from why
    if not math.isfinite(found) or not _EARLIEST < found < _LATEST:
        raise BadInput(_message(text))
    return found


def _absolute(plain: str) -> float:
    if re.fullmatch(r"\d{8}", plain):  # YYYYMMDD rather than a second of the year 1970
        return datetime.fromisoformat(plain).timestamp()
    try:
        return float(plain)
    except ValueError:
        return datetime.fromisoformat(plain).timestamp()


def _message(text: str) -> str:
    return _("{text!r} is no time; write 2026-03-01T08:00, now, -2h (s, m, h, d, w) or seconds").format(
        text=text[:40]
    )
