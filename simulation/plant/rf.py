"""Radio frequency: cavities that fill, the amplifiers that feed them, and the knock-out that extracts the
beam.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Effect, Family, Fault, Floats, setting
from simulation.plant.switched import Rising, Switched
from simulation.plant.world import INJECTION_MEV, IONS, World, energy_of, rigidity
from timing.cycle import Phase

DETUNED = np.deg2rad(50.0)
"""Detuning angle psi of a cavity whose tuner fails: its voltage falls by cos(psi)."""
PROGRAM = {Phase.INJECTION: 0.5, Phase.RAMP: 1.0, Phase.FLAT_TOP: 0.7, Phase.RAMP_DOWN: 0.5}
"""Voltage of a ring cavity relative to its setpoint in each phase of the cycle."""
PROGRAM_S = 0.02
HOTTEST_C = 85.0
REFLECTED_SHARE = 0.4
REFLECTED_S = 3.0
"""Share of the nominal power that may come back, and for how long."""


class Cavities(Rising):
    """`plant` section: role (ring, injector), harmonic, circumference_m, frequency_mhz (of an injector's
    cavity).

    The frequency of a ring's cavity follows the beam: harmonic x beta c / circumference. A cavity that has an
    amplifier among the devices fills only while that is on.
    """

    quantities = (("voltage", "kV"), ("setpoint", "kV"), ("frequency", "MHz"), ("phase", "deg"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "arc": Fault(1, "the cavity sparks and switches off"),
        "tuner": Fault(2, "the tuner has lost the resonance; the cavity switches off"),
        "phase": Fault(0, "the phase is 20 degrees off", Effect.TRIP),
        "detuned": Fault(0, "the cavity is detuned; its voltage falls and power is reflected", Effect.TRIP),
        "probe": Fault(0, "the voltage reading stays where it is"),
    }
    quantity, noise = "voltage", 0.001
    settable = (("setpoint", "voltage"), "voltage")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.length = self.parameter("circumference_m", 24.0)
        self.harmonic = self.parameter("harmonic", 1.0)
        self.fixed = self.parameter("frequency_mhz", 0.0)
        self.programmed = np.array([d.plant.get("role") == "ring" for d in self.devices], dtype=np.bool_)
        self.in_ring = np.array([d.plant.get("role", "ring") == "ring" for d in self.devices], dtype=np.bool_)
        self.factor = np.ones(self.count)
        self.psi: Floats = np.zeros(self.count)
        self._fed = np.full(self.count, -1)
        self._amplifiers: Amplifiers | None = None

    def connect(self, families: Mapping[str, Family]) -> None:
        """Which amplifier feeds which cavity."""
        self._amplifiers = cast(Amplifiers, families["RfAmplifier"])
        fed = {str(device.plant.get("cavity")): i for i, device in enumerate(self._amplifiers.devices)}
        self._fed = np.array([fed.get(device.wire, -1) for device in self.devices], dtype=np.intp)

    def step(self, dt: float, world: World) -> None:
        """Fill, follow the programme of the cycle, and show it."""
        self.rise(dt, self._powered())
        self.psi = np.where(self.has("detuned"), DETUNED, 0.0)
        wanted = np.where(self.programmed, PROGRAM.get(world.phase, 1.0), 1.0)
        self.factor += (wanted - self.factor) * -np.expm1(-dt * world.clock_factor / PROGRAM_S)
        shown = self.noisy(self.level * self.factor * np.cos(self.psi), world)
        self.values[:, 0] = np.where(self.has("probe"), self.values[:, 0], shown)
        self.values[:, 1] = self.setpoint
        energy = energy_of(world.ion, max(world.rho_now, rigidity(world.ion, INJECTION_MEV)))
        gamma = 1.0 + energy / IONS[world.ion][2]
        beta = np.sqrt(1.0 - gamma**-2)
        turning = np.where(self.fixed > 0, self.fixed, self.harmonic * beta * 299.792458 / self.length)
        self.values[:, 2] = np.where(self.on, turning, 0.0)
        error = 20.0 * self.has("phase") + np.rad2deg(self.psi)
        jitter = 0.05 * world.rng.standard_normal(self.count)
        self.values[:, 3] = np.where(self.on, error + jitter, 0.0)
        self.values[:, 4] = self.on
        world.rf_good = bool(np.all(self.good[self.in_ring]))

    def _powered(self) -> NDArray[np.bool_]:
        powered = np.ones(self.count, dtype=np.bool_)
        if self._amplifiers is not None and self._amplifiers.count:
            powered = (self._fed < 0) | self._amplifiers.on[self._fed]
        return powered

    @property
    def good(self) -> NDArray[np.bool_]:
        """Filled, on tune and in phase."""
        good: NDArray[np.bool_] = super().good & (np.abs(self.values[:, 3]) < 5.0)
        return good


class Amplifiers(Switched):
    """`plant` section: cavity (wire), nominal_kw. What a cavity does not take comes back.

    Of the forward wave the part 1 - V e^(i psi) cos(psi) is reflected, V being the cavity's filling and psi
    its detuning (critical coupling). Too much of it for too long switches the amplifier off.
    """

    quantities = (("forward", "kW"), ("reflected", "kW"), ("temperature", "degC"), ("on", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "reflected": Fault(1, "too much power comes back; the amplifier switches off"),
        "overtemperature": Fault(2, "the amplifier is too hot and switches off"),
        "tube": Fault(3, "the output stage has failed"),
        "coupler": Fault(0, "the directional coupler reads no reflected power"),
    }
    period_s = 0.02

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.nominal = self.parameter("nominal_kw", 10.0)
        self.temperature = np.full(self.count, 25.0)
        self.bad_for = np.zeros(self.count)
        self._cavity = np.full(self.count, -1)
        self._cavities: Cavities | None = None

    def connect(self, families: Mapping[str, Family]) -> None:
        """Which cavity each amplifier feeds."""
        self._cavities = cast(Cavities, families["RfCavity"])
        place = {device.wire: i for i, device in enumerate(self._cavities.devices)}
        wires = [str(device.plant.get("cavity")) for device in self.devices]
        self._cavity = np.array([place.get(wire, -1) for wire in wires], dtype=np.intp)

    def step(self, dt: float, world: World) -> None:
        """Power from what the cavity asks for, temperature from losses and water."""
        asked, filling, psi = self._load()
        forward = np.where(self.on, self.nominal * asked**2, 0.0)
        back = np.abs(1.0 - filling * np.cos(psi) * np.exp(1j * psi)) ** 2
        reflected = forward * np.minimum(back, 1.0)
        measured = np.where(self.has("coupler"), 0.0, reflected)
        self.bad_for = np.where(measured > REFLECTED_SHARE * self.nominal, self.bad_for + dt, 0.0)
        water = max(world.cooling.get("rf", 1.0), 0.05)
        warm = 25.0 + 25.0 * forward / self.nominal / water + 20.0 * reflected / self.nominal
        self.temperature += (warm - self.temperature) * -np.expm1(-dt / 20.0)
        found = np.where(self.temperature > HOTTEST_C, 2.0, np.where(self.bad_for > REFLECTED_S, 1.0, 0.0))
        self.code = np.where(self.code == 0, found, self.code)
        self.trip()
        noise = 1.0 + 0.003 * world.rng.standard_normal((2, self.count))
        self.values[:, 0], self.values[:, 1] = forward * noise[0], measured * noise[1]
        self.values[:, 2], self.values[:, 3] = self.temperature, self.on
        world.heat["rf"] = float(np.sum(forward + 0.5 * self.nominal * self.on))

    def _load(self) -> tuple[Floats, Floats, Floats]:
        """Of each amplifier's cavity: setpoint relative to nominal, filling 0..1, detuning in rad."""
        if self._cavities is None or not self._cavities.count:
            return np.zeros(self.count), np.ones(self.count), np.zeros(self.count)
        has, at, cavities = self._cavity >= 0, self._cavity, self._cavities
        asked = np.where(has & cavities.on[at], cavities.setpoint[at] / cavities.nominal[at], 0.0)
        filling = np.where(has, cavities.level[at] / np.maximum(cavities.setpoint[at], 1e-9), 1.0)
        return asked, np.minimum(filling, 1.0), np.where(has, cavities.psi[at], 0.0)


class KnockOuts(Rising):
    """RF knock-outs: transverse noise that shakes the beam out of the ring while their gate is open.

    The gate opens on the flat-top. `set gate 0` keeps it closed. Without drive nothing is extracted.
    """

    quantities = (("amplitude", "kV"), ("setpoint", "kV"), ("on", ""), ("gate", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "amplifier": Fault(1, "the amplifier has failed; there is no drive"),
        "gate_closed": Fault(2, "the gate does not open"),
        "gate_open": Fault(0, "the gate does not close", Effect.BEAM),
        "weak": Fault(0, "the drive is a third too low", Effect.BEAM),
    }
    quantity, noise = "amplitude", 0.002
    settable = (("setpoint", "amplitude"), "amplitude")
    tripping = frozenset({1})
    retained: ClassVar[tuple[str, ...]] = ("on", "setpoint", "enabled")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.enabled = np.ones(self.count, dtype=np.bool_)
        self.gate = np.zeros(self.count, dtype=np.bool_)

    def step(self, dt: float, world: World) -> None:
        """The drive of the strongest knock-out whose gate is open shakes the beam."""
        self.rise(dt)
        flat = self.enabled & self.on & (world.phase is Phase.FLAT_TOP)
        self.gate = (flat | (self.has("gate_open") & self.on)) & ~self.has("gate_closed")
        drive = self.level * np.where(self.has("weak"), 0.67, 1.0)
        self.values[:, 0] = self.noisy(drive, world)
        self.values[:, 1], self.values[:, 2], self.values[:, 3] = self.setpoint, self.on, self.gate
        world.knock_out = float(np.max(np.where(self.gate, drive / self.nominal, 0.0)))

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Besides those of a supply: set gate 0 or 1."""
        if verb == "set" and body.get("name") == "gate":
            self.enabled[i] = setting(self.devices[i], ("gate",), "gate", body) != 0.0
        else:
            super().do(verb, i, body)
