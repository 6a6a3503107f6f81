"""Full names of the staff: pages show people, not names of accounts."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ois_bridge.models.accounts import Account
from ois_bridge.models.database import Database

KEPT = timedelta(seconds=30)
"""A name that an administrator changes is seen after so long."""


class StaffNames:
    """User -> full name, read again when it is older than `KEPT`."""

    def __init__(self) -> None:
        self._read: tuple[datetime, Mapping[str, str]] | None = None

    def known(self, database: Database, now: datetime) -> Mapping[str, str]:
        """Of every account; while the database does not answer, as they were, or none."""
        kept = self._read
        if kept is None or not timedelta() <= now - kept[0] < KEPT:
            try:
                with database.reading() as session:
                    kept = self._read = (now, read(session))
            except SQLAlchemyError:  # the page that says so is made with what is known
                return kept[1] if kept is not None else {}
        return kept[1]


def read(session: Session) -> dict[str, str]:
    """User -> full name of every account."""
    return {user: name for user, name in session.execute(select(Account.user, Account.full_name)) if name}
