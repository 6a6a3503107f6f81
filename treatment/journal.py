"""The treatment journal: append and fsync first, then change the state. Replay gives the state back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import Refused, Tampered
from common.hashchain import ChainLog, entries
from common.text import _
from treatment.accounting import Counters
from treatment.ledger import COUNTS, QUEUED, RECORD, RUN, STEP, Ledger, Run, apply, pack
from treatment.session import Event, advance


class Journal:
    """One room's journal on disk and the ledger it adds up to.

    Every method returns after the entry is on disk (fsync) and in the ledger. When the disk does not take
    an entry (OSError), neither the ledger nor the state has changed and the journal is `broken`.
    """

    def __init__(self, path: Path) -> None:
        """Open or create, and replay. Raises Tampered when the chain or its sense is broken."""
        self._log = ChainLog(path)
        self.ledger = replay(path)
        self.broken = ""

    def step(self, event: Event, wall_ns: int, user: str = "", cause: str = "", **data: Any) -> None:
        """Journal an event, then advance the state. Raises IllegalStep before anything is written."""
        after = advance(self.ledger.state, event)
        head = {"kind": STEP, "event": event.value, "state": after.value}
        self._append({**head, "wall_ns": wall_ns, "user": user, "cause": cause, **data})

    def open_run(
        self, beam: int, digest: str, k_tp: float, spots: int, setup: Mapping[str, float], wall_ns: int
    ) -> Run:
        """Journal that a map is about to be loaded. Raises Refused while an earlier run is open."""
        history = self.ledger.history
        if history.open_run is not None:
            raise Refused(_("the counters of the last run were not read back yet"))
        serial = 1 + max((run.serial for run in history.runs), default=0)
        self._append(
            {
                "kind": RUN,
                "serial": serial,
                "beam": beam,
                "digest": digest,
                "k_tp": k_tp,
                "spots": spots,
                "setup": dict(setup),
                "wall_ns": wall_ns,
            }
        )
        return self.ledger.history.runs[-1]

    def close_run(self, counters: Counters, termination: str, cause: str, wall_ns: int) -> None:
        """Journal the counters read back of the open run. Raises Refused when none is open."""
        run = self.ledger.history.open_run
        if run is None:
            raise Refused(_("no run is open"))
        self._append(
            {
                "kind": COUNTS,
                "serial": run.serial,
                "counters": pack(counters),
                "termination": termination,
                "cause": cause,
                "wall_ns": wall_ns,
            }
        )

    def announce_part(self, uid: str, wall_ns: int) -> None:
        """Journal that all unrecorded runs become one record part under this UID."""
        history = self.ledger.history
        self._append(
            {
                "kind": RECORD,
                "uid": uid,
                "part": len(history.parts) + 1,
                "runs": [run.serial for run in history.unrecorded],
                "verified_by": self.ledger.verified_by,
                "wall_ns": wall_ns,
            }
        )

    def part_queued(self, uid: str, wall_ns: int) -> None:
        """Journal that a part is written and in the outbox."""
        self._append({"kind": QUEUED, "uid": uid, "wall_ns": wall_ns})

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self.broken:
            raise Refused(
                _("the treatment journal cannot be written ({why}); restart the session server").format(
                    why=self.broken
                )
            )
        try:
            self._log.append(entry)
        except OSError as why:
            self.broken = str(why)
            raise
        apply(self.ledger, entry)


def replay(path: Path) -> Ledger:
    """The ledger that a journal adds up to. Raises Tampered."""
    ledger = Ledger()
    for number, entry in enumerate(entries(path), start=1):
        try:
            apply(ledger, entry)
        except Refused as why:
            raise Tampered(f"{path.name} entry {number}: {why}") from why
    return ledger
