"""Which faults a campaign injects, and which interlock rows may be the first to see each.

All of it follows from the site: rows by the channels that they read, neighbours by the volumes, pumps,
chillers, amplifiers and rooms that the device rows name, effects from the plant's families.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.site import Device, Site
from interlock.matrix import Input, Matrix
from simulation.fpga.guard import OWN_CHECKS
from simulation.plant.family import Effect
from simulation.plant.registry import FAMILIES, GROUPS
from simulation.plant.safety import place_of
from simulation.plant.vacuum import volume_of

HERE = 0.85
"""Share of the faults that are put on devices which the beam in hand needs; the rest anywhere."""
VACUUM, AIR = ("VacuumGauge", "IonPump", "TurboPump"), 8
"""Air goes through open valves: how many of them within the time between two readings."""
SHUTTER = "BeamStopper"
"""Class whose devices isolate the rooms they stand in, as long as they are closed and have no fault."""
DEMANDS: Mapping[str, tuple[str, str]] = {
    "SafetyDoor": ("open", "close"),
    "EmergencyStop": ("press", "release"),
}
"""What people do to a device with contacts, and how they undo it."""


@dataclass(frozen=True)
class Case:
    """One fault of one device. own: rows that read it; next: of what it acts on directly; near: of that too.

    spared: all its rows belong to another room, which stays isolated, or no row reads it at all.
    """

    device: Device
    kind: str
    effect: Effect
    own: frozenset[str]
    next: frozenset[str]
    near: frozenset[str]
    spared: bool

    @property
    def code(self) -> int:
        """Code that the device shows; 0: none."""
        return FAMILIES[self.family].faults[self.kind].code

    @property
    def family(self) -> str:
        """Class of the device."""
        return self.device.tango_class

    def allowed(self) -> frozenset[str]:
        """Rows that may be the first fault: its own, what it acts on, or what sees a change."""
        match self.effect:
            case Effect.TRIP:
                return self.own | self.next
            case Effect.SLOW:
                return self.own | self.near
            case _:
                return self.own | self.near | OWN_CHECKS


class Neighbours:
    """What of a site hangs together physically, as the device rows say."""

    def __init__(self, site: Site, table: Matrix) -> None:
        self.site, self.table = site, table
        self._rows: dict[str, set[str]] = {}
        for row in table.inputs:
            for wire in self._wires(row):
                self._rows.setdefault(wire, set()).add(row.name)
        self._edges: dict[str, set[str]] = {}
        for group in self._groups():
            for wire in group:
                self._edges.setdefault(wire, set()).update(group)
        self._losses = {
            name for device in site.of_class("BeamLossMonitor") for name in self._rows.get(device.wire, ())
        }

    def own(self, device: Device) -> frozenset[str]:
        """Rows that read a device."""
        return frozenset(self._rows.get(device.wire, ()))

    def near(self, device: Device, reach: int, losses: bool = False) -> frozenset[str]:
        """Rows of what shares volume, water, cavity or place with a device, over `reach` steps; losses."""
        wires = {device.wire}
        for _ in range(reach):
            wires |= {other for wire in wires for other in self._edges.get(wire, ())}
        rows = {name for wire in wires for name in self._rows.get(wire, ())}
        return frozenset(rows | (self._losses if losses else set()))

    def spared(self, device: Device, room: str) -> bool:
        """Whether no row of a device can take beam from a room while the other rooms are isolated.

        A stopper of another room is not spared: a room whose shutter has a fault is not isolated any more.
        """
        if device.tango_class == SHUTTER and device.room:
            return False
        rows = [self.table.input(name) for name in self.own(device)]
        return all(row.room not in ("", room) for row in rows)

    def _wires(self, row: Input) -> Iterator[str]:
        for signal in row.signals:
            if signal in GROUPS:
                yield from (d.wire for name in GROUPS[signal] for d in self.site.of_class(name))
            else:
                yield signal.rpartition(".")[0]

    def _groups(self) -> Iterator[set[str]]:
        """Sets of wires that act on one another."""
        volumes: dict[str, set[str]] = {}
        places: dict[str, set[str]] = {}
        for device in self.site.devices:
            name, plant = device.tango_class, device.plant
            if name in ("VacuumGauge", "IonPump", "TurboPump"):
                volumes.setdefault(volume_of(device), set()).add(device.wire)
            for volume in plant.get("between", ()):
                volumes.setdefault(str(volume), set()).add(device.wire)
            if name in ("SafetyDoor", "EmergencyStop", "SearchStation"):
                places.setdefault(place_of(device), set()).add(device.wire)
            for key in ("pump", "chiller", "cavity"):
                if key in plant:
                    yield {device.wire, str(plant[key])}
            if roles := set(plant.get("cools", ())):
                yield {device.wire, *self._cooled(roles)}
        yield from volumes.values()
        yield from places.values()

    def _cooled(self, roles: set[str]) -> set[str]:
        more = {"rf": ("RfAmplifier", "RfCavity"), "source": ("IonSource", "HighVoltageSupply")}
        classes = {name for role in roles for name in more.get(role, ())}
        return {
            device.wire
            for device in self.site.devices
            if device.tango_class in classes
            or (device.tango_class == "MagnetSupply" and device.plant.get("role", "transport") in roles)
        }


class Deck:
    """Cases to inject: every kind of every family that the site has, then more by chance, seeded."""

    def __init__(self, site: Site, table: Matrix, room: str, seed: int) -> None:
        self.neighbours = Neighbours(site, table)
        self.site, self.room, self.random = site, room, random.Random(seed)
        self.kinds = [
            (name, kind) for name, family in FAMILIES.items() if site.of_class(name) for kind in family.faults
        ]

    def cases(self, count: int) -> Iterator[Case]:
        """`count` cases in rounds through all kinds, each round in an order of its own."""
        given = 0
        while given < count:
            order = self.kinds[:]
            self.random.shuffle(order)
            for name, kind in order[: count - given]:
                given += 1
                yield self.case(self._choose(self.site.of_class(name)), kind)

    def case(self, device: Device, kind: str) -> Case:
        """One fault of one device."""
        name, near = device.tango_class, self.neighbours
        effect = FAMILIES[name].faults[kind].effect
        return Case(
            device,
            kind,
            effect,
            own=near.own(device),
            next=near.near(device, 1),
            near=near.near(device, AIR if name in VACUUM else 2, losses=effect is Effect.BEAM),
            spared=near.spared(device, self.room),
        )

    def _choose(self, devices: Sequence[Device]) -> Device:
        needed = [device for device in devices if not self.neighbours.spared(device, self.room)]
        return self.random.choice(needed if needed and self.random.random() < HERE else devices)
