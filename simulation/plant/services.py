"""Cooling water, the ring's current transformer, and the air of the room."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Family, Fault
from simulation.plant.world import World
from timing.cycle import Phase

HEAT_CAPACITY = 4.186 / 60.0
"""kW that warm a flow of 1 l/min of water by 1 K."""
INJECTION_S = 0.3
SPILL_S = 5.0
"""Beam time in which the ring fills, and empties on a flat-top (machine.md: spill of 5 s for protons)."""


class Water(Family):
    """Cooling circuits: outlet temperature from flow and the magnets' heat.

    `plant` section: flow_l_min, inlet_c, heat_share (part of the magnets' heat), volume_s (thermal lag).
    pump: the flow runs out; chiller: warm inlet; resin: conductivity rises.
    """

    quantities = (
        ("flow", "l/min"),
        ("temperature", "degC"),
        ("pressure", "bar"),
        ("conductivity", "uS/cm"),
    )
    faults: ClassVar[Mapping[str, Fault]] = {
        "pump": Fault(1, "the flow runs out"),
        "chiller": Fault(2, "the inlet is warm"),
        "resin": Fault(3, "the conductivity rises"),
    }
    latching = True

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("flow_l_min", 100.0)
        self.inlet = self.parameter("inlet_c", 22.0)
        self.share = self.parameter("heat_share", 0.25)
        self.lag = self.parameter("volume_s", 20.0)
        self.flow = self.nominal.copy()
        self.temperature = self.inlet.copy()
        self.conductivity = np.full(self.count, 0.3)
        watched = ("flow", "temperature", "conductivity")
        self._lowest = np.array([self.limit(key, 0, -np.inf) for key in watched])
        self._highest = np.array([self.limit(key, 1, np.inf) for key in watched])
        self._within: NDArray[np.bool_] = np.ones(self.count, dtype=np.bool_)

    def step(self, dt: float, world: World) -> None:
        """First-order lags towards the steady state of the present heat and flow."""
        self.flow += (np.where(self.has("pump"), 0.0, self.nominal) - self.flow) * -np.expm1(-dt / 2.0)
        rise = self.share * world.heat_kw / (np.maximum(self.flow, 1.0) * HEAT_CAPACITY)
        steady = self.inlet + 20.0 * self.has("chiller") + np.minimum(rise, 70.0)
        self.temperature += (steady - self.temperature) * -np.expm1(-dt / self.lag)
        salt = np.where(self.has("resin"), 3.0, 0.3)
        self.conductivity += (salt - self.conductivity) * -np.expm1(-dt / 30.0)
        noise = 1.0 + 0.002 * world.rng.standard_normal((4, self.count))
        pressure = 6.0 * (self.flow / self.nominal) ** 2
        rows = (self.flow, self.temperature, pressure, self.conductivity)
        self.values[:, :4] = (np.array(rows) * noise).T
        shown = np.array([self.flow, self.temperature, self.conductivity])
        self._within = np.all((shown >= self._lowest) & (shown <= self._highest), axis=0)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Within limits and without fault."""
        good: NDArray[np.bool_] = self._within & (self.code == 0)
        return good

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Reset."""
        if verb == "reset":
            self.reset(i)
        else:
            super().do(verb, i, body)


class Transformers(Family):
    """DC current transformers of the ring: fill at injection, hold, empty in the spill, dump at the end.

    `plant` section: full_scale_ma. blind: reads nothing.
    """

    quantities = (("current", "mA"),)
    faults: ClassVar[Mapping[str, Fault]] = {"blind": Fault(1, "it reads nothing")}

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.scale = self.parameter("full_scale_ma", 20.0)
        self.charge = 0.0
        """Charge in the ring relative to a nominal fill."""

    def step(self, dt: float, world: World) -> None:
        """Charge follows the phase; the ring holds nothing in phases without beam."""
        span = dt * world.clock_factor
        if world.phase is Phase.INJECTION:
            self.charge = min(self.charge + span / INJECTION_S, 1.0)
        elif world.phase is Phase.FLAT_TOP:
            self.charge = max(self.charge - span / SPILL_S, 0.05)
        elif world.phase is not Phase.RAMP:
            self.charge = 0.0
        current = 0.6 * self.scale * self.charge * world.intensity
        shown = current + 1e-4 * self.scale * world.rng.standard_normal(self.count)
        self.values[:, 0] = np.where(self.code > 0, np.nan, shown)


class Environment(Family):
    """The room's air, slowly drifting; read over its own instrument lines, not in the block.

    `plant` section: temperature_c, pressure_hpa, swing (1: as in a day, 0: still air). heating: 5 K warmer.
    """

    quantities = (("temperature", "degC"), ("pressure", "hPa"))
    elsewhere = True
    faults: ClassVar[Mapping[str, Fault]] = {"heating": Fault(0, "the air of the room is 5 K too warm")}

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.base = np.array(
            [self.parameter("temperature_c", 22.0), self.parameter("pressure_hpa", 1010.0)]
        ).T
        self.swing = np.asarray(self.parameter("swing", 1.0))

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Swing by 0.1 K in half an hour and by 0.3 hPa in an hour."""
        swing = np.array(
            [0.1 * np.sin(world.seconds * 2 * np.pi / 1800.0), 0.3 * np.sin(world.seconds / 573.0)]
        )
        self.values[:, :2] = self.base + np.outer(self.swing, swing)
        self.values[:, 0] += 5.0 * self.has("heating")
