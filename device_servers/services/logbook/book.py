"""The logbook on disk: a hash chain that only grows, an index made from it, and the files of its entries."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import Refused, Tampered
from common.hashchain import ChainLog, links
from common.text import _
from device_servers.services.logbook import entry as entries
from device_servers.services.logbook.attachments import Attachments
from device_servers.services.logbook.entry import HAND, Entry
from device_servers.services.logbook.index import Index

log = logging.getLogger(__name__)

MOST_FOUND = 1000
USUAL = 50


class Book:
    """Any thread; one entry at a time. An entry is acknowledged when the chain has it."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or begin it. A chain that was altered takes no entries: `broken` says why."""
        self._path, self._now = folder / "logbook.log", now
        self._lock = threading.RLock()
        self.files = Attachments(folder / "attachments")
        self.broken = ""
        self.behind = ""
        """Why the index lacks entries; "" while it has all."""
        self._chain: ChainLog | None = None
        self._index = Index(folder / "index.db")
        self._last = 0
        self.count = 0
        """How many entries there are."""
        try:
            self._chain = ChainLog(self._path)
            self._catch_up()
        except (Tampered, OSError, KeyError, TypeError, ValueError) as why:
            self.broken = _("the logbook cannot be trusted: {why}").format(why=why)
            log.error("%s", self.broken)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._index.close()
            if self._chain is not None:
                self._chain.close()

    # --- Writing

    def add(self, wish: Mapping[str, Any], user: str, source: str = HAND) -> Entry:
        """Enter {"title", "text", "kind", "tags", "about", "attachments", "key"}. Raises Refused.

        With a `key` that this source has used before, the entry made then is the answer.
        """
        title, text = entries.title_of(wish), entries.text_of(wish)
        tags, about = entries.words_of(wish, "tags"), entries.words_of(wish, "about")
        kind, key = entries.word_of(wish, "kind", "note"), entries.word_of(wish, "key", "")
        with self._lock:
            self._require_sound()
            if key and (number := self._index.known(source, key)):
                return entries.from_json(self._index.versions(number)[-1])
            files = self.files.keep(wish.get("attachments"))
            when = self._now().isoformat(timespec="milliseconds")
            told = entries.sayings_of(wish)
            made = Entry(
                self._last + 1, 1, when, user, source, kind, title, text, tags, about, files, key, "", told
            )
            return self._append(made)

    def amend(self, number: int, wish: Mapping[str, Any], user: str) -> Entry:
        """A new version of an entry: what `wish` leaves out stays. "reason" is a must. Raises Refused."""
        reason = entries.text_of({"text": wish.get("reason", "")}).strip()
        if not reason:
            raise Refused(_("an amendment needs a reason"))
        with self._lock:
            self._require_sound()
            before = entries.from_json(self.versions(number)[0])
            title = entries.title_of(wish) if "title" in wish else before.title
            text = entries.text_of(wish) if "text" in wish else before.text
            tags = entries.words_of(wish, "tags") if "tags" in wish else before.tags
            about = entries.words_of(wish, "about") if "about" in wish else before.about
            files = (*before.attachments, *self.files.keep(wish.get("attachments")))
            when = self._now().isoformat(timespec="milliseconds")
            kept = {key: told for key, told in before.sayings.items() if key not in wish}
            made = Entry(
                number, before.version + 1, when, user, before.source, before.kind,
                title, text, tags, about, files, before.key, reason, kept,
            )  # fmt: skip
            return self._append(made)

    def _append(self, made: Entry) -> Entry:
        assert self._chain is not None
        try:
            digest = self._chain.append(made.as_json())
        except OSError as why:
            text = _("it cannot be kept ({why}); free disk space, then try again")
            raise Refused(text.format(why=why)) from why
        self._last = max(self._last, made.number)
        self.count += made.version == 1
        self._index_one(made, digest)
        return made

    def _index_one(self, made: Entry, digest: str) -> None:
        """Index what the chain has just taken; an index that cannot be written is made up for later."""
        try:
            if self.behind:
                self._catch_up()
            else:
                self._index.take([(made, digest)])
        except sqlite3.Error as why:
            self.behind = _("the index lacks entries: {why}").format(why=why)
            log.error("%s", self.behind)

    # --- Reading

    def versions(self, number: int) -> list[dict[str, Any]]:
        """All versions of an entry, newest first. Raises Refused for one that does not exist."""
        with self._lock:
            found = self._index.versions(number)
        if not found:
            raise Refused(_("no entry {number}").format(number=number))
        return found

    def find(self, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Entries that fit (index.py), latest first. Raises Refused."""
        limit = wish.get("limit") or USUAL
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= MOST_FOUND:
            raise Refused(_("the limit must be 1 to {most}").format(most=MOST_FOUND))
        with self._lock:
            return self._index.find(wish, limit)

    # --- Inner

    def _require_sound(self) -> None:
        if self.broken:
            raise Refused(self.broken)

    def _catch_up(self) -> None:
        """Bring the index to the end of the chain; one that does not fit the chain is made anew."""
        listed = list(links(self._path))
        count, head = self._index.taken
        if count > len(listed) or (count and listed[count - 1].digest != head):
            log.warning("the logbook's index does not fit its log: it is made anew")
            self._index.clear()
            count = 0
        self._index.take((entries.from_json(found.entry), found.digest) for found in listed[count:])
        numbers = {int(found.entry["number"]) for found in listed}
        self._last, self.count = max(numbers, default=0), len(numbers)
        self.behind = ""
