"""Vacuum gauges on a network of volumes, and sector valves that close when a volume of theirs is bad."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Effect, Family, Fault, Floats
from simulation.plant.vacuum_network import AIR_MBAR, VacuumNetwork
from simulation.plant.world import World

LEAK_MBAR_S = 1e-6
"""Rise of pressure by the fault `leak` in a volume without pumps; a well-pumped volume has a larger hole,"""
LEAK_LIMITS = 10.0
"""which takes it to this many times the limit of its gauge."""
INRUSH_L_S = 20.0
"""Conductance of the hole of the fault `inrush`."""
NOISE = 0.01
LITRES = 20.0
VALVE_L_S = 200.0
CLOSED = 1e-3
"""A valve that is open by less than this is tight."""


class Gauges(Family):
    """`plant` section: volume (name), volume_l, base_mbar (with all its pumps), range_mbar [lowest, highest].

    A volume that has no pump among the devices is pumped with a time constant `pump_s`. This family owns the
    network; pumps and valves act on it. A gauge without `volume` has one of its own.
    """

    quantities = (("pressure", "mbar"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "gauge": Fault(1, "the sensor reads nothing"),
        "leak": Fault(0, "air leaks into the volume", Effect.SLOW),
        "inrush": Fault(0, "a window breaks and air rushes into the volume", Effect.SLOW),
        "frozen": Fault(0, "the reading stays where it is"),
        "offset": Fault(0, "the sensor is contaminated and reads a third of the pressure"),
    }
    period_s = 0.05

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.lag = self.parameter("pump_s", 10.0)
        self.highest = self.limit("pressure", 1, np.inf)
        self.volumes = [volume_of(device) for device in self.devices]
        ranges = [device.plant.get("range_mbar", (1e-12, 1100.0)) for device in self.devices]
        self.range = np.array(ranges, dtype=np.float64).reshape(-1, 2)
        self._pumps: list[Any] = []
        self._valves: Valves | None = None
        self.reading: Floats = np.zeros(self.count)
        self._build({})

    def connect(self, families: Mapping[str, Family]) -> None:
        """Pumps and valves bring further volumes."""
        self._build(families)

    def _build(self, families: Mapping[str, Family]) -> None:
        self._pumps = [families[name] for name in ("IonPump", "TurboPump") if name in families]
        self._valves = cast(Valves, families["SectorValve"]) if "SectorValve" in families else None
        others = [volume_of(device) for pumps in self._pumps for device in pumps.devices]
        between = [name for pair in (self._valves.between if self._valves else ()) for name in pair]
        names = list(dict.fromkeys([*self.volumes, *others, *between]))
        litres, base = np.full(len(names), LITRES), np.full(len(names), 1e-8)
        for device, volume in zip(self.devices, self.volumes, strict=True):
            litres[names.index(volume)] = float(device.plant.get("volume_l", LITRES))
            base[names.index(volume)] = float(device.plant.get("base_mbar", 1e-8))
        self.network = VacuumNetwork(names, litres, base)
        self.place = self.network.places(self.volumes)
        bare = [i for i, volume in enumerate(self.volumes) if volume not in others]
        self._own_speed = np.zeros(len(names))
        self._own_speed[self.place[bare]] = litres[self.place[bare]] / self.lag[bare]
        self.network.nominal = self._own_speed.copy()
        for pumps in self._pumps:
            pumps.place = self.network.places([volume_of(device) for device in pumps.devices])
            np.add.at(self.network.nominal, pumps.place, pumps.nominal)
        limit = np.where(np.isfinite(self.highest), self.highest, 0.0)
        enough = LEAK_LIMITS * limit * self.network.nominal[self.place]
        self._hole = np.maximum(LEAK_MBAR_S * self.network.litres[self.place], enough) / AIR_MBAR
        self.reading = self.network.pressure[self.place]

    def step(self, dt: float, world: World) -> None:
        """Move the gas, then read it."""
        net = self.network
        net.speed = self._own_speed.copy()
        for pumps in self._pumps:
            np.add.at(net.speed, pumps.place, pumps.speed(net.pressure[pumps.place]))
        hole = self._hole * self.has("leak")
        net.leak[:] = 0.0
        np.maximum.at(net.leak, self.place, hole + INRUSH_L_S * self.has("inrush"))
        if self._valves is not None:
            self._valves.open_into(net)
        net.step(dt)
        true = net.pressure[self.place] * np.where(self.has("offset"), 1.0 / 3.0, 1.0)
        fresh = true * (1.0 + NOISE * world.rng.standard_normal(self.count))
        fresh = np.clip(fresh, self.range[:, 0], self.range[:, 1])
        self.reading = np.where(self.has("frozen"), self.reading, fresh)
        self.values[:, 0] = np.where(self.code > 0, np.nan, self.reading)
        world.vacuum_good = self.ok

    @property
    def good(self) -> NDArray[np.bool_]:
        """Reads, and reads below its limit."""
        good: NDArray[np.bool_] = (self.reading <= self.highest) & (self.code == 0)
        return good


class Valves(Family):
    """Sector valves. `plant` section: between [volume, volume], travel_s, conductance_l_s.

    A gauge of one of its two volumes that reads too much, or nothing, closes a valve by a wire of its own.
    A valve without `between` watches all gauges.
    """

    quantities = (("position", ""),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the valve does not move"),
        "end_switch": Fault(2, "both end switches are made; the position is unknown"),
        "air": Fault(3, "compressed air is lost; the spring closes the valve"),
    }
    retained = ("position", "wanted")
    period_s = 0.02

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.travel = self.parameter("travel_s", 1.0)
        self.conductance = self.parameter("conductance_l_s", VALVE_L_S)
        self.between = [tuple(map(str, device.plant.get("between", ()))) for device in self.devices]
        self.position = np.zeros(self.count)
        self.wanted = np.zeros(self.count)
        self._gauges: Gauges | None = None
        self._watches = np.zeros((self.count, 0), dtype=np.bool_)
        self._bad: NDArray[np.bool_] = np.zeros(self.count, dtype=np.bool_)

    def connect(self, families: Mapping[str, Family]) -> None:
        """The gauges of the two volumes, valve by gauge."""
        self._gauges = cast(Gauges, families["VacuumGauge"])
        rows = [[not pair or volume in pair for volume in self._gauges.volumes] for pair in self.between]
        self._watches = np.array(rows, dtype=np.bool_).reshape(self.count, self._gauges.count)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Move at constant speed to where they are wanted."""
        if self._gauges is not None:
            self._bad = np.asarray((self._watches & ~self._gauges.good).any(axis=1), dtype=np.bool_)
        self.wanted = np.where(self._bad | self.has("air"), 0.0, self.wanted)
        reach = np.where(self.has("stuck"), 0.0, dt / self.travel)
        self.position += np.clip(self.wanted - self.position, -reach, reach)
        self.values[:, 0] = np.where(self.has("end_switch"), np.nan, self.position)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Open and without fault."""
        good: NDArray[np.bool_] = (self.position > 0.99) & (self.code == 0)
        return good

    def open_into(self, network: VacuumNetwork) -> None:
        """Write the conductances of the valves as they stand into the network."""
        network.conductance[:] = 0.0
        open_part = np.where(self.position > CLOSED, self.position, 0.0)
        for pair, part, full in zip(self.between, open_part, self.conductance, strict=True):
            if part and len(pair) == 2:
                i, j = network.index[pair[0]], network.index[pair[1]]
                network.conductance[i, j] += part * full
                network.conductance[j, i] += part * full

    def shut_down(self) -> None:
        """Closed."""
        self.wanted[:] = 0.0
        self.position[:] = 0.0

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """open, close."""
        if verb == "open":
            if self._bad[i]:
                raise Refused(
                    _("{device}: vacuum is bad; it opens once the gauges beside it are within limits").format(
                        device=self.devices[i].wire
                    )
                )
            if self.has("air")[i]:
                raise Refused(_("{device}: no compressed air").format(device=self.devices[i].wire))
            self.wanted[i] = 1.0
        elif verb == "close":
            self.wanted[i] = 0.0
        else:
            super().do(verb, i, body)


def volume_of(device: Device) -> str:
    """The volume that a gauge or a pump sits on; one of its own where the site names none."""
    return str(device.plant.get("volume", device.wire))
