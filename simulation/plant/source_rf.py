"""Ion sources and RF cavities: a value that rises to its setpoint once on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Family, Fault, setting
from simulation.plant.world import INJECTION_MEV, IONS, World, energy_of, rigidity


class Rising(Family):
    """`plant` section: nominal (first setpoint), rise_s (10 % to 90 %). The value is noisy by `noise`."""

    quantity: ClassVar[str]
    noise: ClassVar[float]
    latching = True
    retained = ("on", "setpoint")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("nominal", 1.0)
        self.setpoint = self.nominal.copy()
        self.lag = self.parameter("rise_s", 0.5) / np.log(9.0)
        self.on = np.zeros(self.count, dtype=np.bool_)
        self.level = np.zeros(self.count)

    def rise(self, dt: float, world: World) -> None:
        """Let the level move and write the columns that both kinds have."""
        self.on &= self.code == 0
        goal = np.where(self.on, self.setpoint, 0.0)
        self.level += (goal - self.level) * -np.expm1(-dt / self.lag)
        shown = self.level * (1.0 + self.noise * world.rng.standard_normal(self.count))
        self.values[:, 0], self.values[:, 1] = shown, self.setpoint
        self.values[:, self.column("on")] = self.on

    @property
    def good(self) -> NDArray[np.bool_]:
        """On, without fault, and within 2 % of the setpoint, which is at least half the nominal."""
        near = np.abs(self.level - self.setpoint) < 0.02 * self.nominal
        good: NDArray[np.bool_] = self.on & near & (self.level > 0.45 * self.nominal) & (self.code == 0)
        return good

    def shut_down(self) -> None:
        """Power off."""
        self.on[:] = False

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """set, on, off, reset."""
        device = self.devices[i]
        if verb == "set":
            self.setpoint[i] = setting(device, ("setpoint", self.quantity), self.quantity, body)
        elif verb == "on":
            if self.code[i]:
                raise Refused(
                    _("{device}: fault {code:.0f}; mend it and reset, then on").format(
                        device=device.wire, code=self.code[i]
                    )
                )
            self.on[i] = True
        elif verb == "off":
            self.on[i] = False
        elif verb == "reset":
            self.reset(i)
        else:
            super().do(verb, i, body)


class Sources(Rising):
    """Ion sources. extinction: the plasma goes out; high_voltage: its supply trips."""

    quantities = (("current", "uA"), ("setpoint", "uA"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "extinction": Fault(1, "the plasma goes out"),
        "high_voltage": Fault(2, "the extraction voltage trips"),
    }
    quantity, noise = "current", 0.003

    def step(self, dt: float, world: World) -> None:
        """The beam's intensity follows the weakest source."""
        self.rise(dt, world)
        world.intensity = float(np.min(self.level / self.nominal)) if self.count else 0.0


class Cavities(Rising):
    """Ring cavities; their frequency follows the beam's velocity. arc: the cavity sparks; tuner: off tune."""

    quantities = (("voltage", "kV"), ("setpoint", "kV"), ("frequency", "MHz"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "arc": Fault(1, "the cavity sparks and switches off"),
        "tuner": Fault(2, "the tuner has lost the resonance"),
    }
    quantity, noise = "voltage", 0.001

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.length = self.parameter("circumference_m", 24.0)

    def step(self, dt: float, world: World) -> None:
        """Frequency = beta c / circumference at the ring's present energy."""
        self.rise(dt, world)
        injection = rigidity(world.ion, INJECTION_MEV)
        energy = energy_of(world.ion, max(world.rho_now, injection))
        gamma = 1.0 + energy / IONS[world.ion][2]
        beta = np.sqrt(1.0 - gamma**-2)
        self.values[:, 2] = np.where(self.on, beta * 299.792458 / self.length, 0.0)
