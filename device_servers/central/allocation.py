"""Which room has the beam and which wait: by priority, then by the time of asking. Immutable values only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from common.errors import Refused
from common.text import _

HIGHEST = 9


@dataclass(frozen=True)
class Waiting:
    """A room in the queue. since_ns: wall time of its request."""

    room: str
    priority: int
    since_ns: int


@dataclass(frozen=True)
class Allocation:
    """Owner ("" for none), the rooms that wait, and standing priorities (0..9, 9 first).

    kept: the owner keeps the beam although it gave it back, until somebody ends that. given_back: it did.
    """

    owner: str = ""
    queue: tuple[Waiting, ...] = ()
    priorities: tuple[tuple[str, int], ...] = ()
    kept: bool = False
    given_back: bool = False

    @property
    def rooms(self) -> list[str]:
        """The rooms that wait, the next one first."""
        return [waiting.room for waiting in self.queue]

    def requested(self, room: str, now_ns: int) -> "Allocation":
        """After a room asked: it has the beam, or waits. Asking twice changes nothing."""
        if room == self.owner:
            return replace(self, given_back=False)
        if not self.owner:
            return replace(self, owner=room, kept=False, given_back=False)
        if room in self.rooms:
            return self
        return self._queued(*self.queue, Waiting(room, dict(self.priorities).get(room, 0), now_ns))

    def released(self, room: str) -> "Allocation":
        """After a room gave up the beam, or its place in the queue. Raises Refused if it has neither."""
        if room in self.rooms:
            return replace(self, queue=tuple(other for other in self.queue if other.room != room))
        if room != self.owner:
            raise Refused(_("{room} neither has the beam nor waits for it").format(room=room))
        return replace(self, given_back=True) if self.kept else self._next()

    def keep(self, room: str, kept: bool) -> "Allocation":
        """After the owner's keeping began or ended; what it gave back meanwhile goes on. Raises Refused."""
        if room != self.owner:
            raise Refused(_("{room} does not have the beam; only its owner can keep it").format(room=room))
        return self._next() if self.given_back and not kept else replace(self, kept=kept)

    def prioritised(self, room: str, priority: int) -> "Allocation":
        """After a room got a standing priority, also for a request that waits. Raises Refused."""
        if not 0 <= priority <= HIGHEST:
            text = _("priority {priority}: allowed are 0 (last) to {highest} (first)")
            raise Refused(text.format(priority=priority, highest=HIGHEST))
        standing = {**dict(self.priorities), room: priority}
        queue = (replace(one, priority=priority) if one.room == room else one for one in self.queue)
        return replace(self._queued(*queue), priorities=tuple(sorted(standing.items())))

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "owner": self.owner,
            "queue": [vars(waiting) for waiting in self.queue],
            "priorities": dict(self.priorities),
            "kept": self.kept,
            "given_back": self.given_back,
        }

    def _queued(self, *queue: Waiting) -> "Allocation":
        return replace(self, queue=tuple(sorted(queue, key=lambda one: (-one.priority, one.since_ns))))

    def _next(self) -> "Allocation":
        owner = self.queue[0].room if self.queue else ""
        return replace(self, owner=owner, queue=self.queue[1:], kept=False, given_back=False)


def from_dict(content: Mapping[str, Any]) -> Allocation:
    """What `as_dict` gave; a queue may also be plain names. Raises ValueError, TypeError or KeyError."""
    queue = tuple(
        Waiting(one, 0, 0)
        if isinstance(one, str)
        else Waiting(str(one["room"]), int(one["priority"]), int(one["since_ns"]))
        for one in content.get("queue", ())
    )
    return Allocation(
        str(content.get("owner", "")),
        queue,
        tuple(sorted((str(room), int(level)) for room, level in content.get("priorities", {}).items())),
        bool(content.get("kept", False)),
        bool(content.get("given_back", False)),
    )
