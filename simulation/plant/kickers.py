"""Kicker supplies: a capacitor that is charged, and discharged through the magnet once a cycle."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from common.site import Device
from simulation.plant.family import Effect, Fault
from simulation.plant.switched import Switched
from simulation.plant.world import World
from timing.cycle import Phase

NEAR = 0.01
"""Relative distance from the setpoint within which a kicker counts as charged."""
LEFT = 0.2
"""Part of its voltage that a pulse leaves."""
FIRES: Mapping[str, Phase] = {"injection": Phase.INJECTION, "abort": Phase.RAMP_DOWN}
"""Role -> phase at whose beginning it fires; the others wait for a trip."""


class Kickers(Switched):
    """`plant` section: nominal_kv, charge_s, length_us, role (injection, abort, fast-off)."""

    quantities = (("voltage", "kV"), ("setpoint", "kV"), ("on", ""), ("pulses", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "charging": Fault(1, "the charging supply has tripped"),
        "switch": Fault(2, "the discharge switch has fired by itself; the supply is off"),
        "interlock": Fault(3, "an interlock has switched the supply off"),
        "misfire": Fault(0, "it does not fire when it is told to", Effect.BEAM),
        "leak": Fault(0, "the capacitor leaks: the voltage stays a tenth too low", Effect.BEAM),
    }
    retained = ("on", "setpoint", "pulses")
    settable = (("setpoint", "voltage"), "voltage")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("nominal_kv", 20.0)
        self.setpoint = self.nominal.copy()
        self.lag = self.parameter("charge_s", 0.05) / 4.0
        self.voltage = np.zeros(self.count)
        self.pulses = np.zeros(self.count)
        self.roles = np.array([str(device.plant.get("role", "")) for device in devices])
        self._phase = Phase.IDLE

    def step(self, dt: float, world: World) -> None:
        """Charge in beam time; fire where the cycle enters the phase of the role."""
        self.trip()
        span = dt * world.clock_factor
        ready = np.abs(self.voltage - self.nominal) < NEAR * self.nominal
        inject = self.roles == "injection"
        if world.phase is not self._phase:
            self._fire(world, ready & inject)
        goal = np.where(self.on, self.setpoint * (1.0 - 0.1 * self.has("leak")), 0.0)
        self.voltage += (goal - self.voltage) * -np.expm1(-span / self.lag)
        noise = 1.0 + 5e-4 * world.rng.standard_normal(self.count)
        self.values[:, 0], self.values[:, 1] = self.voltage * noise, self.setpoint
        self.values[:, 2], self.values[:, 3] = self.on, self.pulses

    def _fire(self, world: World, ready: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        self._phase = world.phase
        inject = self.roles == "injection"
        due = np.array([FIRES.get(role) is world.phase for role in self.roles], dtype=np.bool_)
        due &= self.on & ~self.has("misfire")
        if world.phase is Phase.INJECTION and inject.any():
            world.bumped = float(np.mean((ready & due)[inject]) == 1.0)
        self.voltage[due] *= LEFT
        self.pulses[due] += 1.0
