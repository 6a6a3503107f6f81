"""The treatment journal: append and fsync first, then change the state. Replay gives the state back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import Refused, Tampered
from common.hashchain import ChainLog, Rotation, entries
from common.text import _
from treatment.accounting import Counters, pack
from treatment.delivery_map import DeliveryMap
from treatment.ledger import COUNTS, QUEUED, RECORD, STEP, Ledger, Run, apply
from treatment.session import Event, advance

ROTATION = Rotation(size=32 << 20)
"""The journal goes on in a new file when the old one is so large; replay reads all of them."""


class Journal:
    """One room's journal on disk and the ledger it adds up to.

    Every method returns after the entry is on disk (fsync) and in the ledger. When the disk does not take
    an entry (OSError), neither the ledger nor the state has changed and the journal is `broken`.
    """

    def __init__(self, path: Path, rotation: Rotation = ROTATION) -> None:
        """Open or create, and replay. Raises Tampered when the chain or its sense is broken."""
        self._log = ChainLog(path, rotation)
        try:
            self.ledger = replay(path)
        except Tampered:
            self._log.close()
            raise
        self.broken = ""

    def step(self, event: Event, wall_ns: int, user: str = "", cause: str = "", **data: Any) -> None:
        """Journal an event, then advance the state. Raises IllegalStep before anything is written."""
        after = advance(self.ledger.state, event)
        head = {"kind": STEP, "event": event.value, "state": after.value}
        self._append({**head, "wall_ns": wall_ns, "user": user, "cause": cause, **data})

    def begin(
        self, event: Event, wall_ns: int, user: str, wanted: DeliveryMap, setup: Mapping[str, float]
    ) -> Run:
        """Journal StartIrradiation or ResumeIrradiation with the run that it begins, of a loaded map.

        Raises Refused while the counters of an earlier run were not read back.
        """
        history = self.ledger.history
        if history.open_run is not None:
            raise Refused(_("the counters of the last run were not read back yet"))
        run = {
            "serial": 1 + max((run.serial for run in history.runs), default=0),
            "beam": wanted.beam_number,
            "digest": wanted.digest(),
            "k_tp": wanted.k_tp,
            "spots": wanted.spot_count,
            "setup": dict(setup),
        }
        self.step(event, wall_ns, user, run=run)
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
