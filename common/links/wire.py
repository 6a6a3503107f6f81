"""A blocking client of the frames in `common/wire/frame.py`, with one I/O thread.

The link connects by itself, names itself (`hello`), and after a loss connects again with growing
pauses. Requests in flight when the link goes down raise LinkLost; nothing is sent twice.
"""

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, LinkLost, Refused
from common.links.line import Line, Peer
from common.wire.frame import Decoder, Frame, Kind

__all__ = ["Peer", "WireClient", "block_values", "channel_names"]

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0

HEARTBEAT_NICE = -10
"""Niceness of processes whose silence trips, as of the simulated hardware."""

Callback = Callable[[Frame], None]


def _ignore(frame: Frame) -> None:
    """What happens with frames that nobody asked to see."""


class WireClient:
    """One link to the plant, the fpga, or hardware that speaks the same frames.

    Callbacks run on the I/O thread: they must be short and must not call `request`.
    `on_block` sees every BLOCK, `on_event` every EVENT (the first of each link is `hello`),
    `on_link` is told True when the link is up (after `hello` was answered) and False when it is lost.
    """

    def __init__(
        self,
        peer: Peer,
        on_block: Callback = _ignore,
        on_event: Callback = _ignore,
        on_link: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Start connecting at once; returns without waiting (see `wait_alive`)."""
        self.peer = peer
        self.channels: tuple[str, ...] = ()
        """Names of the peer's channels in the order of its blocks; empty until its `hello`."""
        self._on_block, self._on_event, self._on_link = on_block, on_event, on_link
        self._line = Line(peer)
        self._pending: dict[int, Future[Frame]] = {}
        self._sequences = itertools.count(1)
        self._heard = 0.0
        self._up = threading.Event()
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"wire-{peer.name}", daemon=True)]
        if peer.watchdog:
            self._threads.append(threading.Thread(target=self._beat, name=f"beat-{peer.name}", daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the link is up and the peer was heard within `stale_s`."""
        if not self._up.is_set():
            return False
        return self.peer.stale_s is None or time.monotonic() - self._heard < self.peer.stale_s

    def wait_alive(self, timeout: float) -> None:
        """Return when the link is up. Raises LinkLost after `timeout` seconds."""
        if not self._up.wait(timeout):
            raise LinkLost(f"no link to {self._line.where} within {timeout:g} s; is its process running?")

    def request(
        self,
        body: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        timeout: float = 2.0,
    ) -> Frame:
        """Send `{"do": verb, ...}` and return the peer's REPLY.

        Raises Refused with the peer's reason, LinkLost when the link is down, breaks, or stays silent
        for `timeout` seconds (whether the peer acted is then unknown), and RuntimeError in a callback.
        """
        if threading.current_thread() is self._threads[0]:
            raise RuntimeError(
                "a callback of WireClient cannot make requests: hand the work to another thread"
            )
        if not self._up.is_set():
            raise LinkLost(f"link to {self._line.where} is down; it is being opened again")
        return _judged(self._exchange(body, arrays or {}), timeout, str(body.get("do")))

    def close(self) -> None:
        """End the link and its threads for good."""
        self._closing.set()
        self._line.hang_up()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2.0)

    def _exchange(self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Future[Frame]":
        answer: Future[Frame] = Future()
        sequence = next(self._sequences) % (1 << 32)
        self._pending[sequence] = answer
        answer.add_done_callback(lambda _: self._pending.pop(sequence, None))
        try:
            self._line.send(Frame(Kind.REQUEST, sequence, body, arrays, wall_ns=time.time_ns()))
        except (LinkLost, BadInput):
            answer.cancel()
            raise
        return answer

    def _beat(self) -> None:
        _go_first()
        due = time.monotonic()
        while not self._closing.is_set():
            if self._up.is_set() and self.peer.healthy():
                try:
                    self._line.send(Frame(Kind.HEARTBEAT, 0))
                except LinkLost as why:
                    log.debug("heartbeat of %s: %s", self.peer.name, why)
            due = max(due + self.peer.pulse_s, time.monotonic())
            self._closing.wait(due - time.monotonic())

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        hello = {"do": "hello", "name": self.peer.name, "watchdog": self.peer.watchdog}
        while not self._closing.is_set():
            try:
                self._line.open()
                self._exchange(hello, {}).add_done_callback(self._greeted)
                pause = FIRST_PAUSE_S
                self._listen()
            except (OSError, BadInput, LinkLost) as why:
                log.debug("link %s: %s", self.peer.name, why)
            self._lost()
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _greeted(self, answer: "Future[Frame]") -> None:
        if answer.cancelled() or answer.exception() is not None:
            return
        if not answer.result().body.get("ok"):
            log.error("%s refused by %s: %s", self.peer.name, self.peer.port, answer.result().body.get("why"))
            self._line.hang_up()
            return
        self._up.set()
        self._on_link(True)

    def _listen(self) -> None:
        decoder = Decoder()
        while not self._closing.is_set():
            data = self._line.receive()
            self._heard = time.monotonic()
            for frame in decoder.feed(data):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.REPLY:
            answer = self._pending.get(frame.sequence)
            if answer is not None and answer.set_running_or_notify_cancel():
                answer.set_result(frame)
        elif frame.kind is Kind.BLOCK:
            _guarded(self._on_block, frame)
        elif frame.kind is Kind.EVENT:
            if frame.body.get("event") == "hello":
                self.channels = channel_names(frame.body)
            _guarded(self._on_event, frame)

    def _lost(self) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        self._line.close()
        for answer in list(self._pending.values()):
            if answer.set_running_or_notify_cancel():
                answer.set_exception(LinkLost(f"link to {self._line.where} was lost"))
        if was_up:
            self._on_link(False)


def _go_first() -> None:
    """Give every thread of this process priority over programs, where the system allows it.

    On a busy computer a late heartbeat is a trip. It is late when the thread that holds the interpreter
    waits for a processor, so it is not enough that the heartbeat's own thread goes first. New threads
    inherit the priority.
    """
    with contextlib.suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(task.name), HEARTBEAT_NICE)


def _guarded(callback: Callback, frame: Frame) -> None:
    try:
        callback(frame)
    except Exception:  # border: a reader's fault must not end the link
        log.exception("callback for a %s failed", frame.kind.name)


def _judged(answer: "Future[Frame]", timeout: float, verb: str) -> Frame:
    try:
        reply = answer.result(timeout)
    except FutureTimeout as why:
        answer.cancel()
        raise LinkLost(
            f"no answer to {verb!r} within {timeout:g} s; it may or may not have been done"
        ) from why
    if not reply.body.get("ok"):
        raise Refused(str(reply.body.get("why", f"{verb} refused without a reason")))
    return reply


def channel_names(hello: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a crate's channels in the order of its blocks, from its `hello` event."""
    return tuple(str(channel["name"]) for channel in hello.get("channels", []))


def block_values(frame: Frame) -> NDArray[np.float64]:
    """The (channels,) values of a BLOCK. Raises BadInput when it carries none."""
    values = frame.arrays.get("values")
    if values is None or values.ndim != 1:
        raise BadInput("block without its array 'values'")
    return values
