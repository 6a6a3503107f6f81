"""Instruments at a room's isocentre that measure the dose of delivered spots.

They integrate what the beam hardware reports as delivered. `plant` sections hold what is printed on the
instrument's certificate, and what nature alone knows: `energy_error` (relative, of the beam's energy from the
nominal one), `monitor_error` (relative, of the monitor's sensitivity from the declared counts per MU).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from common.units import air_density_correction
from simulation.plant.family import Fault, Floats
from simulation.plant.switched import Switched
from simulation.plant.world import Delivered, World

LEAK_NC_S = 2e-3
"""Charge per second that a leaking electrometer adds."""


BESIDE = ThreadPoolExecutor(1, "depth curves")
"""Loads the planning library beside a starting plant: that takes a second, and nobody delivers spots yet."""
DEPTH: Floats = np.arange(0.0, 400.0, 0.5)
"""Depths of the curves below, mm of water."""


@cache
def depth_curves(model: str, error: float) -> tuple[Floats, Floats]:
    """Nominal energies (e,) MeV of a beam model, and its integral depth dose (e, n) Gy mm2 per MU at DEPTH.

    The planning library's depth dose, at the energy that the beam really has: nominal times 1 + error.
    """
    # a site without these instruments does not load the planning library
    from tps_engine.beamdata.bragg import integral_depth_dose  # noqa: PLC0415
    from tps_engine.beamdata.model import load  # noqa: PLC0415

    beam = load(model)
    beams = zip(beam.mean_energy, beam.spread, strict=True)
    shape = beam.depth_dose
    curves = [
        integral_depth_dose(beam.water, mean * (1.0 + error), spread, shape, DEPTH) for mean, spread in beams
    ]
    return beam.energies, np.array(curves) * beam.protons_per_mu[:, None]


class Dosimeters(Switched):
    """What both instruments have: a room, an electrometer that is switched on, and a sum since `zero`.

    `plant` section: beam_model, counts_per_mu, monitor_error, energy_error, noise (relative, of a charge).
    """

    latching = False
    retained: ClassVar[tuple[str, ...]] = ("on",)
    faults: ClassVar[Mapping[str, Fault]] = {
        "electrometer": Fault(1, "the electrometer does not answer; the charge is unknown"),
        "leakage": Fault(0, "the cable leaks: charge comes without beam"),
    }
    tripping: ClassVar[frozenset[int] | None] = frozenset()

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.models = [str(device.plant.get("beam_model", "proton-generic")) for device in devices]
        self.per_mu = self.parameter("counts_per_mu", 20000.0)
        self.monitor_error = self.parameter("monitor_error", 0.0)
        self.energy_error = self.parameter("energy_error", 0.0)
        self.noise = self.parameter("noise", 1e-3)
        kinds = zip(self.models, self.energy_error, strict=True)
        self._curves = [BESIDE.submit(depth_curves, model, float(error)) for model, error in kinds]

    def dose(self, i: int, energy: float, depth: Floats | float) -> Floats:
        """Integral depth dose in Gy mm2 per MU of device i at depths (n,) mm in a beam of `energy` MeV."""
        energies, curves = self._curves[i].result()
        row = int(np.argmin(np.abs(energies - energy)))
        return np.asarray(np.interp(depth, DEPTH, curves[row]))

    @property
    def good(self) -> NDArray[np.bool_]:
        """It is in nobody's beam permit: good while it has no fault."""
        good: NDArray[np.bool_] = self.code == 0
        return good

    def mine(self, world: World) -> list[tuple[int, Delivered, float]]:
        """What came since the last step: (device, what, MU that it really was)."""
        found = []
        for spots in world.delivered:
            k_tp = air_density_correction(spots.temperature, spots.pressure)
            for i, device in enumerate(self.devices):
                if self.on[i] and device.room == spots.room:
                    sensitivity = self.per_mu[i] * (1.0 + self.monitor_error[i])
                    found.append((i, spots, spots.counts * k_tp / sensitivity))
        return found

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Besides on, off and reset: zero."""
        if verb == "zero":
            self.zero(i)
        else:
            super().do(verb, i, body)

    def zero(self, i: int) -> None:
        """Forget the charge so far."""
        raise NotImplementedError


class LayerChambers(Dosimeters):
    """Multi-layer ionisation chambers. `plant` section: layers, pitch_mm, window_mm (water-equivalent),
    nc_per_gy_mm2, uniformity (relative rms of the layers' own gains, fixed for a chamber).
    """

    quantities = (("charge", "nC"), ("on", ""))

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        window, pitch = self.parameter("window_mm", 2.0), self.parameter("pitch_mm", 2.0)
        self.layers = [int(n) for n in self.parameter("layers", 180.0)]
        self.depths = [
            w + p * (np.arange(n) + 0.5) for w, p, n in zip(window, pitch, self.layers, strict=True)
        ]
        self.gain = self.parameter("nc_per_gy_mm2", 1.0)
        spread = self.parameter("uniformity", 0.003)
        rng = np.random.default_rng(180)
        self.own = [1.0 + s * rng.standard_normal(n) for s, n in zip(spread, self.layers, strict=True)]
        self.charge = [np.zeros(n) for n in self.layers]

    def step(self, dt: float, world: World) -> None:
        """Collect what was delivered."""
        for i, spots, mu in self.mine(world):
            k_tp = air_density_correction(spots.temperature, spots.pressure)
            clean = mu * self.dose(i, spots.energy, self.depths[i]) * self.gain[i] * self.own[i] / k_tp
            self.charge[i] += clean * (1.0 + self.noise[i] * world.rng.standard_normal(len(clean)))
        for i in map(int, np.flatnonzero(self.has("leakage") & self.on)):
            self.charge[i] += LEAK_NC_S * dt
        total = np.array([charge.sum() for charge in self.charge])
        self.values[:, 0] = np.where(self.has("electrometer"), np.nan, total)
        self.values[:, 1] = self.on

    def zero(self, i: int) -> None:
        """Forget the charge so far."""
        self.charge[i][:] = 0.0

    def ask(self, verb: str, i: int, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """layers: `depth` mm of water of each layer's middle, and `charge` nC since `zero`, (layers,)."""
        if verb != "layers":
            return super().ask(verb, i, arrays)
        if self.has("electrometer")[i]:
            raise Refused(_("{device}: the electrometer does not answer").format(device=self.devices[i].wire))
        return {"depth": self.depths[i].copy(), "charge": self.charge[i].copy()}


class ReferenceChambers(Dosimeters):
    """Large plane-parallel chambers that see a whole spot, behind `depth_mm` of water.

    `plant` section: depth_mm, gy_mm2_per_nc (the certificate's coefficient at 20 degC and 1013.25 hPa).
    """

    quantities = (("charge", "nC"), ("on", ""))

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.depth = self.parameter("depth_mm", 20.0)
        self.coefficient = self.parameter("gy_mm2_per_nc", 1.0)
        self.charge: Floats = np.zeros(self.count)

    def step(self, dt: float, world: World) -> None:
        """Collect what was delivered; a vented chamber, so thin air gives less charge."""
        for i, spots, mu in self.mine(world):
            k_tp = air_density_correction(spots.temperature, spots.pressure)
            clean = mu * float(self.dose(i, spots.energy, self.depth[i])) / self.coefficient[i] / k_tp
            self.charge[i] += clean * (1.0 + self.noise[i] * float(world.rng.standard_normal()))
        self.charge += LEAK_NC_S * dt * (self.has("leakage") & self.on)
        self.values[:, 0] = np.where(self.has("electrometer"), np.nan, self.charge)
        self.values[:, 1] = self.on

    def zero(self, i: int) -> None:
        """Forget the charge so far."""
        self.charge[i] = 0.0
