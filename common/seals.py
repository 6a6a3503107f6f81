"""Seals: how long each hash-chained log of a facility was at a time, told by another process than its writer.

A chain shows every change but one: that its end was cut off. So the counts and heads of all logs go, again
and again, into a chain of their own, `control/seals.log`, and the head of that one to the OIS, which keeps
it in its audit trail.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.chain_lines import GENESIS, Link
from common.chain_tail import Tail
from common.errors import Tampered
from common.hashchain import ChainLog, Rotation, links

LOGS = (
    "ois/audit.log",
    "audit/*.log",
    "control/*.log",
    "maintenance/*.log",
    "logbook/*.log",
    "alarms/*.log",
    "settings/*.log",
    "catalogue/*.log",
    "treatment/*/journal.log",
)
"""Hash chains below the state directory."""
SEALS = "control/seals.log"
ANCHOR = "seal the machine's logs"
"""What the OIS's audit trail calls the head of the seals that it was told."""


@dataclass(frozen=True)
class Mark:
    """A log at a time: so many entries, and the digest of the last."""

    entries: int
    head: str


def logs(root: Path) -> Iterator[str]:
    """Names of the logs of a state directory, relative to it."""
    for pattern in LOGS:
        for path in sorted(root.glob(pattern)):
            yield path.relative_to(root).as_posix()


class Sealer:
    """Follows the logs of a facility, checks what is new, and seals it. One thread."""

    def __init__(self, root: Path, now: Callable[[], float]) -> None:
        """Go on after the seals that are there. Raises Tampered when they were altered."""
        self._root, self._now = root, now
        path = root / SEALS
        self._sealed = sealed(path)
        self._tails: dict[str, Tail] = {}
        self._chain = ChainLog(path, Rotation())
        self.entries = sum(1 for _ in links(path))
        self.broken: dict[str, str] = {}
        """Log -> why it cannot be trusted."""
        self._missing: set[str] = set()

    @property
    def head(self) -> Mark:
        """The seals themselves, for whoever keeps it elsewhere."""
        return Mark(self.entries, self._chain.head)

    def look(self) -> int:
        """Seal every log that has grown; how many. Raises OSError when the seals cannot be written."""
        grown = {}
        missing = self._missing
        self._missing = set()
        for name in sorted({*logs(self._root), *self._sealed} - {SEALS} - set(self.broken)):
            try:
                mark = self._follow(name)
            except FileNotFoundError:
                self._missing.add(name)  # for a moment, while its writer begins a new file
                if name in missing:
                    self.broken[name] = (
                        f"{name} is missing, and {self._sealed[name].entries} entries were sealed"
                    )
                continue
            except (Tampered, ValueError) as why:
                self.broken[name] = str(why)
                continue
            if mark != self._sealed.get(name):
                grown[name] = mark
        if grown:
            told = {name: [mark.entries, mark.head] for name, mark in grown.items()}
            self._chain.append({"time": self._now(), "seals": told})
            self._sealed.update(grown)
            self.entries += 1
        return len(grown)

    def _follow(self, name: str) -> Mark:
        tail = self._tails.get(name)
        if tail is None:
            if (self._root / name).exists():
                check(self._root / name, self._sealed.get(name))
            tail = self._tails[name] = Tail(self._root / name)
        tail.read()
        before = self._sealed.get(name, Mark(0, GENESIS))
        if tail.entries < before.entries:
            raise Tampered(
                f"{name} has {tail.entries} entries, {before.entries} were sealed: its end was cut off"
            )
        return Mark(tail.entries, tail.head)

    def close(self) -> None:
        """Close the seals."""
        self._chain.close()


def sealed(path: Path) -> dict[str, Mark]:
    """The newest seal of each log. Raises Tampered."""
    found: dict[str, Mark] = {}
    for entry in _entries(path):
        told: Mapping[str, Any] = entry["seals"]
        found.update({name: Mark(int(count), str(head)) for name, (count, head) in told.items()})
    return found


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, link in enumerate(links(path), start=1):
        entry = link.entry
        if not isinstance(entry.get("seals"), dict):
            raise Tampered(f"{path.name} entry {number} seals nothing")
        yield entry


def check(path: Path, mark: Mark | None) -> int:
    """Number of entries of a log that is whole and holds what was sealed. Raises Tampered: what lacks."""
    count, at_mark = 0, GENESIS
    last: Link | None = None
    for count, last in enumerate(links(path), start=1):
        if mark is not None and count == mark.entries:
            at_mark = last.digest
    if mark is None:
        return count
    if count < mark.entries:
        where = f"{last.path.name} line {last.line}" if last else path.name
        raise Tampered(
            f"ends after {where} with {count} entries, and {mark.entries} were sealed: its end was cut off"
        )
    if mark.entries and at_mark != mark.head:
        raise Tampered(f"entry {mark.entries} is not the one that was sealed: the log was written anew")
    return count
