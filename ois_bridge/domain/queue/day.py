"""The day that a queue belongs to, in the zone of the department's computers."""

from datetime import datetime, time, timedelta


def day_of(moment: datetime) -> str:
    """YYYY-MM-DD of a moment with a zone."""
    return f"{moment.astimezone():%Y-%m-%d}"


def bounds(moment: datetime) -> tuple[datetime, datetime]:
    """Beginning of the moment's day and of the next one, both with a zone."""
    day = moment.astimezone().date()
    first = datetime.combine(day, time()).astimezone()
    return first, datetime.combine(day + timedelta(days=1), time()).astimezone()


def clock(moment: datetime) -> str:
    """HH:MM."""
    return f"{moment.astimezone():%H:%M}"


def date_and_clock(moment: datetime) -> str:
    """YYYY-MM-DD HH:MM."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
