"""When wrong passwords close an account, and for how long."""

from datetime import datetime, timedelta

LIMIT = 5
"""Wrong passwords in a row that close an account."""

CLOSED_FOR = timedelta(minutes=15)


def closed(locked_until: datetime | None, now: datetime) -> bool:
    """Whether an account takes no password now."""
    return locked_until is not None and now < locked_until


def after_failure(failures: int, now: datetime) -> tuple[int, datetime | None]:
    """Count of failures and end of the lock after one more wrong password."""
    failures += 1
    return (0, now + CLOSED_FOR) if failures >= LIMIT else (failures, None)
