"""When a patient comes back after treatment."""

import calendar
from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.words import N_


class Outcome(StrEnum):
    """What a follow-up found."""

    NO_DISEASE = N_("no sign of disease")
    STABLE = N_("stable disease")
    PROGRESSION = N_("progression or recurrence")
    DEAD = N_("died")
    LOST = N_("lost to follow-up")


MAX_MONTHS = 240


def schedule(start: date, months: Sequence[int]) -> list[tuple[int, date]]:
    """(months after the start, date) of each follow-up; the 31st becomes the month's last day.

    Raises BadInput for months outside 1 to 240 or none at all.
    """
    wanted = sorted(set(months))
    if not wanted or not all(1 <= month <= MAX_MONTHS for month in wanted):
        raise BadInput(_("Follow-up: months from 1 to {n}, for example 1, 3, 6, 12.").format(n=MAX_MONTHS))
    return [(month, _after(start, month)) for month in wanted]


def _after(start: date, months: int) -> date:
    year, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + year, month + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def parsed_months(text: str) -> list[int]:
    """Months typed as 1, 3, 6. Raises BadInput."""
    try:
        return [int(part) for part in text.replace("，", ",").replace(" ", ",").split(",") if part]
    except ValueError as why:
        raise BadInput(
            _("Follow-up: months from 1 to {n}, for example 1, 3, 6, 12.").format(n=MAX_MONTHS)
        ) from why
