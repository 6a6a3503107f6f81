"""The logbook's index: SQLite with full text, made from the log and made anew whenever it does not fit it."""

import json
import logging
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.text import LANGUAGES, said
from device_servers.services.logbook.entry import Entry
from device_servers.services.logbook.words import cut, query

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE entry (
  number INTEGER, version INTEGER, time TEXT NOT NULL, user TEXT NOT NULL, source TEXT NOT NULL,
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, newest INTEGER NOT NULL,
  PRIMARY KEY (number, version)
);
CREATE INDEX entry_time ON entry (newest, time);
CREATE UNIQUE INDEX entry_key ON entry (source, key) WHERE key != '' AND version = 1;
CREATE VIRTUAL TABLE words USING fts5 (title, text, tags, about, tokenize = 'unicode61 remove_diacritics 2');
CREATE TABLE taken (count INTEGER NOT NULL, head TEXT NOT NULL);
INSERT INTO taken VALUES (0, '');
"""
NEWEST = "SELECT body FROM entry e WHERE"
LISTED = {
    "tag": "EXISTS (SELECT 1 FROM json_each(e.body, '$.tags') WHERE value = ?)",
    "about": "EXISTS (SELECT 1 FROM json_each(e.body, '$.about') WHERE value = ?)",
}
"""What an entry has several of -> the condition that one of them is a value."""
FORM = 1
"""`user_version` of the database file."""


class Index:
    """One thread at a time. The log is the truth: nothing here needs to survive a crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._base = self._open()

    def _open(self) -> sqlite3.Connection:
        """The database, empty when it was missing, damaged or of another form."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for fresh in (False, True):
            if fresh:
                for name in (
                    self._path,
                    *(self._path.with_name(self._path.name + end) for end in ("-wal", "-shm")),
                ):
                    name.unlink(missing_ok=True)
            base = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            try:
                base.execute("PRAGMA journal_mode = WAL")
                base.execute("PRAGMA synchronous = FULL")
                (form,) = base.execute("PRAGMA user_version").fetchone()
                if form == 0:
                    base.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORM}; COMMIT;")
                    form = FORM
                if form == FORM:
                    base.execute("SELECT count FROM taken").fetchone()
                    return base
            except sqlite3.DatabaseError as why:
                if fresh:
                    base.close()
                    raise
                log.warning("%s is made anew: %s", self._path.name, why)
            base.close()
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the database."""
        self._base.close()

    @property
    def taken(self) -> tuple[int, str]:
        """How many entries of the log it has, and the digest of the last."""
        count, head = self._base.execute("SELECT count, head FROM taken").fetchone()
        return int(count), str(head)

    def clear(self) -> None:
        """Forget everything, to be made anew."""
        for table in ("entry", "words"):
            self._base.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this file
        self._base.execute("UPDATE taken SET count = 0, head = ''")

    def take(self, entries: Iterable[tuple[Entry, str]]) -> None:
        """Take in versions with the digests of their lines, in the order of the log. Raises sqlite3.Error."""
        self._base.execute("BEGIN")
        try:
            for entry, digest in entries:
                self._one(entry)
                self._base.execute("UPDATE taken SET count = count + 1, head = ?", (digest,))
            self._base.execute("COMMIT")
        except BaseException:
            self._base.execute("ROLLBACK")
            raise

    def _one(self, entry: Entry) -> None:
        self._base.execute("UPDATE entry SET newest = 0 WHERE number = ?", (entry.number,))
        row = (entry.number, entry.version, entry.time, entry.user, entry.source, entry.kind)
        body = json.dumps(entry.as_json(), ensure_ascii=False)
        self._base.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", (*row, entry.key, body))
        self._base.execute("DELETE FROM words WHERE rowid = ?", (entry.number,))
        texts = (_in_all(entry, "title"), _in_all(entry, "text"), " ".join(entry.tags), " ".join(entry.about))
        self._base.execute(
            "INSERT INTO words (rowid, title, text, tags, about) VALUES (?, ?, ?, ?, ?)",
            (entry.number, *(cut(text) for text in texts)),
        )

    # --- Questions

    def versions(self, number: int) -> list[dict[str, Any]]:
        """All versions of an entry, newest first."""
        rows = self._base.execute("SELECT body FROM entry WHERE number = ? ORDER BY version DESC", (number,))
        return [json.loads(body) for (body,) in rows]

    def known(self, source: str, key: str) -> int:
        """Number of the entry that a source made with a key; 0 for none."""
        row = self._base.execute(
            "SELECT number FROM entry WHERE source = ? AND key = ? AND version = 1", (source, key)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def find(self, wish: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        """Newest versions that fit {"text", "tag", "about", "kind", "source", "user", "from", "to"}.

        from, to: ISO 8601. Latest first. Raises sqlite3.Error for nothing that `query` makes.
        """
        terms, values = ["e.newest"], []
        searched = query(str(wish.get("text") or ""))
        if searched:
            terms.append("e.number IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(searched)
        for key in ("kind", "source", "user"):
            if wish.get(key):
                terms.append(f"e.{key} = ?")
                values.append(str(wish[key]))
        for key, sign in (("from", ">="), ("to", "<=")):
            if wish.get(key):
                terms.append(f"e.time {sign} ?")
                values.append(str(wish[key]))
        for key, condition in LISTED.items():
            if wish.get(key):
                terms.append(condition)
                values.append(str(wish[key]))
        text = f"{NEWEST} {' AND '.join(terms)} ORDER BY e.time DESC, e.number DESC LIMIT ?"
        return [json.loads(body) for (body,) in self._base.execute(text, (*values, limit))]


def _in_all(entry: Entry, key: str) -> str:
    """Title or text in every language, so that it is found in each."""
    texts = [str(getattr(entry, key))]
    if key in entry.sayings:
        texts += [said(entry.sayings[key], code) for code in LANGUAGES if code != "en"]
    return " ".join(texts)
