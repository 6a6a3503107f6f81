"""Water pumps with their characteristic, and chillers that hold the temperature of the water they give.

A pump at relative speed n gives H = H_n (1.25 n^2 - 0.25 (Q / Q_n)^2). Its circuits together draw
Q = Q_n g sqrt(H / H_n), where g is 1 with every circuit open; so H = H_n 1.25 n^2 / (1 + 0.25 g^2).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Effect, Fault, Floats
from simulation.plant.switched import Switched
from simulation.plant.world import World

SHUT_OFF = 1.25
"""Head at no flow relative to nominal."""
TANK_KJ_PER_K = 4.186 * 1000.0
"""Heat capacity of a chiller's tank of 1000 l."""
CONTROL_S = 120.0
"""Time constant with which a chiller's control takes the water to its set point."""
ROOM_C = 25.0


class WaterPumps(Switched):
    """`plant` section: head_bar, flow_l_min (of all its circuits), nominal_rpm. Pumps run at the
    plant's start.
    """

    quantities = (("flow", "l/min"), ("pressure", "bar"), ("speed", "1/min"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "motor": Fault(1, "the motor protection has tripped; the pump runs out"),
        "dry": Fault(2, "there is no water before the pump; it switches off"),
        "seal": Fault(0, "the seal leaks; the head falls by a quarter", Effect.SLOW),
        "sensor": Fault(0, "the pressure reading stays where it is"),
    }
    elsewhere = True
    period_s = 0.05

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.head = self.parameter("head_bar", 6.0)
        self.nominal = self.parameter("flow_l_min", 100.0)
        self.rpm = self.parameter("nominal_rpm", 2900.0)
        self.on[:] = True
        self.turning = np.ones(self.count)
        self.pressure = self.head.copy()
        self.flow = self.nominal.copy()
        self._source: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._asked: Floats = np.zeros(0)

    def feed(self, wires: Sequence[str], nominal: Floats) -> None:
        """Circuits say which pump feeds them and how much they take; unknown wires feed themselves."""
        place = {device.wire: i for i, device in enumerate(self.devices)}
        self._source = np.array([place.get(wire, -1) for wire in wires], dtype=np.intp)
        self._asked = nominal
        fed = self._source >= 0
        total = np.zeros(self.count)
        np.add.at(total, self._source[fed], nominal[fed])
        self.nominal = np.where(total > 0, total, self.nominal)

    def share_out(self, valve: Floats, own: Floats, shut: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Flow in l/min and head in bar of each circuit, (circuits,).

        valve: how far each circuit is open; own: flow where no pump of this family feeds it; shut: no flow.
        """
        fed, at = self._source >= 0, self._source
        opened = np.where(shut, 0.0, valve * self._asked)
        drawn = np.zeros(self.count)
        np.add.at(drawn, at[fed], opened[fed])
        share = drawn / self.nominal
        relative = SHUT_OFF * self.turning**2 / (1.0 + (SHUT_OFF - 1.0) * share**2)
        relative = relative * np.where(self.has("seal"), 0.75, 1.0)
        self.pressure, self.flow = self.head * relative, drawn * np.sqrt(relative)
        flow = np.where(fed, opened * np.sqrt(relative[at]), own)
        return flow, np.where(fed, self.pressure[at], 6.0 * (own / self._asked) ** 2)

    def step(self, dt: float, world: World) -> None:
        """Run up and down; show what the circuits draw, or a nominal load where the site lists none."""
        self.trip()
        self.turning += (self.on - self.turning) * -np.expm1(-dt / 1.5)
        alone = ~np.isin(np.arange(self.count), self._source)
        self.pressure = np.where(alone, self.head * self.turning**2, self.pressure)
        self.flow = np.where(alone, self.nominal * self.turning, self.flow)
        noise = 1.0 + 0.003 * world.rng.standard_normal((2, self.count))
        self.values[:, 0] = self.flow * noise[0]
        self.values[:, 1] = np.where(self.has("sensor"), self.values[:, 1], self.pressure * noise[1])
        self.values[:, 2], self.values[:, 3] = self.rpm * self.turning, self.on

    @property
    def good(self) -> NDArray[np.bool_]:
        """On, up to speed, and giving at least half of its head."""
        turning = (self.turning > 0.9) & (self.values[:, 1] > 0.5 * self.head)
        good: NDArray[np.bool_] = super().good & turning
        return good

    def shut_down(self) -> None:
        """Water runs over night."""


class Chillers(Switched):
    """`plant` section: capacity_kw, nominal (first set point, degC). Chillers run at the plant's start.

    The tank takes the heat of the circuits; the compressor takes it out again, at most `capacity_kw`.
    """

    quantities = (("temperature", "degC"), ("setpoint", "degC"), ("power", "kW"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "compressor": Fault(1, "the compressor has tripped; the water warms up"),
        "low_pressure": Fault(2, "refrigerant is low; the chiller switches off"),
        "weak": Fault(0, "the condenser is dirty; half of the capacity is left", Effect.SLOW),
        "sensor": Fault(0, "the temperature reading stays where it is"),
    }
    elsewhere = True
    settable = (("setpoint", "temperature"), "temperature")
    retained: ClassVar[tuple[str, ...]] = ("on", "setpoint")
    period_s = 0.05

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.capacity = self.parameter("capacity_kw", 200.0)
        self.setpoint = self.parameter("nominal", 22.0)
        self.temperature = self.setpoint.copy()
        self.power: Floats = np.zeros(self.count)
        self.heat: Floats = np.zeros(self.count)
        self.on[:] = True
        self._source: NDArray[np.intp] = np.zeros(0, dtype=np.intp)

    def feed(self, wires: Sequence[str]) -> None:
        """Circuits say which chiller cools them; unknown wires: a constant inlet of their own."""
        place = {device.wire: i for i, device in enumerate(self.devices)}
        self._source = np.array([place.get(wire, -1) for wire in wires], dtype=np.intp)

    def inlet(self, own: Floats, heat: Floats) -> Floats:
        """Inlet temperature of each circuit in degC, given their heat in kW, (circuits,)."""
        if not self.count:
            return own
        fed = self._source >= 0
        self.heat[:] = 0.0
        np.add.at(self.heat, self._source[fed], heat[fed])
        return np.where(fed, self.temperature[self._source], own)

    def step(self, dt: float, world: World) -> None:
        """The control adds to the heat what brings the tank to its set point."""
        self.trip()
        wanted = self.heat + (self.temperature - self.setpoint) * TANK_KJ_PER_K / CONTROL_S
        most = self.capacity * np.where(self.has("weak"), 0.5, 1.0)
        self.power = np.where(self.on, np.clip(wanted, 0.0, most), 0.0)
        self.temperature += (self.heat - self.power) * dt / TANK_KJ_PER_K
        self.temperature += (ROOM_C - self.temperature) * -np.expm1(-dt / 20000.0)
        noise = 1.0 + 0.001 * world.rng.standard_normal((2, self.count))
        shown = self.temperature * noise[0]
        self.values[:, 0] = np.where(self.has("sensor"), self.values[:, 0], shown)
        self.values[:, 1], self.values[:, 2] = self.setpoint, self.power * noise[1]
        self.values[:, 3] = self.on

    @property
    def good(self) -> NDArray[np.bool_]:
        """On, without fault, and within 3 K of the set point."""
        near = np.abs(self.values[:, 0] - self.setpoint) < 3.0
        good: NDArray[np.bool_] = super().good & near
        return good

    def shut_down(self) -> None:
        """Water is kept cold over night."""
