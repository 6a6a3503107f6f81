"""A plant of a handful of devices, stepped by hand."""

from dataclasses import replace
from typing import Any

from common import site
from common.site import Device
from simulation.plant.plant import Plant

DEMO = site.load()


def device(
    tango_class: str, wire: str, limits: dict[str, Any] | None = None, room: str = "", **plant: Any
) -> Device:
    """A device `test/hall/WIRE`."""
    name = f"test/hall/{wire}"
    return Device(name, tango_class, "central", "central", wire, limits or {}, plant=plant, room=room)


class Bench:
    """A plant with its channels by name."""

    def __init__(self, *devices: Device) -> None:
        self.site = replace(DEMO, devices=devices)
        self.plant = Plant(self.site)
        self.index = {row["name"]: i for i, row in enumerate(self.plant.channels())}

    def __getitem__(self, name: str) -> float:
        return float(self.plant.values()[self.index[name]])

    def reading(self, wire: str, quantity: str) -> float:
        """A quantity that does not travel in the block."""
        for family in self.plant.present:
            for i, row in enumerate(family.devices):
                if row.wire == wire:
                    return float(family.values[i, family.column(quantity)])
        raise KeyError(wire)

    def go(self, seconds: float, step: float = 0.05) -> None:
        for _ in range(max(round(seconds / step), 1)):
            self.plant.step(step)

    def do(self, verb: str, wire: str, **body: Any) -> None:
        self.plant.do(verb, {"do": verb, "device": wire, **body})

    def fault(self, wire: str, kind: str) -> None:
        self.plant.inject({"device": wire, "kind": kind})

    def clear(self, wire: str) -> None:
        self.plant.clear({"device": wire})
