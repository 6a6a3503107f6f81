"""When wrong passwords close an account, and for how long."""

from datetime import datetime, timedelta

LIMIT = 5
"""Wrong passwords in a row that close an account for where they came from."""

LIMIT_OF_ALL = 20
"""Wrong passwords in a row, from wherever, that close it for every place but its owner's own ones."""

CLOSED_FOR = timedelta(minutes=15)


def closed(locked_until: datetime | None, now: datetime) -> bool:
    """Whether an account takes no password now."""
    # a clock that was set back closes nothing for longer
    return locked_until is not None and locked_until - CLOSED_FOR <= now < locked_until


def after_failure(failures: int, now: datetime, limit: int = LIMIT) -> tuple[int, datetime | None]:
    """Count of failures and end of the lock after one more wrong password."""
    failures += 1
    return (0, now + CLOSED_FOR) if failures >= limit else (failures, None)
