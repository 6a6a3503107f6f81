"""A whole site's plant, stepped by hand, with its channels by name."""

from pathlib import Path

import numpy as np

from common import site
from common.site import CONFIG
from simulation.plant.plant import Plant


class SiteStand:
    """Everything on and open, so that a cycle gives beam."""

    def __init__(self, name: str) -> None:
        self.site = site.load(Path(CONFIG / f"{name}.yaml"))
        self.plant = Plant(self.site)
        self.index = {row["name"]: i for i, row in enumerate(self.plant.channels())}
        for family in self.plant.present:
            if hasattr(family, "on"):
                family.on[:] = True
        self.go(5.0, 0.05)
        for device in self.site.devices:
            if device.tango_class in ("SectorValve", "BeamStopper"):
                self.do("open", device.wire)
        self.go(2.0, 0.05)

    def __getitem__(self, name: str) -> float:
        return float(self.plant.values()[self.index[name]])

    def go(self, seconds: float, step: float = 0.01) -> None:
        for _ in range(round(seconds / step)):
            self.plant.step(step)

    def do(self, verb: str, device: str, **body) -> None:
        self.plant.do(verb, {"do": verb, "device": device, **body})

    def fault(self, device: str, kind: str) -> None:
        self.plant.inject({"device": device, "kind": kind})

    def clear(self, device: str) -> None:
        self.plant.clear({"device": device})

    def enter(
        self, phase: str, energy: float, room: int = 1, ion: str = "proton", wall: float = 0.05
    ) -> None:
        self.plant.cycle(phase, energy, room, ion)
        self.go(wall)

    def cycle(self, energy: float, room: int = 1, ion: str = "proton") -> None:
        """From wherever it is to a flat-top."""
        for phase, wall in (("RAMP_DOWN", 0.06), ("INJECTION", 0.04), ("RAMP", 0.09), ("FLAT_TOP", 0.05)):
            self.enter(phase, energy, room, ion, wall)

    def mean(self, name: str, steps: int = 50) -> float:
        """Average of a channel over steps of 10 ms."""
        values = []
        for _ in range(steps):
            self.plant.step(0.01)
            values.append(self[name])
        return float(np.mean(values))
