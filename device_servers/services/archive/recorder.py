"""From arriving values to the store: a bounded buffer, and the one thread that writes."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, PtcsError
from common.text import _
from device_servers.services.archive.keeping import Keeping
from device_servers.services.archive.layout import TEXT, TEXT_BYTES, Floats, Limits, Rows
from device_servers.services.archive.segment import encode_name
from device_servers.services.archive.store import Store
from device_servers.services.archive.stores import StoreWriter

log = logging.getLogger(__name__)

WRITE_PERIOD_S = 0.5
"""A killed archiver loses no more than this, and what one write takes."""
RATE_PERIOD_S = 5.0
MOST_WAITING = 4_000_000
"""Values that wait for the disk at most; beyond, the newest are lost and counted."""


@dataclass(frozen=True)
class Batch:
    """What one event brought: samples of some channels, spots of shape (n, 10), or rows of TEXT."""

    names: Sequence[str] = ()
    triples: Floats | None = None
    spots: Floats | None = None
    texts: Rows | None = None

    @property
    def size(self) -> int:
        """Values, spots or texts in it."""
        return sum(len(table) for table in (self.triples, self.spots, self.texts) if table is not None)


class _Rate:
    """How fast a count grows, over the last few seconds."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def note(self, count: int) -> None:
        """The count as it is now."""
        self._history.append((time.monotonic(), count))
        while self._history[-1][0] - self._history[0][0] > RATE_PERIOD_S:
            self._history.popleft()

    @property
    def value(self) -> float:
        """Per second."""
        first, last = self._history[0], self._history[-1]
        return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0


def _close(store: StoreWriter) -> None:
    try:
        store.close()
    except OSError:
        log.exception("the last values did not reach the disk")


def _unknown(count: int, now: float) -> Floats:
    return np.column_stack([np.full(count, now), np.arange(count), np.full(count, np.nan)])


def _text_row(name: str, text: str, now: float, known: bool) -> Rows:
    row = np.zeros(1, TEXT)
    row["time"], row["name"], row["known"] = now, encode_name(name), known
    row["text"] = text.encode()[:TEXT_BYTES]
    return row


class Recorder:
    """Takes batches from any thread and writes them; `on_change` is called after every write.

    keeping: closes and merges segments in a process of its own; without one they are closed while they are
    written, and not merged. open_store: opens another store than HDF5 files, given the time.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        on_change: Callable[[], None] = lambda: None,
        keeping: Keeping | None = None,
        open_store: Callable[[float], StoreWriter] | None = None,
    ) -> None:
        self._on_change = on_change
        self._keeping = keeping
        on_full = None if keeping is None else keeping.full
        self._open_store = open_store or (lambda now: Store(folder, now, limits, on_full))
        self._waiting: deque[Batch] = deque()
        self._waiting_size = 0
        self._intake = threading.Lock()
        self._writing = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._store: StoreWriter | None = None
        self._numbers: dict[tuple[str, ...], NDArray[np.int32]] = {}
        self._rate = _Rate()
        self.values = 0
        """Samples and spots written since the start."""
        self.lost = 0
        """Samples and spots that could not be kept, and events that Tango reported as missed."""
        self.trouble = ""
        """Why nothing can be written now; empty while all is well."""

    @property
    def segment(self) -> str:
        """File name of the open segment; empty before there is one."""
        store = self._store
        return "" if store is None else store.segment_name

    @property
    def rate(self) -> float:
        """Values written per second, over the last few seconds."""
        return self._rate.value

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, commit and let go of the archive."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        with self._writing:
            store, keeping = self._store, self._keeping
            if store is not None:
                self._attempt()
            if keeping is not None:
                keeping.stop()
            if store is not None:
                self._store = None
                _close(store)

    def take(self, batch: Batch) -> None:
        """Accept a batch. Any thread; never waits for the disk."""
        with self._intake:
            if self._waiting_size + batch.size > MOST_WAITING:
                self.lost += batch.size
                return
            self._waiting.append(batch)
            self._waiting_size += batch.size

    def gap(self, names: Sequence[str], now: float) -> None:
        """The values of these channels are unknown from now on."""
        self.take(Batch(names, _unknown(len(names), now)))

    def text(self, name: str, text: str, now: float, known: bool = True) -> None:
        """Accept one text of "device/attribute"; known=False from when on it is unknown."""
        self.take(Batch(texts=_text_row(name, text, now, known)))

    def missed(self) -> None:
        """Tango reported a missed event."""
        with self._intake:
            self.lost += 1

    def flush(self) -> None:
        """Write and commit everything that has arrived. Raises PtcsError or OSError if that fails."""
        with self._writing:
            self._cycle()

    def _run(self) -> None:
        while not self._end.wait(WRITE_PERIOD_S):
            with self._writing:
                self._attempt()
            self._on_change()

    def _attempt(self) -> None:
        try:
            self._cycle()
            self.trouble = ""
        except (OSError, PtcsError) as why:
            if str(why) != self.trouble:
                log.error("archive cannot be written, trying again: %s", why)
            self.trouble = str(why)
        except Exception:  # border of the thread: one bad batch must not end the archive
            log.exception("a batch could not be stored and is lost")
            self.trouble = _("internal error; see the log of this server")
            self._drop(lost=True)

    def _drop(self, *, lost: bool) -> None:
        """Take the first waiting batch away."""
        with self._intake:
            size = self._waiting.popleft().size if self._waiting else 0
            self._waiting_size -= size
            self.lost += size if lost else 0

    def _cycle(self) -> None:
        now = time.time()
        if self._store is None:
            self._store = self._open_store(now)
        refused: BadInput | None = None
        while self._waiting:
            batch = self._waiting[0]
            try:
                self.values += self._write(self._store, batch)
                self._drop(lost=False)
            except BadInput as why:
                refused = why
                self._drop(lost=True)
        self._store.commit(now)
        if self._keeping is not None:
            self._keeping.tick(now)
        self._rate.note(self.values)
        if refused is not None:
            raise refused

    def _write(self, store: StoreWriter, batch: Batch) -> int:
        written = 0
        if batch.triples is not None and len(batch.triples):
            if (key := tuple(batch.names)) not in self._numbers:
                self._numbers[key] = store.channels(batch.names)
            numbers, (times, index, values) = self._numbers[key], batch.triples.T
            written += store.write(times, numbers[index.astype(np.intp)], values)
        if batch.spots is not None:
            written += store.write_spots(batch.spots)
        if batch.texts is not None:
            written += store.write_texts(batch.texts)
        return written
