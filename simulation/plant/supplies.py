"""Magnet power supplies: V = R I + L dI/dt, ramp limit, ripple, trips, and the waveform of the cycle."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Family, Fault, Floats, setting
from simulation.plant.world import World
from timing.cycle import Phase

LOOP_S = 0.005
"""Time constant of the current regulation."""
REGULATION_ERROR = 0.01
DRIFT_ERROR = 7e-4
"""Relative errors of current: a supply that lost regulation, and one that drifts unnoticed."""
TOLERANCE = 1e-3
"""Relative error of current within which a magnet stands at its energy."""
READ_NOISE = 2e-6


class Supplies(Family):
    """`plant` section: resistance_ohm, inductance_h, ramp_a_s, ripple, role (ring, transport), ampere_per_tm.

    overcurrent, overtemperature, interlock switch the supply off; regulation leaves it on with a wrong
    current; communication blinds its readings; drift is an error of current that nobody reports.
    """

    quantities = (("current", "A"), ("voltage", "V"), ("setpoint", "A"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "overcurrent": Fault(1, "the current passes its limit; the supply switches off"),
        "overtemperature": Fault(2, "the supply is too hot and switches off"),
        "regulation": Fault(3, "the current is off by a percent"),
        "interlock": Fault(4, "an interlock of the magnet has switched the supply off"),
        "communication": Fault(5, "the supply does not answer; its readings are unknown"),
        "drift": Fault(0, "the current drifts and nothing reports it"),
    }
    latching = True
    retained = ("on", "setpoint")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.resistance = self.parameter("resistance_ohm", 0.1)
        self.inductance = self.parameter("inductance_h", 0.01)
        self.ramp = self.parameter("ramp_a_s", 1000.0)
        self.ripple = self.parameter("ripple", 1e-5)
        self.per_tm = self.parameter("ampere_per_tm", 0.0)
        self.ring = np.array([device.plant.get("role") == "ring" for device in devices], dtype=np.bool_)
        self.highest = self.limit("current", 1, np.inf)
        bends = (i for i, device in enumerate(devices) if self.ring[i] and "dipole" in device.wire)
        self.bend = next(bends, None)
        """The ring supply that decides the energy."""
        self.on = np.zeros(self.count, dtype=np.bool_)
        self.setpoint: Floats = np.zeros(self.count)
        self.reference: Floats = np.zeros(self.count)
        self.current: Floats = np.zeros(self.count)
        """Mean current without ripple."""

    def follow(self, world: World) -> None:
        """A phase of the cycle begins: setpoints as the beam catalogue has them for its rigidity."""
        if world.phase is Phase.IDLE:
            return
        rho = np.where(self.ring, world.ring_rho, world.rho)
        self.setpoint = np.where(self.per_tm > 0, np.minimum(rho * self.per_tm, self.highest), self.setpoint)

    def step(self, dt: float, world: World) -> None:
        """Currents follow in beam time: wall time x clock factor."""
        span = dt * world.clock_factor
        self.reference += np.clip(self.setpoint - self.reference, -self.ramp * span, self.ramp * span)
        error = REGULATION_ERROR * self.has("regulation") + DRIFT_ERROR * self.has("drift")
        driven = np.where(self.on, self.reference * (1.0 + error), 0.0)
        # A supply that is off short-circuits its magnet: the current decays with L / R.
        lag = np.where(self.on, LOOP_S, self.inductance / self.resistance)
        before = self.current
        after = driven + (before - driven) * np.exp(-span / lag)
        self.current = np.where(np.abs(after - driven) < 1e-9 * (1.0 + np.abs(driven)), driven, after)
        self.reference = np.where(self.on, self.reference, self.current)
        if self.bend is not None:
            world.rho_now = float(self.current[self.bend] / self.per_tm[self.bend])
        self._watch(dt, before, world)

    def _watch(self, dt: float, before: Floats, world: World) -> None:
        span = dt * world.clock_factor
        noise = world.rng.standard_normal((2, self.count))
        rippled = self.current * (1.0 + self.ripple * noise[0])
        over = self.current > 1.02 * self.highest
        for i in np.flatnonzero(over & (self.code == 0)):
            self.code[i] = self.faults["overcurrent"].code
        self.on &= ~np.isin(self.code, (1, 2, 4))
        blind = self.has("communication")
        voltage = self.resistance * rippled + self.inductance * (self.current - before) / span
        self.values[:, 0] = np.where(blind, np.nan, rippled * (1.0 + READ_NOISE * noise[1]))
        self.values[:, 1] = np.where(blind, np.nan, np.where(self.on, voltage, 0.0))
        self.values[:, 2], self.values[:, 3] = self.setpoint, self.on
        world.heat_kw = float(np.sum(self.resistance * self.current**2)) / 1000.0

    @property
    def good(self) -> NDArray[np.bool_]:
        """On and without fault."""
        good: NDArray[np.bool_] = self.on & (self.code == 0)
        return good

    def shut_down(self) -> None:
        """Power off."""
        self.on[:] = False

    def errors(self, world: World) -> Floats:
        """Relative error of each magnet's mean current from the catalogue at the cycle's energy, (n,)."""
        wanted = np.where(self.ring, world.ring_rho, world.rho) * self.per_tm
        return np.divide(self.current - wanted, wanted, out=np.zeros(self.count), where=wanted > 0)

    def standing(self, world: World) -> bool:
        """Whether every magnet stands at the cycle's energy within tolerance."""
        used: NDArray[np.bool_] = self.per_tm > 0
        return bool(self.on.all() and np.all(np.abs(self.errors(world)[used]) < TOLERANCE))

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Set (setpoint, A), on, off, reset."""
        device = self.devices[i]
        if verb == "set":
            self.setpoint[i] = setting(device, ("setpoint", "current"), "current", body)
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
