"""Keeps a core in retained memory, slice by slice, and brings it back after a restart."""

import logging
from pathlib import Path

from simulation.fpga.core import Core
from simulation.fpga.delivery import Delivery
from simulation.fpga.retained import Kept, Retained, Status, create

log = logging.getLogger(__name__)


class Keeper:
    """The retained memory of one process: at most one map at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Retained | None = None
        self._of: Delivery | None = None
        self._status: Status | None = None

    def recall(self) -> Kept | None:
        """What the process before left, if a map was loaded. Raises Tampered for a damaged file."""
        if not self._path.exists():
            return None
        self._file = Retained(self._path)
        return self._file.load()

    def restored(self, core: Core) -> None:
        """The core holds now what was recalled."""
        self._of = core.delivery

    def keep(self, core: Core, origin_wall_ns: int) -> None:
        """Store what changed since the last call. Raises OSError when a new map finds no room."""
        delivery = core.delivery
        status = Status(core.tick, core.state, core.cause)
        if delivery is not self._of:
            self._change(delivery, status, origin_wall_ns)
        elif delivery is not None and self._file is not None and self._is_news(delivery, status):
            self._file.store(delivery.rows, delivery.changed, status)
        if delivery is not None:
            delivery.changed = (0, 0)
        self._status = status

    def _is_news(self, delivery: Delivery, status: Status) -> bool:
        before = self._status
        same = before is not None and (before.state, before.cause) == (status.state, status.cause)
        return not same or delivery.changed != (0, 0)

    def _change(self, delivery: Delivery | None, status: Status, origin_wall_ns: int) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._of = delivery
        if delivery is None:
            self._path.unlink(missing_ok=True)
        else:
            self._file = create(self._path, delivery.spots, delivery.rows, status, origin_wall_ns)
