"""Keeps what the interlock must not forget over a restart: `STATE/fpga/interlock.json`.

Written whole or not at all, and only when it has changed: at trips, resets and self-tests.
"""

import logging
from pathlib import Path
from typing import Any

from common.errors import Tampered
from common.files import read_json, write_json
from interlock.memory import KeptInterlock

log = logging.getLogger(__name__)


class InterlockKeeper:
    """The file, and what was written last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[object, ...] | None = None
        self._broken = False
        self.memory: dict[str, Any] | None = None
        """What the process before left."""
        self.tick = 0
        self.origin_wall_ns = 0

    def read(self) -> None:
        """Read the file, if there is one. Raises Tampered when it is damaged."""
        if not self._path.exists():
            return
        try:
            content = read_json(self._path)
            self.memory = dict(content["interlock"])
            self.tick, self.origin_wall_ns = int(content["tick"]), int(content["origin_wall_ns"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as why:
            raise self._damaged(why) from why

    def recall(self, interlock: KeptInterlock) -> None:
        """Bring the interlock back. Raises Tampered when the file is damaged."""
        if self.memory is not None:
            try:
                interlock.recall(self.memory)
            except (ValueError, KeyError, TypeError, AttributeError) as why:
                raise self._damaged(why) from why
            log.warning("interlock restored: latched %s", ", ".join(self.memory["latched"]) or "nothing")
        self._version = interlock.version

    def keep(self, interlock: KeptInterlock, tick: int, origin_wall_ns: int) -> None:
        """Write, if anything changed. A disk that is full costs the memory, not the beam-off."""
        if interlock.version == self._version:
            return
        content = {"tick": tick, "origin_wall_ns": origin_wall_ns, "interlock": interlock.memory()}
        try:
            write_json(self._path, content)
        except OSError as why:
            if not self._broken:
                log.error("interlock memory cannot be written (%s): a restart would forget trips", why)
            self._broken = True
            return
        self._version, self._broken = interlock.version, False

    def _damaged(self, why: Exception) -> Tampered:
        return Tampered(f"{self._path.name} is damaged ({why}); remove it to start without remembered trips")
