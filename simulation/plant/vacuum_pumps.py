"""Ion pumps and turbo pumps: how fast they pump at which pressure, and what they show."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Family, Fault, Floats
from simulation.plant.switched import Switched
from simulation.plant.vacuum import Gauges
from simulation.plant.world import World

ION_MICROAMPERE = 1e7
"""Current per pressure and speed, uA/(mbar l/s): a pump of 100 l/s draws 1 mA at 1e-6 mbar."""
ION_START_MBAR = 1e-4
"""Pressure above which the discharge of an ion pump is a glow that pumps nothing."""
ROUGH_L_S = 5.0
ROUGH_LAST_MBAR = 1e-3
"""Speed and last pressure of the fore pump that stands behind a turbo pump."""


class Pumps(Switched):
    """`plant` section: volume, speed_l_s. Pumps run at the plant's start and stay on over a shut-down."""

    period_s = 0.05
    capacity: ClassVar[float]

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("speed_l_s", self.capacity)
        self.place: NDArray[np.intp] = np.zeros(self.count, dtype=np.intp)
        """Volume of each pump in the network; the gauges' family fills it in."""
        self.on[:] = True
        self._gauges: Gauges | None = None

    def connect(self, families: Mapping[str, Family]) -> None:
        """The network belongs to the gauges."""
        self._gauges = cast(Gauges, families["VacuumGauge"])

    def pressure(self) -> Floats:
        """Pressure in mbar at each pump, (n,)."""
        return np.full(self.count, np.nan) if self._gauges is None else self._network_pressure(self._gauges)

    def _network_pressure(self, gauges: Gauges) -> Floats:
        return gauges.network.pressure[self.place]

    def shut_down(self) -> None:
        """Vacuum is kept over night."""


class IonPumps(Pumps):
    """Ion getter pumps. They trip above the pressure where their discharge would melt them."""

    quantities = (("voltage", "kV"), ("current", "uA"), ("pressure", "mbar"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "overload": Fault(1, "the pressure is too high for the pump; it switches off"),
        "high_voltage": Fault(2, "the high-voltage supply has failed; the pump is off"),
        "leakage": Fault(0, "whiskers draw a leakage current; the pressure reads too high"),
        "frozen": Fault(0, "the current reading stays where it is"),
    }
    capacity = 100.0

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.kv = self.parameter("nominal_kv", 5.0)

    def speed(self, pressure: Floats) -> Floats:
        """Speed in l/s: full around 1e-6 mbar, halved at 1e-10 mbar."""
        shape = (pressure + 2e-12) / (pressure + 1.02e-10)
        return np.where(self.on & (pressure < ION_START_MBAR), self.nominal * shape, 0.0)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Trip on pressure, then show current and the pressure that it stands for."""
        pressure = self.pressure()
        self.code = np.where(
            self.on & (pressure > ION_START_MBAR) & (self.code == 0), self.faults["overload"].code, self.code
        )
        self.trip()
        drawn = ION_MICROAMPERE * self.nominal * np.minimum(pressure, ION_START_MBAR)
        noise = 1.0 + 0.01 * world.rng.standard_normal(self.count)
        current = np.where(self.on, drawn * noise + 0.05 + 20.0 * self.has("leakage"), 0.0)
        self.values[:, 0] = np.where(self.on, self.kv, 0.0)
        self.values[:, 1] = np.where(self.has("frozen"), self.values[:, 1], current)
        shown = self.values[:, 1] / (ION_MICROAMPERE * self.nominal)
        self.values[:, 2] = np.where(self.on, shown, np.nan)
        self.values[:, 3] = self.on


class TurboPumps(Pumps):
    """Turbo molecular pumps with their fore pump. `plant` section: nominal_hz, run_up_s.

    Molecular flow is pumped by the turning rotor, in proportion to its speed; air is pumped by the fore pump.
    """

    quantities = (("speed", "Hz"), ("current", "A"), ("temperature", "degC"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "bearing": Fault(1, "the bearing is worn; the rotor runs down"),
        "overtemperature": Fault(2, "the motor is too hot; the rotor runs down"),
        "controller": Fault(3, "the frequency converter has failed; the rotor runs down"),
        "speed_sensor": Fault(0, "the speed reading stays where it is"),
    }
    capacity = 300.0

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.hertz = self.parameter("nominal_hz", 1000.0)
        self.lag = self.parameter("run_up_s", 60.0) / 3.0
        self.turning = np.ones(self.count)
        """Speed of the rotor relative to nominal."""
        self.temperature = np.full(self.count, 30.0)

    def speed(self, pressure: Floats) -> Floats:
        """Speed in l/s of rotor and fore pump together."""
        molecular = self.nominal * self.turning / (1.0 + (pressure / 0.02) ** 2)
        rough = ROUGH_L_S * np.maximum(1.0 - ROUGH_LAST_MBAR / np.maximum(pressure, 1e-15), 0.0)
        return molecular + np.where(self.on, rough, 0.0)

    def step(self, dt: float, world: World) -> None:
        """The rotor is slowed by gas; motor current and temperature follow its load."""
        self.trip()
        load = np.minimum(self.pressure(), 10.0)
        goal = np.where(self.on, 1.0 / (1.0 + load), 0.0)
        self.turning += (goal - self.turning) * -np.expm1(-dt / np.where(self.on, self.lag, 5 * self.lag))
        current = np.where(self.on, 0.4 + 4.0 * (1.0 - self.turning) + load, 0.0)
        warm = 24.0 + 8.0 * current + 60.0 * self.has("overtemperature")
        self.temperature += (warm - self.temperature) * -np.expm1(-dt / 60.0)
        noise = 1.0 + 0.002 * world.rng.standard_normal((2, self.count))
        turning = self.hertz * self.turning
        self.values[:, 0] = np.where(self.has("speed_sensor"), self.values[:, 0], turning)
        self.values[:, 1], self.values[:, 2] = current * noise[0], self.temperature * noise[1]
        self.values[:, 3] = self.on

    def recall(self, i: int, memory: Mapping[str, Any]) -> None:
        """A pump that was on has been turning."""
        super().recall(i, memory)
        self.turning[i] = float(self.on[i])

    @property
    def good(self) -> NDArray[np.bool_]:
        """On, without fault and at least at four fifths of the nominal speed."""
        good: NDArray[np.bool_] = super().good & (self.values[:, 0] > 0.8 * self.hertz)
        return good
