"""Entries that nobody writes by hand: modes, trips, the start of the facility; by subscription."""

import hashlib
import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tango

from common.errors import PtcsError
from common.site import Device, Site
from common.state import StateDir
from common.text import saying
from device_servers.registration import crate_name
from device_servers.services.logbook import alarm_acts
from device_servers.services.logbook.book import Book
from device_servers.services.sources import Sink, Source

log = logging.getLogger(__name__)

CHECK_S = 2.0
TIMEOUT_MS = 700
HISTORY_MS = 3000
SOURCE = "logbook"
Wish = Mapping[str, Any]


@dataclass(frozen=True)
class Heard:
    """A value that an attribute of a device has now."""

    device: Device
    attribute: str
    value: str


class Words(Source[Sink]):
    """A text attribute of one device; what it says goes into a queue."""

    timeout_ms = TIMEOUT_MS

    def __init__(self, device: Device, attribute: str, heard: "queue.SimpleQueue[Heard]") -> None:
        super().__init__(device.name, self)
        self.attribute = attribute
        self._site_device, self._heard = device, heard

    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """Nothing: the text says all."""

    def accept(self, value: Any) -> None:
        """Queue the text."""
        self._heard.put(Heard(self._site_device, self.attribute, str(value)))

    def missed(self) -> None:
        """The next subscription begins with the value as it stands."""

    def lost(self) -> None:
        """Nothing is said of a device that does not answer."""


def mode_entry(heard: Heard, book: Book) -> Sequence[Wish]:
    """A change of the machine's mode; none where the last entry says the same."""
    last = book.find({"kind": "mode", "source": SOURCE, "about": heard.device.name, "limit": 1})
    before = last[0]["tags"][0] if last and last[0]["tags"] else ""
    if not heard.value or before == heard.value:
        return ()
    title = saying("machine mode {mode}", mode=heard.value)
    if before:
        title = saying("machine mode {before} -> {mode}", before=before, mode=heard.value)
    return ({"kind": "mode", "title": title, "tags": [heard.value], "about": [heard.device.name]},)


def trip_entry(heard: Heard, _book: Book) -> Sequence[Wish]:
    """A trip with its first fault; each once, by the time at which the hardware saw it."""
    if not heard.value:
        return ()
    trip = json.loads(heard.value)
    title = saying("trip: {input}", input=trip["input"])
    key = f"trip:{heard.device.name}:{trip['wall_ns']}"
    about = [heard.device.name, str(trip["input"])]
    off = trip.get("beam_off_tick") or "?"
    text = saying(
        "cause: {cause}; tick {tick}; beam off at tick {off}", cause=trip["cause"], tick=trip["tick"], off=off
    )
    return ({"kind": "trip", "title": title, "text": text, "about": about, "key": key},)


def alarm_entries(heard: Heard, book: Book) -> Sequence[Wish]:
    """What people did with alarms since the last entry of it. Raises tango.DevFailed."""
    last = book.find({"kind": alarm_acts.KIND, "source": SOURCE, "limit": 1})
    proxy = tango.DeviceProxy(heard.device.name)
    proxy.set_timeout_millis(HISTORY_MS)
    ask = partial(proxy.command_inout, "History")
    return alarm_acts.entries(ask, heard.device.name, last[0] if last else None)


RULES: Mapping[tuple[str, str], Callable[[Heard, Book], Sequence[Wish]]] = {
    ("MachineMode", "Mode"): mode_entry,
    ("Interlock", "LastTrip"): trip_entry,
    ("AlarmServer", "Changes"): alarm_entries,
}
"""Class and attribute -> the entries that a new value makes."""
NEWEST_ONLY = ("Changes",)
"""Attributes of which only the newest value counts: a flood of alarms asks for its history once a round."""


class Automatic:
    """One thread that keeps the subscriptions and writes what they bring."""

    def __init__(self, site: Site, state: Path, book: Book, changed: Callable[[], None]) -> None:
        self._site, self._state, self._book, self._changed = site, state, book, changed
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._sources = [
            Words(device, attribute, self._heard)
            for kind, attribute in RULES
            for device in site.of_class(kind)
        ]
        self._started = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logbook", daemon=True)

    def start(self) -> None:
        """Begin to subscribe."""
        self._thread.start()

    def stop(self) -> None:
        """Unsubscribe and end the thread."""
        self._end.set()
        self._thread.join(timeout=3.0)

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                for source in self._sources:
                    try:
                        source.check()
                    except Exception:  # border of the thread: one bad source must not end the others
                        log.exception("source %s", source.device)
                self._started = self._started or self._note_start()
                self._write()
                self._end.wait(CHECK_S)
            for source in self._sources:
                source.close()

    def _write(self) -> None:
        heard: list[Heard] = []
        while not self._heard.empty():
            heard.append(self._heard.get())
        newest = {(one.device.name, one.attribute): one for one in heard if one.attribute in NEWEST_ONLY}
        for one in [*(one for one in heard if one.attribute not in NEWEST_ONLY), *newest.values()]:
            try:
                for wish in RULES[one.device.tango_class, one.attribute](one, self._book):
                    self._enter(wish)
            except tango.DevFailed as why:
                log.warning("%s does not tell: %s", one.device.name, why.args[0].desc)
            except (PtcsError, ValueError, KeyError, TypeError) as why:
                log.error("%s/%s says %r: no entry (%s)", one.device.name, one.attribute, one.value, why)

    def _enter(self, wish: Wish) -> None:
        self._book.add(wish, str(wish.get("user", "")), SOURCE)
        self._changed()

    def _note_start(self) -> bool:
        """Enter once that every server of the facility answers; whether that is done."""
        if not all(_answers(crate_name(server)) for server in self._site.servers):
            return False
        count = len(self._site.servers)
        title = saying("start-up: site {site}, all {count} servers answer", site=self._site.name, count=count)
        wish = {
            "kind": "start-up",
            "title": title,
            "key": f"start:{run_of(self._state)}",
        }
        try:
            self._enter(wish)
        except PtcsError as why:
            log.error("start-up: no entry (%s)", why)
            return False
        return True


def run_of(state: Path) -> str:
    """What tells this run of the facility from others: the processes that are started once in a run."""
    told: Sequence[str] = [
        path.read_text(encoding="utf-8")
        for path in (StateDir(state).run_file(name) for name in ("database", "plant", "fpga"))
        if path.exists()
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _answers(device: str) -> bool:
    try:
        proxy = tango.DeviceProxy(device)
        proxy.set_timeout_millis(TIMEOUT_MS)
        proxy.ping()
    except tango.DevFailed:
        return False
    return True
