"""Beam diagnostics: each looks at the picture of the beam at its element."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Effect, Family, Fault, Floats
from simulation.plant.stoppers import AT_END, Driven
from simulation.plant.world import World

WIRES = 64
WIRE_MM = 1.0
FAINT_NA = 1e-4
"""Below this current positions are noise."""
POSITION_MM = 0.02
PER_LOST = 1e-3
"""Counts of a loss monitor per particle lost beside it."""
BACKGROUND = 10.0
NOMINAL_MA: Mapping[str, float] = {"injector": 0.05, "cyclotron": 2e-4}
"""Current of a transformer outside the ring while beam passes it, mA."""


class Looking(Family):
    """Devices with an `element`. `rows`: theirs in the picture, -1 where the optics has none of that name."""

    _rows: NDArray[np.intp] | None = None

    def rows(self, world: World) -> NDArray[np.intp]:
        """Row of each device's element in the picture, (n,)."""
        if self._rows is None and world.picture.rows:
            found = [world.picture.rows.get(device.element, -1) for device in self.devices]
            self._rows = np.array(found, dtype=np.intp)
        return self._rows if self._rows is not None else np.full(self.count, -1, dtype=np.intp)

    def look(self, world: World, name: str) -> Floats:
        """A quantity of the picture at each device; 0 where there is no element, (n,)."""
        rows = self.rows(world)
        values: Floats = getattr(world.picture, name)
        return np.where(rows >= 0, values[rows], 0.0) if len(values) else np.zeros(self.count)


class PositionMonitors(Looking):
    """Beam position monitors. offset: the electronics read 2 mm off in x."""

    quantities = (("x", "mm"), ("y", "mm"), ("intensity", "nA"))
    faults: ClassVar[Mapping[str, Fault]] = {
        "electronics": Fault(1, "the electronics do not answer; its readings are unknown"),
        "offset": Fault(0, "the position reads 2 mm off in x"),
    }

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Positions are unknown without beam."""
        flow = self.look(world, "flow") * (1.0 + world.picture.spill * 0.1)
        seen = flow > FAINT_NA
        noise = POSITION_MM * world.rng.standard_normal((2, self.count))
        for column, name in enumerate(("x", "y")):
            place = 1e3 * self.look(world, name) + noise[column]
            self.values[:, column] = np.where(seen, place, np.nan)
        self.values[:, 0] += 2.0 * self.has("offset")
        self.values[:, 2] = flow
        self.values[self.code > 0, :3] = np.nan


class ProfileMonitors(Looking, Driven):
    """Wire grids on a drive. Without beam, or retracted, they see nothing."""

    quantities = (("x", "mm"), ("y", "mm"), ("sigma_x", "mm"), ("sigma_y", "mm"), ("position", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the drive is jammed; it does not move"),
        "electronics": Fault(2, "the electronics do not answer; its readings are unknown"),
        "broken_wire": Fault(0, "wire 30 of x gives no signal"),
    }
    verbs: ClassVar[Mapping[str, float]] = {"insert": 1.0, "retract": 0.0}
    _world: World | None = None

    def step(self, dt: float, world: World) -> None:
        """Move, and read what the wires give."""
        self._world = world
        self.drive(dt, self.wanted)
        seen = (self.position > 1.0 - AT_END) & (self.look(world, "flow") > FAINT_NA)
        noise = POSITION_MM * world.rng.standard_normal((4, self.count))
        for column, name in enumerate(("x", "y", "size_x", "size_y")):
            self.values[:, column] = np.where(seen, 1e3 * self.look(world, name) + noise[column], np.nan)
        self.values[:, 4] = self.position
        self.values[self.has("electronics"), :4] = np.nan

    @property
    def good(self) -> NDArray[np.bool_]:
        """Out of the beam and without fault."""
        good: NDArray[np.bool_] = (self.position < AT_END) & (self.code == 0)
        return good

    def ask(self, verb: str, i: int, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Profile: charge per wire, in both planes (64,); nothing where it sees no beam."""
        if verb != "profile":
            return super().ask(verb, i, arrays)
        if self._world is None or self.has("electronics")[i]:
            raise Refused(_("{device} gives no profile").format(device=self.devices[i].wire))
        rng = self._world.rng
        place = WIRE_MM * (np.arange(WIRES) - (WIRES - 1) / 2)
        flow = float(self.look(self._world, "flow")[i])
        profiles = {}
        for column, name in enumerate(("x", "y")):
            middle, sigma = self.values[i, column], self.values[i, column + 2]
            charge = np.zeros(WIRES)
            if np.isfinite(middle) and sigma > 0:
                shape = np.exp(-0.5 * ((place - middle) / sigma) ** 2)
                charge = flow * shape * WIRE_MM / (np.sqrt(2.0 * np.pi) * sigma)
            charge = charge + 1e-5 * max(flow, FAINT_NA) * np.abs(rng.standard_normal(WIRES))
            profiles[name] = charge
        if self.has("broken_wire")[i]:
            profiles["x"][30] = 0.0
        return profiles


class FaradayCups(Looking, Driven):
    """Cups that stop the beam and measure its current. `fixed`: a dump that always stands there."""

    quantities = (("current", "nA"), ("position", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the drive is jammed; it does not move"),
        "electrometer": Fault(2, "the electrometer does not answer; the current is unknown"),
        "leakage": Fault(0, "the cup reads half a nA too much"),
    }
    verbs: ClassVar[Mapping[str, float]] = {"insert": 1.0, "retract": 0.0}

    def step(self, dt: float, world: World) -> None:
        """Move, stand in the beam, and read its current."""
        self.drive(dt, self.wanted)
        inside = self.position > AT_END
        for device, blocks, fixed in zip(self.devices, inside, self.fixed, strict=True):
            if not fixed:
                world.blocked[device.element] = bool(blocks)
        current = np.where(self.position > 1.0 - AT_END, self.look(world, "flow"), 0.0)
        current += 1e-4 * world.rng.standard_normal(self.count) + 0.5 * self.has("leakage")
        self.values[:, 0] = np.where(self.has("electrometer"), np.nan, current)
        self.values[:, 1] = self.position

    @property
    def good(self) -> NDArray[np.bool_]:
        """Out of the beam (or a fixed dump) and without fault."""
        good: NDArray[np.bool_] = (self.fixed | (self.position < AT_END)) & (self.code == 0)
        return good


class LossMonitors(Looking):
    """Loss monitors. `plant` section: trip_rate (1/s), from which it is not good for beam."""

    quantities = (("rate", "1/s"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "high_voltage": Fault(1, "the tube has no voltage; it counts nothing"),
        "noise": Fault(0, "it counts without beam", Effect.TRIP),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.highest = self.parameter("trip_rate", np.inf)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Counts from all that is lost nearby, and a background."""
        picture, rows = world.picture, self.rows(world)
        near = picture.near[rows] @ picture.lost if len(picture.near) else np.zeros(self.count)
        mean = PER_LOST * np.where(rows >= 0, near, 0.0) + BACKGROUND + 3.0 * self.highest * self.has("noise")
        rate = np.maximum(mean * (1.0 + 0.02 * world.rng.standard_normal(self.count)), 0.0)
        self.values[:, 0] = np.where(self.has("high_voltage"), 0.0, rate)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Counting, and below the rate of a trip."""
        good: NDArray[np.bool_] = (self.values[:, 0] < self.highest) & (self.code == 0)
        return good


class Transformers(Family):
    """Current transformers. `plant` section: full_scale_ma, role (ring, injector, cyclotron)."""

    quantities = (("current", "mA"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "blind": Fault(1, "it reads nothing"),
        "offset": Fault(0, "it reads a twentieth of full scale too much"),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.scale = self.parameter("full_scale_ma", 20.0)
        self.roles = [str(device.plant.get("role", "ring")) for device in devices]

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """A nominal fill of the ring gives 0.6 of full scale."""
        passing = world.phase.name == "INJECTION"
        current = np.empty(self.count)
        for i, role in enumerate(self.roles):
            if role == "injector":
                current[i] = NOMINAL_MA[role] * world.intensity * passing
            elif role == "cyclotron":
                current[i] = NOMINAL_MA[role] * world.intensity
            else:
                current[i] = 0.6 * self.scale[i] * world.charge
        noise = 1e-4 * world.rng.standard_normal(self.count) + 0.05 * self.has("offset")
        self.values[:, 0] = np.where(self.code > 0, np.nan, current + self.scale * noise)
