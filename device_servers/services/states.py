"""State of every device of a server, as words: one reading of its crate a second, only changes are kept."""

import json
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

import tango

from device_servers.services.sources import TIMEOUT_MS

log = logging.getLogger(__name__)

PERIOD_S = 1.0
WORDS = ("State", "HealthState", "AdminMode")
BAD = ("ALARM", "FAULT")


class TextSink(Protocol):
    """Who takes the words."""

    def text(self, name: str, text: str, now: float, known: bool = True) -> None:
        """One text of "device/attribute"; known=False from when on it is unknown."""


class StateSource:
    """A crate's `Devices`. A State that lasts less than a second may be missed.

    Kept are State, HealthState and AdminMode of each device, and as Status why it is in ALARM or FAULT
    (empty while it is not). heard: names that come from elsewhere. quiet: devices whose Status is not kept.
    """

    def __init__(
        self,
        device: str,
        sink: TextSink,
        heard: Collection[str] = (),
        quiet: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.device = device
        self.up = False
        self._sink = sink
        self._heard = heard
        self._quiet = quiet
        self._clock = clock
        self._known: dict[str, str] = {}
        self._proxy: tango.DeviceProxy | None = None
        self._next = 0.0

    def check(self) -> None:
        """Read the crate, at most once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PERIOD_S
        try:
            if self._proxy is None:
                self._proxy = tango.DeviceProxy(self.device)
                self._proxy.set_timeout_millis(TIMEOUT_MS)
            standing = json.loads(self._proxy.read_attribute("Devices").value)
        except tango.DevFailed as why:
            self._lose(why)
            return
        self.up = True
        self.take(standing)

    def close(self) -> None:
        """Nothing is held."""
        self._proxy = None

    def take(self, standing: dict[str, list[str]]) -> None:
        """Hand on what has changed. standing: device -> [State, HealthState, AdminMode, Status]."""
        now = self._clock()
        words: dict[str, str] = {}
        for device, (*short, status) in standing.items():
            words.update({f"{device}/{name}": word for name, word in zip(WORDS, short, strict=True)})
            if device not in self._quiet:
                words[f"{device}/Status"] = status if short[0] in BAD else ""
        for name, word in words.items():
            if name not in self._heard and self._known.get(name) != word:
                self._sink.text(name, word, now)
        for name in self._known.keys() - words.keys():
            self._sink.text(name, "", now, known=False)
        self._known = {name: word for name, word in words.items() if name not in self._heard}

    def _lose(self, why: tango.DevFailed) -> None:
        if self.up:
            log.warning("lost %s: %s", self.device, why.args[0].desc)
        now = self._clock()
        for name in self._known:
            self._sink.text(name, "", now, known=False)
        self.up, self._proxy, self._known = False, None, {}
