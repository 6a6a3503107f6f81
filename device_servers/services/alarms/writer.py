"""The one thread that writes what alarms do to disk, a few tenths of a second after they did it."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from threading import RLock

from device_servers.services.alarms.keeper import Keeper
from device_servers.services.alarms.store import Store

log = logging.getLogger(__name__)

WRITE_PERIOD_S = 0.1
RETRY_S = 1.0
IDLE_S = 3600.0
DAY_S = 86400.0


class Writer:
    """Writes what the keeper has. `lock` guards the keeper; `writing` the order of transactions."""

    def __init__(
        self, keeper: Keeper, store: Store, lock: RLock, changed: Callable[[], None], keep_days: float
    ) -> None:
        """`changed` is called when the disk no longer takes alarms, and when it does again."""
        self.writing = threading.RLock()
        self.trouble = ""
        """Why the disk does not take alarms; empty while it does."""
        self._keeper, self._store, self._lock = keeper, store, lock
        self._changed, self._keep_days = changed, keep_days
        self._forgot = 0.0
        self._dirty, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms disk", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, write what waits, let go of the file."""
        self._end.set()
        self._dirty.set()
        if self._thread.is_alive():
            self._thread.join(timeout=3.0)
        self.flush()
        self._store.close()

    def wake(self) -> None:
        """There is something to write. Any thread."""
        self._dirty.set()

    def restore(self) -> None:
        """Put kept alarms back."""
        kept = []
        try:
            self._store.open()
            kept = self._store.standing()
        except (sqlite3.Error, OSError) as why:
            log.error("kept alarms cannot be read: %s", why)
            self.trouble = str(why)
        strangers = self._keeper.restore(kept, time.time())
        if strangers:
            try:
                self._store.write(strangers)
            except (sqlite3.Error, OSError) as why:
                self.trouble = str(why)

    def flush(self) -> bool:
        """Write what waits; whether the disk took it."""
        with self.writing:
            with self._lock:
                changes = self._keeper.taken()
            try:
                if changes:
                    self._store.write(changes)
                self._forget()
                trouble = ""
            except (sqlite3.Error, OSError) as why:
                trouble = str(why)
                with self._lock:
                    self._keeper.put_back(changes)
        if trouble != self.trouble:
            log.error("alarms on disk: %s", trouble or "written again")
            self.trouble = trouble
            self._changed()
        return not trouble

    def _run(self) -> None:
        while not self._end.is_set():
            self._dirty.wait(IDLE_S)
            self._dirty.clear()
            try:
                while not self._end.is_set() and not self.flush():
                    self._end.wait(RETRY_S)
            except Exception:  # border of the thread: what cannot be written now is tried again
                log.exception("alarms could not be written")
                self._dirty.set()
                self._end.wait(RETRY_S)
            self._end.wait(WRITE_PERIOD_S)

    def _forget(self) -> None:
        now = time.time()
        if now - self._forgot > DAY_S:
            self._forgot = now
            if gone := self._store.forget(now - self._keep_days * DAY_S):
                log.info("%d rows of alarm history are older than %g days", gone, self._keep_days)
