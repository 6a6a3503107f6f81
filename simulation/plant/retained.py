"""What the equipment keeps while the process that simulates it is away: `STATE/plant/memory.json`."""

import logging
import time
from pathlib import Path
from typing import Any

from common.files import read_json, write_json
from simulation.plant.plant import Plant

log = logging.getLogger(__name__)

PERIOD_S = 0.2


class PlantMemory:
    """Written when something changed, at most five times a second and never in a running cycle."""

    def __init__(self, path: Path, plant: Plant) -> None:
        self._path = path
        self._plant = plant
        self._written: dict[str, Any] = {}
        self._due = 0.0

    def recall(self) -> None:
        """Give the plant back what it had. A file that cannot be used is passed over: everything is off."""
        try:
            self._plant.recall(read_json(self._path))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as why:
            log.warning("%s cannot be used (%s): the plant starts switched off", self._path.name, why)

    def keep(self) -> None:
        """Write what changed, if it is time."""
        now = time.monotonic()
        if now < self._due or self._plant.busy:
            return
        self._due = now + PERIOD_S
        self.write()

    def write(self) -> None:
        """Write what changed."""
        memory = self._plant.memory()
        if memory != self._written:
            try:
                write_json(self._path, memory)
                self._written = memory
            except OSError as why:
                log.error("%s cannot be written: %s", self._path.name, why)
