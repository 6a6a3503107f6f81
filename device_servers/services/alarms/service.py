"""The alarm server without Tango: engine, store and the threads between them."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from device_servers.services.alarms.announcer import Annunciator, Manner, Waiting
from device_servers.services.alarms.board import Board
from device_servers.services.alarms.desk import Desk
from device_servers.services.alarms.engine import Engine
from device_servers.services.alarms.inputs import Sample
from device_servers.services.alarms.keeper import Keeper
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.speaker import Speaker
from device_servers.services.alarms.states import State
from device_servers.services.alarms.store import Store
from device_servers.services.alarms.writer import Writer

log = logging.getLogger(__name__)

TELL_PERIOD_S = 0.1
"""Clients are told of changes at most this often."""
LONGEST_WAIT_S = 0.25
MOST_SPOKEN = 20


class Service:
    """Runs the alarms of a set of rules. `changed` is called from its threads when there is news."""

    def __init__(
        self,
        rules: Sequence[Rule],
        folder: Path,
        changed: Callable[[], None],
        annunciator: Annunciator,
        manner: Manner | None = None,
        keep_days: float = 3650.0,
    ) -> None:
        self.lock = threading.RLock()
        self.engine = Engine(rules, first=int(time.time() * 1000))
        self.keeper = Keeper(self.engine)
        self.board = Board(self.engine, self.keeper.notes)
        self.store = Store(folder)
        self.writer = Writer(self.keeper, self.store, self.lock, changed, keep_days)
        self.speaker = Speaker(annunciator, manner or Manner(), self.waiting)
        self.desk = Desk(self.engine, self.keeper, self.store, self.lock, self.writer.writing, self._moved)
        self.drain: Callable[[], list[Sample]] = list
        """Where samples come from; set before `start`."""
        self.ready: Callable[[], bool] = lambda: True
        """Whether every source has been looked at: before, nothing is judged."""
        self.begun = False
        """Whether rules are judged."""
        self._changed = changed
        self._wake, self._end = threading.Event(), threading.Event()
        self._told = (0.0, -1)
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def wake(self) -> None:
        """There are samples. Any thread."""
        self._wake.set()

    def start(self) -> None:
        """Put kept alarms back and begin."""
        self.writer.restore()
        for part in (self.writer, self.speaker, self._thread):
            part.start()

    def stop(self) -> None:
        """End the threads and write what waits."""
        self._end.set()
        self._wake.set()
        self.speaker.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=3.0)
        self.writer.stop()

    def step(self, now: float, wall: float) -> None:
        """One round: every waiting sample in its order, then time."""
        ready = self.begun or self.ready()  # before the samples are taken: it says that they are all there
        samples: list[Sample | None] = list(self.drain())
        with self.lock:
            if not self.begun:
                for first in filter(None, samples):
                    self.engine.inputs.take(first)
                samples = []
            if not ready:
                return
            self.begun = True
            for sample in samples or [None]:
                self.keeper.add(self.engine.step(now, wall, sample), wall)
            waits = self.keeper.waiting()
        if waits:
            self.writer.wake()

    def waiting(self) -> list[Waiting]:
        """The worst unacknowledged alarms."""
        with self.lock:
            engine = self.engine
            standing = engine.standing()
            waits = self.board.worst(standing[engine.states[standing] != State.ACKED])[:MOST_SPOKEN]
            severities = self.board.severities(waits)
            return [
                Waiting(
                    engine.rules[rule].name,
                    int(engine.serials[rule]),
                    Severity(severity),
                    engine.rules[rule].text.row(),
                )
                for rule, severity in zip(waits.tolist(), severities.tolist(), strict=True)
            ]

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.wait(self._pause())
            self._wake.clear()
            try:
                self.step(time.monotonic(), time.time())
                self._tell()
            except Exception:  # border of the thread: one bad round must not end the alarms
                log.exception("a round of the alarms failed")
                self._end.wait(LONGEST_WAIT_S)

    def _pause(self) -> float:
        now = time.monotonic()
        wait = LONGEST_WAIT_S
        if math.isfinite(due := self.engine.conditions.next_due()):
            wait = min(wait, due - now)
        if self.engine.changes != self._told[1]:
            wait = min(wait, self._told[0] + TELL_PERIOD_S - now)
        return max(0.0, wait)

    def _tell(self) -> None:
        now, changes = time.monotonic(), self.engine.changes
        if changes != self._told[1] and now - self._told[0] >= TELL_PERIOD_S:
            self._told = (now, changes)
            self._changed()

    def _moved(self) -> None:
        self.writer.wake()
        self._wake.set()
