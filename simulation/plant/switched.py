"""What equipment that is switched has in common: on, off, reset, and faults that switch it off."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Family, setting
from simulation.plant.world import World


class Switched(Family):
    """Equipment with `on`. A fault code latches and refuses `on` until it is reset.

    setting: (names in a `set` request, name of the limit) of the array `setpoint`; None: nothing to set.
    tripping: codes that switch the device off; None: every code.
    """

    latching = True
    retained: ClassVar[tuple[str, ...]] = ("on",)
    settable: ClassVar[tuple[tuple[str, ...], str] | None] = None
    tripping: ClassVar[frozenset[int] | None] = None

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.on = np.zeros(self.count, dtype=np.bool_)
        self.setpoint = np.zeros(self.count)

    def trip(self) -> None:
        """Switch off what has a fault that does not let it run."""
        if self.tripping is None:
            self.on &= self.code == 0
        elif self.code.any():
            self.on &= ~np.isin(self.code, list(self.tripping))

    @property
    def good(self) -> NDArray[np.bool_]:
        """On and without fault."""
        good: NDArray[np.bool_] = self.on & (self.code == 0)
        return good

    def shut_down(self) -> None:
        """Power off."""
        self.on[:] = False

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """on, off, reset, and set where there is something to set."""
        device = self.devices[i]
        if verb == "set" and self.settable is not None:
            self.setpoint[i] = setting(device, self.settable[0], self.settable[1], body)
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


class Rising(Switched):
    """A value that rises to its setpoint once on. `plant` section: nominal (first setpoint), rise_s (10
    % to 90 %).
    """

    quantity: ClassVar[str]
    noise: ClassVar[float]
    retained: ClassVar[tuple[str, ...]] = ("on", "setpoint")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("nominal", 1.0)
        self.setpoint = self.nominal.copy()
        self.lag = self.parameter("rise_s", 0.5) / np.log(9.0)
        self.level = np.zeros(self.count)

    def rise(self, dt: float, allowed: NDArray[np.bool_] | None = None) -> None:
        """Let the level move towards the setpoint where the device is on (and `allowed`), else to nothing."""
        self.trip()
        goal = np.where(self.on if allowed is None else self.on & allowed, self.setpoint, 0.0)
        self.level += (goal - self.level) * -np.expm1(-dt / self.lag)

    def noisy(self, level: NDArray[np.float64], world: World) -> NDArray[np.float64]:
        """A reading of a level, (n,)."""
        return level * (1.0 + self.noise * world.rng.standard_normal(self.count))

    @property
    def good(self) -> NDArray[np.bool_]:
        """On, without fault, and within 2 % of the setpoint, which is at least half the nominal."""
        near = np.abs(self.level - self.setpoint) < 0.02 * self.nominal
        good: NDArray[np.bool_] = self.on & near & (self.level > 0.45 * self.nominal) & (self.code == 0)
        return good
