"""Putting back what a killed measurement has left: shown first, written when somebody says so."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import PtcsError, Refused
from common.text import _
from ptcs.commissioning.bench import Bench
from ptcs.commissioning.store import Pending, Store

SAME = 1e-6


@dataclass(frozen=True)
class Left:
    """A setting that was not put back: what it is now and what it was."""

    name: str
    now: float
    before: float

    @property
    def away(self) -> bool:
        """Whether it stands elsewhere."""
        return not abs(self.now - self.before) <= SAME


def left(bench: Bench, note: Pending) -> list[Left]:
    """What a note says, beside what stands now. Raises LinkLost."""
    names = list(note.settings)
    values = bench.read(names).values if names else ()
    return [
        Left(name, float(now), float(note.settings[name])) for name, now in zip(names, values, strict=True)
    ]


def put_back(bench: Bench, store: Store, note: Pending) -> Mapping[str, float]:
    """Write what the note says, and forget it; what was written. Raises Refused when something stays away,
    and for the note of a measurement that is still running.
    """
    if note.id not in [each.id for each in store.orphans()]:
        text = _("measurement {id} is running in process {pid}: it puts its settings back itself")
        raise Refused(text.format(id=note.id, pid=note.pid))
    written, failed = {}, []
    for each in left(bench, note):
        if not each.away:
            continue
        try:
            bench.write(each.name, each.before)
            written[each.name] = each.before
        except PtcsError as why:
            failed.append(f"{each.name}: {why}")
    if failed:
        raise Refused("; ".join(failed))
    store.release(note.id)
    return written
