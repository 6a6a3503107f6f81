"""Cooling circuits: flow from their pump, heat of what they cool, temperature with a lag, purity of the
water.

A circuit's pressure drop is k q^2 with its nominal flow at the nominal head. Circuits on one pump share its
head: see `water_supply`. Outlet temperature follows inlet + P / (q c) (1 l/min takes 4.186 / 60 kW per K).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Effect, Family, Fault, Floats
from simulation.plant.water_supply import Chillers, WaterPumps
from simulation.plant.world import World

HEAT_CAPACITY = 4.186 / 60.0
"""kW that warm a flow of 1 l/min of water by 1 K."""
LEAST_L_MIN = 1.0
HOTTEST_K = 70.0
HEAD_BAR = 6.0
PURE, IMPURE = 0.3, 3.0
"""Conductivity in uS/cm that the water settles at with and without its resin."""


class Water(Family):
    """`plant` section: pump, chiller (wires), flow_l_min, inlet_c, volume_s, and cools [role, ...] or
    heat_share.

    A circuit without a pump or a chiller among the devices has its own, which faults `pump` and `chiller`
    stop.
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
        "blocked": Fault(0, "a filter is clogged; the flow falls by half", Effect.SLOW),
        "flow_meter": Fault(0, "the flow reading stays where it is"),
    }
    latching = True
    period_s = 0.05

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("flow_l_min", 100.0)
        self.inlet = self.parameter("inlet_c", 22.0)
        self.share = self.parameter("heat_share", 0.25)
        self.lag = self.parameter("volume_s", 20.0)
        self.cools = [tuple(map(str, device.plant.get("cools", ()))) for device in self.devices]
        self.flow = self.nominal.copy()
        self.head = np.full(self.count, HEAD_BAR)
        self.temperature = self.inlet.copy()
        self.conductivity = np.full(self.count, PURE)
        self.heat: Floats = np.zeros(self.count)
        self.valve: Floats = np.ones(self.count)
        """How far each circuit is open: 1 as built."""
        watched = ("flow", "temperature", "conductivity")
        self._lowest = np.array([self.limit(key, 0, -np.inf) for key in watched])
        self._highest = np.array([self.limit(key, 1, np.inf) for key in watched])
        self._within: NDArray[np.bool_] = np.ones(self.count, dtype=np.bool_)
        roles = sorted({role for names in self.cools for role in names})
        self._roles = {role: np.array([role in names for names in self.cools]) for role in roles}
        self._pumps: WaterPumps | None = None
        self._chillers: Chillers | None = None

    def connect(self, families: Mapping[str, Family]) -> None:
        """Pumps and chillers that feed the circuits."""
        self._pumps = cast(WaterPumps, families["WaterPump"])
        self._chillers = cast(Chillers, families["Chiller"])
        self._pumps.feed([str(device.plant.get("pump", "")) for device in self.devices], self.nominal)
        self._chillers.feed([str(device.plant.get("chiller", "")) for device in self.devices])

    def step(self, dt: float, world: World) -> None:
        """First-order lags towards the steady state of the present heat and flow."""
        self.valve = np.where(self.has("blocked"), 0.5, 1.0)
        own = np.where(self.has("pump"), 0.0, self.nominal * self.valve)
        wanted, self.head = own, HEAD_BAR * (own / self.nominal) ** 2
        if self._pumps is not None and self._pumps.count:
            wanted, self.head = self._pumps.share_out(self.valve, own, self.has("pump"))
        self.flow += (wanted - self.flow) * -np.expm1(-dt / 2.0)
        self.heat = self._heat(world)
        inlet = self.inlet if self._chillers is None else self._chillers.inlet(self.inlet, self.heat)
        rise = self.heat / (np.maximum(self.flow, LEAST_L_MIN) * HEAT_CAPACITY)
        steady = inlet + 20.0 * self.has("chiller") + np.minimum(rise, HOTTEST_K)
        self.temperature += (steady - self.temperature) * -np.expm1(-dt / self.lag)
        salt = np.where(self.has("resin"), IMPURE, PURE)
        self.conductivity += (salt - self.conductivity) * -np.expm1(-dt / 30.0)
        self._show(world)

    def _heat(self, world: World) -> Floats:
        """KW of each circuit: its part of its roles' heat, by nominal flow; or its share of the magnets'."""
        heat = np.where([not names for names in self.cools], self.share * world.heat_kw, 0.0)
        for role, mine in self._roles.items():
            part = mine * self.nominal / np.sum(mine * self.nominal)
            heat = heat + part * world.heat.get(role, 0.0)
            world.cooling[role] = float(np.sum(part * self.flow / self.nominal))
        return heat

    def _show(self, world: World) -> None:
        noise = 1.0 + 0.002 * world.rng.standard_normal((4, self.count))
        pressure = self.head + 0.5 * (self.flow > LEAST_L_MIN)
        rows = np.array((self.flow, self.temperature, pressure, self.conductivity)) * noise
        rows[0] = np.where(self.has("flow_meter"), self.values[:, 0], rows[0])
        self.values[:, :4] = rows.T
        shown = rows[[0, 1, 3]]
        slack = 0.01 * np.abs(shown)
        self._within = np.all((shown + slack >= self._lowest) & (shown - slack <= self._highest), axis=0)

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
