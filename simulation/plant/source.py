"""Ion sources, the high voltage that extracts their beam, and the foils that strip it at injection."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Effect, Family, Fault, setting
from simulation.plant.switched import Rising
from simulation.plant.world import World
from timing.cycle import Phase

SOURCE_PERIOD_S = 0.02
"""One for all three: sources set the intensity, high voltage and foil then take their part of it."""
SPARK_S = 0.1
"""Time that a high-voltage supply needs to recover after a spark."""
SPARKS_TO_TRIP = 3
SPARK_MEMORY_S = 10.0


class Sources(Rising):
    """ECR ion sources. `plant` section: ion (proton, helium, carbon; none: whichever is asked for).

    The beam's intensity is that of the sources of the ion in use, the weakest of them.
    """

    quantities = (("current", "uA"), ("setpoint", "uA"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "extinction": Fault(1, "the plasma goes out"),
        "high_voltage": Fault(2, "the extraction voltage trips"),
        "gas": Fault(0, "the gas flow is wrong; the current is a third too low and unsteady", Effect.BEAM),
        "frozen": Fault(0, "the current reading stays where it is"),
    }
    quantity, noise = "current", 0.003
    settable = (("setpoint", "current"), "current")
    period_s = SOURCE_PERIOD_S

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.ion = [str(device.plant.get("ion", "")) for device in self.devices]

    def step(self, dt: float, world: World) -> None:
        """Plasma rises; what comes out depends on the gas too."""
        self.rise(dt)
        starved = self.has("gas")
        unsteady = 1.0 + 0.2 * starved * world.rng.standard_normal(self.count)
        beam = self.level * np.where(starved, 0.67, 1.0) * np.maximum(unsteady, 0.0)
        shown = self.noisy(beam, world)
        self.values[:, 0] = np.where(self.has("frozen"), self.values[:, 0], shown)
        self.values[:, 1], self.values[:, 2] = self.setpoint, self.on
        used = [i for i, ion in enumerate(self.ion) if ion in ("", world.ion)]
        world.intensity = float(np.min((beam / self.nominal)[used])) if used else 0.0
        world.heat["source"] = 2.0 * float(self.on.sum())


class HighVoltage(Rising):
    """High-voltage platforms. A spark takes the voltage down for a moment; several in a row trip the supply.

    `plant` section: sparks_per_hour (of a healthy supply), limit_ma.
    """

    quantities = (("voltage", "kV"), ("setpoint", "kV"), ("current", "mA"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "sparks": Fault(1, "sparks follow each other; the supply switches off"),
        "overcurrent": Fault(2, "the load draws too much; the supply switches off"),
        "divider": Fault(0, "the voltage divider reads two percent too little"),
        "sparking": Fault(0, "the insulator is dirty: two sparks a second", Effect.SLOW),
    }
    quantity, noise = "voltage", 2e-4
    settable = (("setpoint", "voltage"), "voltage")
    period_s = SOURCE_PERIOD_S

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.rate = self.parameter("sparks_per_hour", 0.0) / 3600.0
        self.recover = np.zeros(self.count)
        self.recent = np.zeros(self.count)
        """Sparks of late, forgotten with a time constant."""

    def step(self, dt: float, world: World) -> None:
        """Sparks come by chance."""
        rate = np.where(self.has("sparking"), 2.0, self.rate)
        sparks = self.on & (world.rng.random(self.count) < -np.expm1(-rate * dt))
        self.recent = self.recent * np.exp(-dt / SPARK_MEMORY_S) + sparks
        many = (self.recent > SPARKS_TO_TRIP) & (self.code == 0)
        self.code = np.where(many, self.faults["sparks"].code, self.code)
        self.recover = np.where(sparks, SPARK_S, np.maximum(self.recover - dt, 0.0))
        self.level = np.where(sparks, 0.0, self.level)
        self.rise(dt, self.recover == 0)
        shown = self.noisy(self.level, world)
        load = self.level / self.nominal
        self.values[:, 0] = shown * np.where(self.has("divider"), 0.98, 1.0)
        self.values[:, 1], self.values[:, 2], self.values[:, 3] = self.setpoint, load, self.on
        world.intensity *= float(np.min(np.clip(load, 0.0, 1.0)))

    def reset(self, i: int) -> None:
        """Clear the code, and forget the sparks."""
        super().reset(i)
        self.recent[i] = 0.0


class Foils(Family):
    """Stripper foils on a wheel. `plant` section: foils (how many), life_mah, beam_ua (mean current of
    injection).

    `position` is the foil in the beam, from 1, and between two while the wheel turns. A foil loses a tenth of
    its transmission over its life.
    """

    quantities = (("position", ""), ("used", "mAh"))
    faults: ClassVar[Mapping[str, Fault]] = {
        "broken": Fault(1, "the foil in the beam is torn; another one must be selected"),
        "stuck": Fault(2, "the wheel does not turn"),
        "position": Fault(0, "the position sensor reads half a foil too far", Effect.TRIP),
    }
    retained = ("position", "wanted", "used")
    period_s = SOURCE_PERIOD_S

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.foils = self.parameter("foils", 6.0)
        self.life = self.parameter("life_mah", 50.0)
        self.beam = self.parameter("beam_ua", 100.0)
        self.position = np.ones(self.count)
        self.wanted = np.ones(self.count)
        self.used = np.zeros((self.count, max(int(self.foils.max(initial=1.0)), 1)))
        self._torn = np.zeros_like(self.used, dtype=np.bool_)

    def step(self, dt: float, world: World) -> None:
        """Turn by one foil a second, and wear while beam is injected."""
        reach = np.where(self.has("stuck"), 0.0, dt)
        self.position += np.clip(self.wanted - self.position, -reach, reach)
        rows, here = np.arange(self.count), np.rint(self.position).astype(np.intp) - 1
        if world.phase is Phase.INJECTION:
            hours = dt * world.clock_factor / 3600.0
            self.used[rows, here] += self.beam / 1000.0 * world.intensity * hours
        self._torn[rows, here] |= self.has("broken")
        torn = self._torn[rows, here]
        self.code = np.where(torn, 1.0, np.where(self.has("stuck"), 2.0, 0.0))
        worn = 1.0 - 0.1 * np.minimum(self.used[rows, here] / self.life, 2.0)
        through = np.where(torn | (self.position != self.wanted), 0.0, worn)
        self.values[:, 0] = self.position + 0.5 * self.has("position")
        self.values[:, 1] = self.used[rows, here]
        world.intensity *= float(np.min(through))

    @property
    def good(self) -> NDArray[np.bool_]:
        """A whole foil stands where it is wanted."""
        good: NDArray[np.bool_] = (self.code == 0) & (self.values[:, 0] == self.wanted)
        return good

    def clear(self, i: int, kind: str | None) -> None:
        """Clearing `broken` puts a new foil into the place."""
        super().clear(i, kind)
        if kind in (None, "broken"):
            self._torn[i], self.used[i] = False, np.where(self._torn[i], 0.0, self.used[i])

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Set position: another foil."""
        if verb != "set":
            super().do(verb, i, body)
            return
        device = self.devices[i]
        value = setting(device, ("position",), "position", body)
        if value != round(value) or not 1 <= value <= self.foils[i]:
            raise Refused(
                _("{device}: there is no foil {value:g}: allowed are 1 to {count:g}").format(
                    device=device.wire, value=value, count=self.foils[i]
                )
            )
        self.wanted[i] = value
