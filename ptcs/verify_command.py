"""`ptcs verify`: every tamper-evident log of a facility, checked entry by entry."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from common.errors import PtcsError, Tampered
from common.hashchain import entries
from common.seals import ANCHOR, SEALS, Mark, check, logs, sealed
from common.state import StateDir
from common.text import _
from ois_bridge import settings
from ois_bridge.models.database import Database
from ois_bridge.services.audit import compare
from ptcs.running import state_option

console = Console()

Check = Callable[[], int]
"""Returns the number of intact entries; raises Tampered."""


@click.command()
@state_option
def verify(state: Path) -> None:
    """Check all hash-chained logs; exit status 1 when one was changed, cut or cannot be read."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", _("Log"), _("Entries"), _("Finding")):
        table.add_column(heading, justify="right" if heading == _("Entries") else "left")
    found = list(_checks(StateDir(state)))
    if not found:
        raise Tampered(_("{state}: there is no log here; is this the state directory?").format(state=state))
    broken = 0
    for name, examine in found:
        try:
            table.add_row("[green]✔[/]", name, str(examine()), _("intact"))
        except (PtcsError, OSError, UnicodeDecodeError) as why:
            broken += 1
            table.add_row("[red]✖[/]", name, "", str(why))
    console.print(table)
    if broken:
        raise Tampered(_("{n} of {all} logs cannot be trusted.").format(n=broken, all=len(found)))


def _checks(state: StateDir) -> Iterator[tuple[str, Check]]:
    seals, why = _seals(state)
    names = list(logs(state.root))
    for name in names:
        mark = _anchor(state) if name == SEALS else seals.get(name)
        yield name, partial(check, state.root / name, mark)
    for name in sorted(set(seals) - set(names)):
        yield name, partial(_missing, seals[name])
    if why and SEALS not in names:
        yield SEALS, partial(_raise, why)
    if (state.root / "ois/audit.log").exists():
        yield _("ois: rows of the database against the chain"), lambda: _rows(state)


def _seals(state: StateDir) -> tuple[dict[str, Mark], str]:
    """What was sealed of each log, and why that is not known; the log of the seals has a line of its own."""
    try:
        return sealed(state.root / SEALS), ""
    except (Tampered, OSError, ValueError) as why:
        return {}, str(why)


def _anchor(state: StateDir) -> Mark | None:
    """How the seals stood when the OIS was told last; None when it never was."""
    try:
        told = [row["detail"] for row in entries(state.root / "ois/audit.log") if row["action"] == ANCHOR]
        count, head = str(told[-1]).split()
        return Mark(int(count), head)
    except (Tampered, OSError, ValueError, KeyError, IndexError):
        return None  # a broken log of the OIS has a line of its own


def _missing(mark: Mark) -> int:
    raise Tampered(_("the log is missing, and {n} entries of it were sealed").format(n=mark.entries))


def _raise(why: str) -> int:
    raise Tampered(why)


def _rows(state: StateDir) -> int:
    """Rows of the OIS that stand in its chain. A running OIS may be about to write the last ones."""
    with closing(Database(settings.load(state).database, migrate=False)) as database:
        for pause in (1.0, 1.0, 0.0):
            count, missing = compare(database, state.root / "ois/audit.log")
            if not missing:
                return count
            time.sleep(pause)
    raise Tampered(_("{n} entries of the database are not in the chain: its end was cut").format(n=missing))
