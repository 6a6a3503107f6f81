"""Names that pages show instead of codes: full names of the staff, titles of the devices."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.models.accounts import Account
from ois_bridge.models.database import Database
from ois_bridge.models.scheduling import DepartmentDevice

T = TypeVar("T")

KEPT = timedelta(seconds=30)
"""A name that an administrator changes is seen after so long."""


class Kept(Generic[T]):
    """What a query says, asked again when it is older than `KEPT`."""

    def __init__(self, read: Callable[[Session], T]) -> None:
        self._ask = read
        self._kept: tuple[datetime, T] | None = None

    def known(self, database: Database, now: datetime) -> T:
        """The answer, at most `KEPT` old."""
        kept = self._kept
        if kept is None or not timedelta() <= now - kept[0] < KEPT:
            with database.reading() as session:
                kept = self._kept = (now, self._ask(session))
        return kept[1]


def read(session: Session) -> Mapping[str, str]:
    """User -> full name of every account."""
    return {user: name for user, name in session.execute(select(Account.user, Account.full_name)) if name}


def places(session: Session) -> Mapping[str, Mapping[str, str]]:
    """Device -> language -> title, of those no longer in use too."""
    return {
        row.name: {"zh": row.title_zh, "en": row.title_en}
        for row in session.scalars(select(DepartmentDevice))
    }


class Names:
    """The kept names of one OIS."""

    def __init__(self) -> None:
        self.staff = Kept(read)
        self.places = Kept(places)
