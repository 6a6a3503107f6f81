"""Entries into the logbook from another service, posted from a thread: nobody waits for the logbook."""

import json
import logging
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any

import tango

from common.site import Site
from common.text import Saying

log = logging.getLogger(__name__)

TIMEOUT_MS = 3000
TRIED_S = 120.0
"""An entry that the logbook has not taken by then is given up, and said so in the log."""
PAUSE_S = 2.0
MOST = 1000


class Poster:
    """Sends entries to the site's Logbook, in order; without such a device it does nothing."""

    def __init__(self, site: Site, source: str) -> None:
        """source: the noun that posts, such as `snapshot`."""
        books = site.of_class("Logbook")
        self._device = books[0].name if books else ""
        self._source = source
        self._queue: queue.Queue[tuple[float, dict[str, Any]] | None] = queue.Queue(MOST)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def post(
        self,
        kind: str,
        title: str | Saying,
        text: str | Saying = "",
        *,
        about: Iterable[str] = (),
        key: str = "",
        token: str = "",
    ) -> None:
        """Have an entry made soon; sayings are read in each reader's language.

        token: of the user in whose name; "" for an automatic entry.
        """
        if not self._device or self._end.is_set():
            return
        entry = {
            "kind": kind,
            "title": title,
            "text": text,
            "about": list(about),
            "source": self._source,
            "key": key,
        }
        try:
            self._queue.put_nowait((time.monotonic(), entry | ({"token": token} if token else {})))
        except queue.Full:
            log.warning("the logbook is behind: an entry is lost: %s", title)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="logbook post", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread; what is queued is given up."""
        self._end.set()
        if self._thread is not None:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                log.warning("entries for the logbook are given up")
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set() and (item := self._queue.get()) is not None:
                self._deliver(*item)

    def _deliver(self, since: float, entry: dict[str, Any]) -> None:
        while not self._end.is_set():
            try:
                proxy = tango.DeviceProxy(self._device)
                proxy.set_timeout_millis(TIMEOUT_MS)
                proxy.command_inout("Log", json.dumps(entry))
            except tango.DevFailed as why:
                reason = why.args[0]
                if reason.reason == "Refused" or time.monotonic() - since > TRIED_S:
                    log.warning("the logbook does not take %r: %s", entry["title"], reason.desc)
                    return
                self._end.wait(PAUSE_S)
            else:
                return
