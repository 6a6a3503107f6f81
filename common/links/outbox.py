"""A durable queue on disk for everything that leaves a process: put once, sent until it arrives.

One item is one file `ID.item`: a line of JSON (the header) and the body as bytes, written to a
temporary name, flushed to the disk and renamed. Its progress is in `ID.json` beside it; an item
without that file is new. A process killed at any moment loses no item. One killed between a
delivery and its note sends the item again, so the receiver must know an item by its key.
"""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.errors import BadInput, LinkLost, Refused, Tampered
from common.files import read_json, sync, write_atomic, write_json

log = logging.getLogger(__name__)

_KIND = re.compile(r"[a-z][a-z0-9_]*")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0


class ItemState(StrEnum):
    """Where an item stands."""

    QUEUED = "QUEUED"
    """Waits for its first or next attempt."""
    DELIVERED = "DELIVERED"
    """The receiver took it."""
    REFUSED = "REFUSED"
    """The receiver answered that it does not take it; stays here until somebody sends it again."""


@dataclass(frozen=True)
class Item:
    """What is sent. `key` names it for the receiver: the same key is the same content."""

    id: str
    kind: str
    key: str
    created: float
    body: bytes

    def json(self) -> Any:
        """The body parsed as JSON. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Progress:
    """What became of an item so far. Times are seconds since the epoch."""

    state: ItemState = ItemState.QUEUED
    attempts: int = 0
    next_attempt: float = 0.0
    changed: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Listed:
    """One line of the visible queue."""

    id: str
    kind: str
    key: str
    created: float
    progress: Progress


Sender = Callable[[Item], None]
"""Delivers one item and returns when the receiver has it.

Raises LinkLost or OSError when it should be tried again; Refused, BadInput or Tampered when the
receiver will not take it.
"""


class Outbox:
    """The queue of one directory. Threads of one process may share it; two processes may not."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        """Open or create `directory`; leftovers of a killed process are removed."""
        self.directory = directory
        self._now = now
        self._lock = threading.Lock()
        self._done: set[str] = set()  # delivered in this process: need no second look
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(".*"):
            leftover.unlink()

    def put(self, kind: str, body: bytes, key: str = "") -> str:
        """Keep an item durably and return its id.

        With a `key`, a second put of the same kind, key and body is the first one (a process that
        was killed may put again). Raises Refused for the same key with another body, OSError when
        the disk does not take it (nothing is kept then), ValueError for a kind that is no plain word.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"kind {kind!r}: allowed are lower-case letters, digits and _")
        with self._lock:
            number = self._next_number()
            key = key or f"{number:08d}"
            known = self._with_key(kind, key)
            if known is not None:
                if self.item(known).body != body:
                    raise Refused(f"outbox holds another {kind} under the key {key}; use a new key")
                return known
            digest = hashlib.sha256(key.encode()).hexdigest()[:12]
            name = f"{number:08d}-{kind}-{digest}"
            header = {"id": name, "kind": kind, "key": key, "created": self._now()}
            write_atomic(self._path(name), json.dumps(header).encode() + b"\n" + body, mode=0o600)
            sync(self.directory)
        return name

    def put_json(self, kind: str, value: Any, key: str = "") -> str:
        """`put` with a value as JSON."""
        return self.put(kind, json.dumps(value, sort_keys=True, ensure_ascii=False).encode(), key)

    def item(self, item_id: str) -> Item:
        """One item with its body. Raises BadInput for an id that is not in the outbox."""
        header, body = self._read(item_id)
        return Item(item_id, header["kind"], header["key"], header["created"], body)

    def progress(self, item_id: str) -> Progress:
        """How far an item is."""
        path = self.directory / f"{item_id}.json"
        if not path.exists():
            return Progress()
        note = read_json(path)
        return Progress(**{**note, "state": ItemState(note["state"])})

    def items(self) -> list[Listed]:
        """The visible queue, oldest first, delivered items included."""
        listed = []
        for name in self._names():
            header, _body = self._read(name)
            listed.append(Listed(name, header["kind"], header["key"], header["created"], self.progress(name)))
        return listed

    def waiting(self) -> int:
        """Number of items that are not delivered."""
        return sum(self.progress(name).state is not ItemState.DELIVERED for name in self._names())

    def resend(self, item_id: str) -> None:
        """Queue an item again, whatever became of it. Raises BadInput for an unknown id."""
        self.item(item_id)
        with self._lock:
            self._note(item_id, Progress(changed=self._now()))
            self._done.discard(item_id)

    def forget(self, item_id: str) -> None:
        """Remove a delivered item. Raises Refused for one that is not delivered."""
        if self.progress(item_id).state is not ItemState.DELIVERED:
            raise Refused(f"outbox item {item_id} is not delivered; it cannot be removed")
        with self._lock:
            self._path(item_id).unlink(missing_ok=True)
            (self.directory / f"{item_id}.json").unlink(missing_ok=True)

    def deliver(self, send: Sender) -> int:
        """Send what is due, oldest first, and return how many were delivered.

        After a failed attempt the later items of the same kind wait too, so that their order holds.
        """
        delivered = 0
        blocked: set[str] = set()
        for name in self._names():
            if name in self._done:
                continue
            before = self.progress(name)
            kind = name.split("-")[1]
            if before.state is ItemState.DELIVERED:
                self._done.add(name)
            if before.state is not ItemState.QUEUED or kind in blocked:
                continue
            if before.next_attempt > self._now():
                blocked.add(kind)
                continue
            after = self._attempt(name, before, send)
            if after.state is ItemState.QUEUED:
                blocked.add(kind)
            delivered += after.state is ItemState.DELIVERED
        return delivered

    def _attempt(self, name: str, before: Progress, send: Sender) -> Progress:
        attempts, wait, error = before.attempts + 1, 0.0, ""
        try:
            send(self.item(name))
            state = ItemState.DELIVERED
        except (Refused, BadInput, Tampered) as why:
            state, error = ItemState.REFUSED, str(why)
        except (LinkLost, OSError) as why:
            state, error = ItemState.QUEUED, str(why)
            wait = min(FIRST_WAIT_S * 2.0 ** min(before.attempts, 16), LONGEST_WAIT_S)
        now = self._now()
        after = Progress(state, attempts, now + wait if wait else 0.0, now, error)
        with self._lock:
            self._note(name, after)
        log.info("outbox %s: %s after %d attempts", name, state, attempts)
        return after

    def _note(self, name: str, progress: Progress) -> None:
        write_json(self.directory / f"{name}.json", asdict(progress))
        sync(self.directory)

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self.directory.glob("*.item"))

    def _next_number(self) -> int:
        names = self._names()
        return int(names[-1].split("-", 1)[0]) + 1 if names else 1

    def _with_key(self, kind: str, key: str) -> str | None:
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return next((name for name in self._names() if name.endswith(f"-{kind}-{digest}")), None)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.item"

    def _read(self, name: str) -> tuple[dict[str, Any], bytes]:
        try:
            line, body = self._path(name).read_bytes().split(b"\n", 1)
            return json.loads(line), body
        except (OSError, ValueError) as why:
            raise BadInput(f"outbox holds no item {name}: {why}") from why


class Courier:
    """A thread that empties an outbox through a sender."""

    def __init__(self, outbox: Outbox, send: Sender, idle_s: float = 0.25) -> None:
        """Prepare; `start` begins. `idle_s`: how long it sleeps between two looks."""
        self._outbox = outbox
        self._send = send
        self._idle_s = idle_s
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to deliver, also what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once; call it after `put`."""
        self._wake.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Stop after the attempt under way."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._outbox.deliver(self._send)
            except Exception:  # the border of this thread: a defective sender must not end delivery
                log.exception("outbox delivery failed; it goes on")
            self._wake.wait(self._idle_s)
            self._wake.clear()
