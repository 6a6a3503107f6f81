"""The alarm server without Tango: engine, store and the threads between them."""

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import PtcsError
from device_servers.services.alarms.announcer import Announcer, Annunciator, Manner, Waiting
from device_servers.services.alarms.board import Board
from device_servers.services.alarms.desk import Desk
from device_servers.services.alarms.engine import Engine
from device_servers.services.alarms.inputs import Sample
from device_servers.services.alarms.keeper import Keeper
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.states import State
from device_servers.services.alarms.store import Store

log = logging.getLogger(__name__)

TELL_PERIOD_S = 0.1
"""Clients are told of changes at most this often."""
LONGEST_WAIT_S = 0.25
WRITE_PERIOD_S = 0.1
RETRY_S = 1.0
VOICE_PERIOD_S = 0.5
DAY_S = 86400.0
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
        self.lock, self._writing = threading.RLock(), threading.RLock()
        self.engine = Engine(rules)
        self.keeper = Keeper(self.engine)
        self.board = Board(self.engine, self.keeper.notes)
        self.store = Store(folder)
        self.desk = Desk(self.engine, self.keeper, self.store, self.lock, self._writing, self._moved)
        self.announcer = Announcer(manner or Manner())
        self.trouble = ""
        """Why the disk does not take alarms; empty while it does."""
        self.mute = ""
        """Why the voice does not speak; empty while it does."""
        self.drain: Callable[[], list[Sample]] = list
        """Where samples come from; set before `start`."""
        self.ready: Callable[[], bool] = lambda: True
        """Whether every source has been looked at: before, nothing is judged."""
        self._changed, self._annunciator, self._keep_days = changed, annunciator, keep_days
        self._wake, self._end, self._dirty = threading.Event(), threading.Event(), threading.Event()
        self._told = (0.0, -1)
        self._begun = False
        self._forgot = 0.0
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("alarms", self._run),
                ("alarms disk", self._write),
                ("alarms voice", self._speak),
            )
        ]

    @property
    def begun(self) -> bool:
        """Whether rules are judged."""
        return self._begun

    def wake(self) -> None:
        """There are samples. Any thread."""
        self._wake.set()

    def start(self) -> None:
        """Put kept alarms back and begin."""
        self.restore()
        for thread in self._threads:
            thread.start()

    def restore(self) -> None:
        """Put kept alarms back."""
        try:
            self.store.open()
            kept = self.store.standing()
        except (sqlite3.Error, OSError) as why:
            log.error("kept alarms cannot be read: %s", why)
            self.trouble, kept = str(why), []
        strangers = self.keeper.restore(kept, time.time())
        if strangers:
            try:
                self.store.write(strangers)
            except (sqlite3.Error, OSError) as why:
                self.trouble = str(why)

    def stop(self) -> None:
        """End the threads and write what waits."""
        self._end.set()
        self._wake.set()
        self._dirty.set()
        for thread in self._threads[:2]:
            if thread.is_alive():
                thread.join(timeout=3.0)
        self.flush()
        self.store.close()

    def step(self, now: float, wall: float) -> None:
        """One round: every waiting sample in its order, then time."""
        ready = self._begun or self.ready()  # before the samples are taken: it says that they are all there
        samples: list[Sample | None] = list(self.drain())
        with self.lock:
            if not self._begun:
                for first in filter(None, samples):
                    self.engine.inputs.take(first)
                samples = []
            if not ready:
                return
            self._begun = True
            for sample in samples or [None]:
                self.keeper.add(self.engine.step(now, wall, sample), wall)
            waits = self.keeper.waiting()
        if waits:
            self._dirty.set()

    def silence(self, seconds: float) -> None:
        """No voice for some time."""
        self.announcer.silence(time.monotonic(), seconds)

    def announce(self, severity: Severity, texts: dict[str, str]) -> None:
        """Say something now. Raises LinkLost when there is no voice."""
        for language, text in texts.items():
            self._annunciator.announce(severity, text, language)

    # --- Threads

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
        self._dirty.set()
        self._wake.set()

    def _write(self) -> None:
        while not self._end.is_set():
            self._dirty.wait(DAY_S / 24)
            self._dirty.clear()
            if self._end.is_set():
                return
            while not self.flush() and not self._end.wait(RETRY_S):
                pass
            self._end.wait(WRITE_PERIOD_S)

    def flush(self) -> bool:
        """Write what waits; whether the disk took it."""
        with self._writing:
            with self.lock:
                changes = self.keeper.taken()
            try:
                if changes:
                    self.store.write(changes)
                self._forget()
                trouble = ""
            except (sqlite3.Error, OSError) as why:
                trouble = str(why)
                with self.lock:
                    self.keeper.put_back(changes)
        if trouble != self.trouble:
            log.error("alarms on disk: %s", trouble or "written again")
            self.trouble = trouble
            self._changed()
        return not trouble

    def _forget(self) -> None:
        now = time.time()
        if now - self._forgot > DAY_S:
            self._forgot = now
            if gone := self.store.forget(now - self._keep_days * DAY_S):
                log.info("%d rows of alarm history are older than %g days", gone, self._keep_days)

    def _speak(self) -> None:
        while not self._end.wait(VOICE_PERIOD_S):
            if not self.announcer.manner.voice:
                continue
            said = self.announcer.next(time.monotonic(), self.waiting())
            if said is None:
                continue
            try:
                self.announce(*said)
                self.mute = ""
            except PtcsError as why:
                if str(why) != self.mute:
                    log.error("no voice: %s", why)
                self.mute = str(why)

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
