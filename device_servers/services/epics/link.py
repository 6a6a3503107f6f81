"""The gateway's link to one device server: its block by subscription, the rest read while looked at."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence

import tango

from device_servers.registration import crate_name
from device_servers.services.archive.recorder import Batch
from device_servers.services.epics.board import Board
from device_servers.services.epics.pv import Sample, Shape, lost, of_number, of_reading, pv_name
from device_servers.services.sources import BlockSource

log = logging.getLogger(__name__)

CHECK_S = 0.2
"""A dead server is noticed within this, a silent one within this and TIMEOUT_MS."""
TIMEOUT_MS = 700
READ_S = 0.5
"""What somebody looks at is read this often, or so seldom that it takes a tenth of the link's time."""
SHARE = 10.0


class Link:
    """One thread per device server."""

    def __init__(self, server: str, board: Board) -> None:
        self.server = server
        self._board = board
        self._shapes = [shape for shape in board.shapes.values() if shape.server == server]
        self._by_source = {shape.source: shape for shape in self._shapes if shape.block}
        self._source = BlockSource(crate_name(server), self)
        self._source.timeout_ms = TIMEOUT_MS
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self._told = False
        self._due = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"epics {server}", daemon=True)

    @property
    def up(self) -> bool:
        """Whether the server answers."""
        return self._source.up

    def start(self) -> None:
        """Begin to look for the server."""
        self._thread.start()

    def stop(self) -> None:
        """Unsubscribe."""
        self._end.set()
        self._board.wake[self.server].set()
        self._thread.join(timeout=3.0)

    # --- What the subscription brings, on Tango's thread

    def take(self, batch: Batch) -> None:
        """Publish the values of an event."""
        self._board.publish(self._samples(batch))

    def _samples(self, batch: Batch) -> Iterable[tuple[str, Sample]]:
        triples = batch.triples
        for when, index, value in [] if triples is None else triples.tolist():
            shape = self._by_source.get(batch.names[int(index)])
            if shape is not None:
                yield shape.name, of_number(shape, value, when)

    def gap(self, _names: Sequence[str], when: float) -> None:
        """Publish every PV of the server as lost."""
        self._told = True
        self._proxies.clear()
        self._board.publish((shape.name, lost(when)) for shape in self._shapes if not shape.command)

    def missed(self) -> None:
        """An event was lost: the source subscribes again and gets the whole picture."""
        log.warning("%s: an event was lost", self.server)

    # --- The thread

    def _run(self) -> None:
        wake = self._board.wake[self.server]
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                try:
                    self._source.check()
                    self._read()
                except Exception:  # border of the thread: one bad round must not end the link
                    log.exception("link to %s", self.server)
                wake.wait(CHECK_S)
                wake.clear()
            self._source.close()

    def _read(self) -> None:
        if not self.up:
            if not self._told:
                self.gap((), time.time())
            stale = self._board.to_read(self.server, stale_only=True)
            self._board.publish((shape.name, lost(time.time())) for shape in stale)
            return
        began = time.monotonic()
        everything = began >= self._due
        wanted = self._board.to_read(self.server, stale_only=not everything)
        devices: dict[str, list[Shape]] = {}
        for shape in wanted:
            devices.setdefault(shape.device, []).append(shape)
        for device, shapes in devices.items():
            self._board.publish(self._readings(device, shapes))
        if everything:
            ended = time.monotonic()
            self._due = ended + max(READ_S, SHARE * (ended - began))

    def _readings(self, device: str, shapes: list[Shape]) -> list[tuple[str, Sample]]:
        try:
            if device not in self._proxies:
                self._proxies[device] = tango.DeviceProxy(device)
                self._proxies[device].set_timeout_millis(TIMEOUT_MS)
            answers = self._proxies[device].read_attributes([shape.member for shape in shapes])
        except tango.DevFailed as why:
            self._proxies.pop(device, None)
            log.info("%s cannot be read: %s", device, why.args[0].desc)
            return [(shape.name, lost(time.time())) for shape in shapes]
        return [(pv_name(device, s.member), _sample(s, a)) for s, a in zip(shapes, answers, strict=True)]


def _sample(shape: Shape, answer: tango.DeviceAttribute) -> Sample:
    if answer.has_failed:
        return of_reading(shape, None, time.time(), valid=False)
    valid = answer.quality != tango.AttrQuality.ATTR_INVALID
    return of_reading(shape, answer.value, answer.time.totime(), valid=valid)
