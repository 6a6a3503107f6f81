"""Where the archiver gets its values: subscriptions to block attributes that find their server again.

A killed server is noticed by a ping, not by Tango (9 s); one that is back is subscribed to anew.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import tango
from numpy.typing import NDArray

from common.errors import BadInput
from device_servers.services.archive.layout import SPOT_COLUMNS
from device_servers.services.archive.recorder import Batch, Recorder

log = logging.getLogger(__name__)

CHECK_PERIOD_S = 0.5
TIMEOUT_MS = 1000
SILENCE_S = 2.0
"""A source without an event for this long may have been restarted between two pings."""


class Sink(Protocol):
    """Who takes what a source hears."""

    def missed(self) -> None:
        """Tango lost events, or one could not be understood."""


class BlockSink(Sink, Protocol):
    """Who takes the values of a crate."""

    def take(self, batch: Batch) -> Any:
        """Values that changed; the first batch of a subscription holds all."""

    def gap(self, names: Sequence[str], when: float) -> Any:
        """From `when` (s since the epoch) on these values are unknown."""


S = TypeVar("S", bound=Sink)


class Source(ABC, Generic[S]):
    """One block attribute. `check` is called by one thread; events come on Tango's."""

    attribute = ""
    timeout_ms = TIMEOUT_MS
    """A server that does not answer for this long is lost."""

    def __init__(self, device: str, recorder: S, clock: Callable[[], float] = time.time) -> None:
        self.device = device
        self.up = False
        self._recorder = recorder
        self._clock = clock
        self._proxy: tango.DeviceProxy | None = None
        self._subscription: int | None = None
        self._last_event = 0.0
        self._failed = False
        self._pid = 0

    def check(self) -> None:
        """See whether the server is there, and (re)subscribe. One that has just been heard is there."""
        if self.up and not self._failed and time.monotonic() - self._last_event < CHECK_PERIOD_S:
            return
        try:
            if self._failed:
                self._forget()
            if self._proxy is None:
                self._proxy = tango.DeviceProxy(self.device)
                self._proxy.set_timeout_millis(self.timeout_ms)
            self._proxy.ping()
            if self._subscription is None:
                self._subscribe(self._proxy)
            elif time.monotonic() - self._last_event > SILENCE_S and self._process(self._proxy) != self._pid:
                log.warning("%s was restarted; subscribing again", self.device)
                self.lost()
                self._failed = True
        except tango.DevFailed as why:
            self._lose(why)

    def close(self) -> None:
        """End the subscription."""
        self._forget()

    @abstractmethod
    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """Read what is needed to understand the events."""

    @abstractmethod
    def accept(self, value: Any) -> None:
        """Hand the value of an event to the recorder."""

    @abstractmethod
    def lost(self) -> None:
        """The server is gone: what its values are is unknown from now on."""

    def _subscribe(self, proxy: tango.DeviceProxy) -> None:
        """Subscribe, or raise DevFailed: a subscription that is still pending could not be ended cleanly."""
        self.prepare(proxy)
        self._failed = False
        self._pid = self._process(proxy)
        self._subscription = proxy.subscribe_event(
            self.attribute, tango.EventType.CHANGE_EVENT, self._event, tango.EventSubMode.SyncRead
        )
        self.up = True
        log.info("subscribed to %s/%s", self.device, self.attribute)

    def _event(self, event: Any) -> None:
        """Called by Tango. The first one may carry no value."""
        if event.err:
            if any(error.reason == "API_MissedEvents" for error in event.errors):
                self._recorder.missed()
            self._failed = True
            return
        self._last_event = time.monotonic()
        if event.attr_value is not None and event.attr_value.value is not None:
            try:
                self.accept(event.attr_value.value)
            except (ValueError, BadInput) as why:
                log.error("%s/%s sent what cannot be kept: %s", self.device, self.attribute, why)
                self._recorder.missed()

    def _process(self, proxy: tango.DeviceProxy) -> int:
        """Process number of the server as the database knows it; the known one without a database.

        Asked by the database's own command: `Database.get_device_info` would hold every thread of this
        process for as long as the database takes.
        """
        self._last_event = time.monotonic()
        try:
            (_exported, pid, *_), _words = proxy.get_device_db().command_inout(
                "DbGetDeviceInfo", proxy.dev_name()
            )
            return int(pid)
        except tango.DevFailed:
            return self._pid

    def _lose(self, why: tango.DevFailed) -> None:
        if self.up:
            log.warning("lost %s: %s", self.device, why.args[0].desc)
            self.lost()
        self.up = False
        self._forget()

    def _forget(self) -> None:
        """Drop the subscription; the next check makes another."""
        proxy, subscription = self._proxy, self._subscription
        self._proxy, self._subscription, self._failed = None, None, False
        if proxy is not None and subscription is not None:
            try:
                proxy.unsubscribe_event(subscription)
            except tango.DevFailed as why:
                log.debug("unsubscribe of %s: %s", self.device, why.args[0].desc)


class BlockSource(Source[BlockSink]):
    """A crate's `changes`: (time, index, value) triples of its channels."""

    attribute = "changes"

    def __init__(self, device: str, recorder: BlockSink, clock: Callable[[], float] = time.time) -> None:
        super().__init__(device, recorder, clock)
        self._names: Sequence[str] = ()

    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """The names of the channels."""
        self._names = tuple(proxy.read_attribute("Channels").value or ())

    def accept(self, value: Any) -> None:
        """Record the triples; an index without a name belongs to no channel and is an error."""
        triples = np.asarray(value, float).reshape(-1, 3)
        known = (triples[:, 1] >= 0) & (triples[:, 1] < len(self._names))
        if not known.all():
            self._failed = True
            triples = triples[known]
        if len(triples):
            self._recorder.take(Batch(self._names, triples))

    def lost(self) -> None:
        """From now on the values are unknown."""
        self._recorder.gap(self._names, self._clock())


class SpotSource(Source[Recorder]):
    """A nozzle's `SpotBlock`: rows of ten numbers a finished spot."""

    attribute = "SpotBlock"
    _last: NDArray[np.float64] | None = None

    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """Nothing: the columns are fixed."""

    def accept(self, value: Any) -> None:
        """Record the rows; a subscriber that joins anew is handed the last block again, which is no news."""
        rows = np.asarray(value, float).reshape(-1, len(SPOT_COLUMNS))
        if len(rows) and (self._last is None or not np.array_equal(rows, self._last)):
            self._last = rows
            self._recorder.take(Batch(spots=rows))

    def lost(self) -> None:
        """Nothing: a spot that is not there leaves no gap to mark."""


class TextSource(Source[Recorder]):
    """A text or State attribute of one device."""

    def __init__(
        self, device: str, attribute: str, recorder: Recorder, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(device, recorder, clock)
        self.attribute = attribute

    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """Nothing: the text says all."""

    def accept(self, value: Any) -> None:
        """Record the text, or the name of the State."""
        self._recorder.text(f"{self.device}/{self.attribute}", str(value), self._clock())

    def lost(self) -> None:
        """From now on the text is unknown."""
        self._recorder.text(f"{self.device}/{self.attribute}", "", self._clock(), known=False)
