"""Values of whole crates for panels: what Tango's threads hear waits for the panel's next picture."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tango
from numpy.typing import NDArray

log = logging.getLogger(__name__)

CHECK_S = 1.0
SILENCE_S = 3.0
TIMEOUT_MS = 1500
MOST_WAITING = 2000
"""Events that wait for a panel that does not draw; the oldest go then, and the crate is read anew."""


@dataclass(frozen=True)
class Block:
    """News of one crate: rows (n, 3) of time (s since 1970), index of the channel, value; NaN is unknown."""

    crate: str
    names: tuple[str, ...]
    triples: NDArray[np.float64]


class CrateLink:
    """The subscription to one crate's `changes`, made again when its server was away."""

    def __init__(self, crate: str, proxy: Callable[[str], tango.DeviceProxy], heard: Callable[[Block], None]):
        self.crate = crate
        self.up = False
        self._make, self._heard = proxy, heard
        self._proxy: tango.DeviceProxy | None = None
        self._subscription: int | None = None
        self._names: tuple[str, ...] = ()
        self._stale = False
        self._last = 0.0

    def check(self) -> None:
        """See whether the server is there, and subscribe where that is due. Called by one thread."""
        try:
            if self._stale or (self._proxy is not None and not self._sound()):
                self.close()
            if self._proxy is None:
                self._subscribe()
        except tango.DevFailed as why:
            if self.up:
                log.warning("lost %s: %s", self.crate, why.args[0].desc)
            self._unknown()
            self.close()

    def close(self) -> None:
        """End the subscription."""
        proxy, subscription = self._proxy, self._subscription
        self._proxy, self._subscription, self._stale = None, None, False
        if proxy is not None and subscription is not None:
            try:
                proxy.unsubscribe_event(subscription)
            except tango.DevFailed as why:
                log.debug("unsubscribe of %s: %s", self.crate, why.args[0].desc)

    def renew(self) -> None:
        """Read every channel anew at the next check: events were lost."""
        self._stale = True

    def _sound(self) -> bool:
        """Whether the server is there and has the channels that are known. Raises DevFailed without it."""
        assert self._proxy is not None
        self._proxy.ping()
        if time.monotonic() - self._last < SILENCE_S:
            return True
        self._last = time.monotonic()
        return tuple(self._proxy.read_attribute("Channels").value or ()) == self._names

    def _subscribe(self) -> None:
        proxy = self._make(self.crate)
        proxy.set_timeout_millis(TIMEOUT_MS)
        self._names = tuple(proxy.read_attribute("Channels").value or ())
        self._proxy = proxy
        self._subscription = proxy.subscribe_event(
            "changes", tango.EventType.CHANGE_EVENT, self._event, tango.EventSubMode.SyncRead
        )
        self.up = True

    def _event(self, event: Any) -> None:
        """Called by Tango's thread. The first one may carry no value."""
        if event.err:
            self._stale = True
            return
        self._last = time.monotonic()
        if event.attr_value is not None and event.attr_value.value is not None:
            triples = np.asarray(event.attr_value.value, float).reshape(-1, 3)
            self._heard(Block(self.crate, self._names, triples))

    def _unknown(self) -> None:
        """From now on nothing of this crate is known."""
        if self.up and self._names:
            count = len(self._names)
            rows = (np.full(count, time.time()), np.arange(count, dtype=float), np.full(count, np.nan))
            self._heard(Block(self.crate, self._names, np.column_stack(rows)))
        self.up = False


class BlockFeed:
    """All crates of a site. `take` is for the panel's thread and never waits for a server."""

    def __init__(self, crates: Sequence[str], proxy: Callable[[str], tango.DeviceProxy]) -> None:
        """`proxy` makes a Tango proxy of a device."""
        self.links = [CrateLink(crate, proxy, self._put) for crate in crates]
        self._lock = threading.Lock()
        self._waiting: list[Block] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="blocks", daemon=True)

    def start(self) -> None:
        """Begin to subscribe."""
        self._thread.start()

    def close(self) -> None:
        """End the subscriptions; returns when they are ended."""
        self._end.set()
        self._thread.join()

    def take(self) -> list[Block]:
        """What was heard since the last call, in order."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def missing(self) -> list[str]:
        """Crates that do not answer now."""
        return [link.crate for link in self.links if not link.up]

    def _put(self, block: Block) -> None:
        with self._lock:
            self._waiting.append(block)
            if len(self._waiting) <= MOST_WAITING:
                return
            del self._waiting[: MOST_WAITING // 2]
        for link in self.links:
            link.renew()

    def _watch(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                for link in self.links:
                    link.check()
                self._end.wait(CHECK_S)
            for link in self.links:
                link.close()
