"""Magnet power supplies: V = R I + L dI/dt, ramp limit, regulation, ripple, heat, trips, waveforms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Effect, Fault, Floats, setting
from simulation.plant.supply_physics import Heat, Player, Ripple
from simulation.plant.supply_program import Programmed, trim_setting
from simulation.plant.waveform import ramped_rigidity
from simulation.plant.world import World
from timing.cycle import Phase

LOOP_S = 0.005
"""Time constant of the current regulation."""
REGULATION_ERROR = 0.01
DRIFT_ERROR = 7e-4
"""Relative errors of current: a supply that lost regulation, and one that drifts unnoticed."""
SHORTED_TURNS = 0.05
"""Part of a magnet's field that a short between turns takes at the same current."""
READ_NOISE = 2e-6
RIPPLE_FAULT = 50.0

QUANTITIES = (
    ("current", "A"),
    ("voltage", "V"),
    ("setpoint", "A"),
    ("on", ""),
    ("temperature", "degC"),
    ("ramp", "A/s"),
    ("trim", "A"),
)
FAULTS: Mapping[str, Fault] = {
    "overcurrent": Fault(1, "the current passes its limit; the supply switches off"),
    "overtemperature": Fault(2, "the supply is too hot and switches off"),
    "regulation": Fault(3, "the current is off by a percent"),
    "interlock": Fault(4, "an interlock of the magnet has switched the supply off"),
    "communication": Fault(5, "the supply does not answer; its readings are unknown"),
    "ground": Fault(6, "current flows to earth; the supply switches off"),
    "drift": Fault(0, "the current drifts and nothing reports it", Effect.BEAM),
    "ripple": Fault(0, "a filter has failed: the ripple is fifty times what it was", Effect.BEAM),
    "turn_short": Fault(0, "turns of the magnet are shorted: less field at the same current", Effect.BEAM),
    "cooling": Fault(0, "the water does not flow through this supply: it gets hot", Effect.SLOW),
}


def ramp_setting(device: Device, fastest: float, body: Mapping[str, Any]) -> float:
    """The ramp of a `set` request, A/s. Raises Refused unless it is above 0 and at most `fastest`."""
    rate = setting(device, ("ramp",), "ramp", body)
    if not 0.0 < rate <= fastest:
        raise Refused(
            _("{device}: {rate:g} A/s is outside its limits: above 0, at most {fastest:g}").format(
                device=device.wire, rate=rate, fastest=fastest
            )
        )
    return rate


class Supplies(Programmed):
    """`plant` section: kind, resistance_ohm, inductance_h, ramp_a_s, ripple, role (injector, ring, transport,
    room), ampere_per_tm, rigidity (`injection`: stays at the injection's); `limits`: current, temperature.

    The first dipole of the ring decides the energy. Temperatures run on wall time, currents on beam time.
    """

    quantities = QUANTITIES
    faults = FAULTS
    retained = ("on", "setpoint", "ramp", "trim")
    tripping = frozenset({1, 2, 4, 6})

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.resistance = self.parameter("resistance_ohm", 0.1)
        self.inductance = self.parameter("inductance_h", 0.01)
        self.fastest = self.parameter("ramp_a_s", 1000.0)
        self.ramp = self.fastest.copy()
        self.ripple = self.parameter("ripple", 1e-5)
        self.hottest = self.limit("temperature", 1, 80.0)
        self.reference: Floats = np.zeros(self.count)
        self._heat = Heat(list(self.roles), self.highest)
        self._ripple = Ripple(self.count)
        self._player = Player()

    @property
    def field(self) -> Floats:
        """Current that would make the present field in a sound magnet, A (n,)."""
        field: Floats = self.current * (1.0 - SHORTED_TURNS * self.has("turn_short"))
        return field

    def step(self, dt: float, world: World) -> None:
        """Currents follow in beam time: wall time x clock factor."""
        span = dt * world.clock_factor
        self._program(world)
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
        power = self.resistance * self.current**2
        self._heat.step(dt, power, self.current, self.has("cooling"), world)
        self._watch()
        self._show(span, before, world)

    def _program(self, world: World) -> None:
        """Setpoints that move by themselves: the ring in the ramp, and loaded waveforms."""
        if self.tracks and world.phase is Phase.RAMP:
            moving = self.ring & ~self.fixed & (self.per_tm > 0)
            self.setpoint[moving] = self.programmed(world, ramped_rigidity(world))[moving]
        self._player.step(world.seconds, self.on, self.setpoint)

    def _watch(self) -> None:
        """What the supply's own protection sees."""
        for kind, bad in (
            ("overcurrent", np.abs(self.current) > 1.02 * self.highest),
            ("overtemperature", self._heat.temperature > self.hottest),
        ):
            self.code[bad & (self.code == 0)] = self.faults[kind].code
        self.trip()

    def _show(self, span: float, before: Floats, world: World) -> None:
        rippled = self.current * (1.0 + self.ripples * self._ripple.now(world))
        noise = world.rng.standard_normal(self.count)
        blind = self.has("communication")
        voltage = self.resistance * rippled + self.inductance * (self.current - before) / span
        self.values[:, 0] = np.where(blind, np.nan, rippled * (1.0 + READ_NOISE * noise))
        self.values[:, 1] = np.where(blind, np.nan, np.where(self.on, voltage, 0.0))
        self.values[:, 2], self.values[:, 3] = self.setpoint, self.on
        self.values[:, 4] = np.where(blind, np.nan, self._heat.temperature)
        self.values[:, 5], self.values[:, 6] = self.ramp, self.trim

    @property
    def ripples(self) -> Floats:
        """Relative rms ripple of each current as it is, (n,)."""
        return self.ripple * np.where(self.has("ripple"), RIPPLE_FAULT, 1.0)

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Set (setpoint A, ramp A/s, trim A), on, off, reset."""
        device = self.devices[i]
        if verb == "set" and body.get("name") == "ramp":
            self.ramp[i] = ramp_setting(device, float(self.fastest[i]), body)
        elif verb == "set" and body.get("name") == "trim":
            self.set_trim(i, trim_setting(device, float(self.per_tm[i]), body))
        elif verb == "set":
            self.setpoint[i] = setting(device, ("setpoint", "current"), "current", body)
            self._player.end(i)
        else:
            super().do(verb, i, body)

    def ask(self, verb: str, i: int, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """waveform: follow t, i from now on; without arrays, answer the one loaded last."""
        if verb != "waveform":
            return super().ask(verb, i, arrays)
        return self._player.load(i, self.devices[i], bool(self.on[i]), arrays)
