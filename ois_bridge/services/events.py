"""What happens now, told to those who look on: numbered events of a few topics, kept for a short time.

An event says that something changed, never what: listeners read again what they may see. So no
event holds patient data.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

TOPICS = frozenset({"queue", "appointments", "tasks", "devices", "outbox", "screens"})
KEPT = 500
_INFO = "events to publish"


@dataclass(frozen=True)
class Event:
    """Something changed. `about`: the device or thing, never a patient; `*`: look at everything anew."""

    number: int
    topic: str
    about: str = ""


class Hub:
    """Events of one process. Threads may publish; a listener's callback must not block."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[Callable[[Event | None], None]] = set()
        self._closed = False

    def publish(self, topic: str, about: str = "") -> None:
        """Tell all listeners. To be called after the commit. Raises ValueError for an unknown topic."""
        if topic not in TOPICS:
            raise ValueError(f"topic {topic!r}: allowed are {', '.join(sorted(TOPICS))}")
        with self._lock:
            self._number += 1
            event = Event(self._number, topic, about)
            self._kept.append(event)
            listeners = tuple(self._listeners)
        for tell in listeners:
            tell(event)

    def listen(self, tell: Callable[[Event | None], None]) -> Callable[[], None]:
        """Call `tell` with each event, and with None at the end; returns what ends it."""
        with self._lock:
            if not self._closed:
                self._listeners.add(tell)
        if self._closed:
            tell(None)

        def end() -> None:
            with self._lock:
                self._listeners.discard(tell)

        return end

    def since(self, last: str, topics: Collection[str]) -> list[Event]:
        """Events after the one with the id `last`. Where they are no longer known (a restart, a long
        absence), one event a topic that says `*`. Without an id: nothing is missed.
        """
        if not last:
            return []
        epoch, _dash, number = last.partition("-")
        with self._lock:
            kept, newest = list(self._kept), self._number
        oldest = kept[0].number if kept else newest + 1
        if epoch == self.epoch and number.isdigit() and oldest - 1 <= int(number) <= newest:
            return [event for event in kept if event.number > int(number) and event.topic in topics]
        return [Event(newest, topic, "*") for topic in sorted(topics)]

    def identity(self, event: Event) -> str:
        """The id of an event, as a browser sends it back when it connects again."""
        return f"{self.epoch}-{event.number}"

    def close(self) -> None:
        """End all listeners; later ones end at once."""
        with self._lock:
            self._closed = True
            listeners = tuple(self._listeners)
        for tell in listeners:
            tell(None)


def announce(session: Session, topic: str, about: str = "") -> None:
    """Publish when the deed of this session is committed, and not otherwise."""
    session.info.setdefault(_INFO, []).append((topic, about))


def publish_announced(session: Session, hub: Hub) -> None:
    """Publish what was announced; the owner of the transaction calls it after the commit."""
    for topic, about in dict.fromkeys(session.info.pop(_INFO, [])):
        hub.publish(topic, about)
