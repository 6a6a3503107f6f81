"""Wrong passwords by account and by where they came from.

Who guesses from one computer closes accounts for that computer, not for their owners at their own desks:
the log-in page must not be a switch that anybody turns the whole staff off with.
"""

import threading
from datetime import datetime, timedelta

from ois_bridge.domain import lockout

HERE = ""
"""The origin of somebody who is logged in already and confirms a deed."""
KNOWN_FOR = timedelta(days=30)


class Attempts:
    """Kept in memory: a restart forgets the closed origins, but not the account's own count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed: dict[tuple[str, str], tuple[int, datetime | None]] = {}
        self._known: dict[tuple[str, str], datetime] = {}

    def closed(self, account: str, origin: str, now: datetime) -> bool:
        """Whether an account takes no password from an origin now."""
        with self._lock:
            return lockout.closed(self._closed.get((account, origin), (0, None))[1], now)

    def known(self, account: str, origin: str, now: datetime) -> bool:
        """Whether the account's owner logged in from there lately."""
        if origin == HERE:
            return True
        with self._lock:
            last = self._known.get((account, origin))
            return last is not None and now - last < KNOWN_FOR

    def failed(self, account: str, origin: str, now: datetime) -> None:
        """Count a wrong password."""
        with self._lock:
            count = self._closed.get((account, origin), (0, None))[0]
            self._closed[account, origin] = lockout.after_failure(count, now)

    def right(self, account: str, origin: str, now: datetime) -> None:
        """The owner was there: the count begins anew."""
        with self._lock:
            self._closed.pop((account, origin), None)
            self._known[account, origin] = now

    def locked_until(self, account: str, now: datetime) -> datetime | None:
        """Until when an account is closed for at least one origin."""
        with self._lock:
            ends = [end for (key, _origin), (_count, end) in self._closed.items() if key == account]
        return max((end for end in ends if end is not None and lockout.closed(end, now)), default=None)

    def open(self, account: str) -> None:
        """Take passwords for an account from everywhere again."""
        with self._lock:
            for key in [key for key in self._closed if key[0] == account]:
                del self._closed[key]
