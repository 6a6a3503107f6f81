"""What the OIS does by itself: each chore is called again and again by one thread of the process."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from common.errors import PtcsError
from ois_bridge.services import devices, downtime, outbox
from ois_bridge.services.context import Context
from ois_bridge.services.queue import calling
from ois_bridge.services.workflow import reminders

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chore:
    """A use case without a caller. `period`: seconds between two calls."""

    name: str
    period: float
    do: Callable[[Context], object]


CHORES: Sequence[Chore] = (
    Chore("late tasks", 60.0, reminders.remind),
    Chore("devices", 5.0, devices.watch),
    Chore("outbox", 1.0, outbox.send_due),
    Chore("old messages", 3600.0, outbox.purge),
    Chore("voice", 3600.0, lambda context: context.voice.sweep()),
    Chore("missed", 600.0, calling.close_days),
    Chore("downtime lists", 120.0, downtime.keep_lists),
)
"""All chores of the OIS; each room adds its own."""


@contextmanager
def working(context: Context, stopping: threading.Event) -> Iterator[None]:
    """Do the chores in a thread for the time of a `with` block, or until `stopping` is set."""
    thread = threading.Thread(target=_run, args=(context, CHORES, stopping), name="chores", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        # what it was about to do is done or is not: both are whole. It was told when the web servers were
        thread.join(0.4)


def _run(context: Context, chores: Sequence[Chore], stopping: threading.Event) -> None:
    """Call each chore at its times. One that fails is logged and tried again at its next time."""
    due = {chore.name: monotonic() for chore in chores}
    while not stopping.wait(0.1):
        for chore in chores:
            if monotonic() >= due[chore.name]:
                due[chore.name] = monotonic() + chore.period
                _do(context, chore)


def _do(context: Context, chore: Chore) -> None:
    try:
        chore.do(context)
    except (PtcsError, OSError, SQLAlchemyError):
        log.exception("chore %s failed; it is tried again in %g s", chore.name, chore.period)
