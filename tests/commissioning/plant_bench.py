"""A bench on the plant's physics in this process: its own time, no Tango, every run the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import site as sites
from common.errors import LinkLost, Refused
from common.site import CONFIG
from common.units import air_density_correction
from ptcs.commissioning.beam import Delivered, Spot
from ptcs.commissioning.bench import Floats, Readings
from ptcs.commissioning.measure import Session
from ptcs.commissioning.store import Store
from simulation.plant.plant import Plant

STEP_S = 0.02
ATTRIBUTES = {
    "Charge": "charge",
    "CurrentTrim": "trim",
    "CurrentSetpoint": "setpoint",
    "Current": "current",
    "X": "x",
    "Y": "y",
    "Intensity": "intensity",
}
BEAM = {"x": "beam.offset_x", "y": "beam.offset_y"}


class PlantBench:
    """Implements Bench. A machine cycle runs all the time: 1.5 s between flat-tops of `flat_s`, beam time."""

    user = "sven"

    def __init__(
        self, site: str = "synchrotron", energy: float = 150.0, room: int = 1, seed: int = 1
    ) -> None:
        self.site = sites.load(CONFIG / f"{site}.yaml")
        self.plant = Plant(self.site, seed)
        self.energy, self.room = energy, room
        self.clock = 1.0e9
        self._phase, self._left, self._tick = 0, 0.0, 0
        self.flat_s = 5.0
        for family in self.plant.present:
            if hasattr(family, "on"):
                family.on[:] = True
        self._index = {row["name"]: i for i, row in enumerate(self.plant.channels())}
        self._wires = {device.name: device.wire for device in self.site.devices}
        self.plant.permit({})
        self.plant.world.permits = None
        self.writes: list[tuple[str, float]] = []
        self.plain: dict[str, float] = {}
        """Values of attributes that no channel of the plant has."""
        self.refuse: set[str] = set()
        self.gone: set[str] = set()
        self._prepare()

    def _prepare(self) -> None:
        """Valves and stoppers open, monitors out, everything warm."""
        for device in self.site.devices:
            verb = {"SectorValve": "open", "BeamStopper": "open"}.get(device.tango_class)
            if verb and device.room in ("", self.site.rooms[self.room - 1]):
                self.plant.do(verb, {"device": device.wire})
        for _ in range(400):
            self.plant.step(0.05)

    def _advance(self, seconds: float) -> None:
        end = self.clock + seconds
        while self.clock < end - 1e-9:
            self._cycle()
            self.plant.step(STEP_S)
            self.clock += STEP_S
            self._left -= STEP_S * self.site.clock_factor

    def _cycle(self) -> None:
        if self._left > 0.0:
            return
        phases = (("INJECTION", 0.3), ("RAMP", 0.75), ("FLAT_TOP", self.flat_s), ("RAMP_DOWN", 0.45))
        name, self._left = phases[self._phase]
        self._phase = (self._phase + 1) % len(phases)
        self._tick += 1
        self.plant.cycle(name, self.energy, self.room, "proton", self._tick)

    def value(self, name: str) -> float:
        """A channel of the plant as it is."""
        return float(self.plant.values()[self._index[name]])

    def channel(self, name: str) -> str:
        """Channel of an attribute; `nozzle/x` is the beam's place at the isocentre."""
        device, _slash, attribute = name.rpartition("/")
        if device.endswith("nozzle"):
            return BEAM[attribute.lower()[-1]]
        return f"{self._wires[device]}.{ATTRIBUTES[attribute]}"

    def read(self, names: Sequence[str]) -> Readings:
        for name in names:
            if name.rpartition("/")[0] in self.gone:
                raise LinkLost(f"{name}: no answer")
        block = self.plant.values()
        values = np.array([self._one(name, block) for name in names])
        return Readings(values, np.full(len(names), self.clock))

    def _one(self, name: str, block: Floats) -> float:
        if name in self.plain:
            return self.plain[name]
        channel = self.channel(name)
        if channel.startswith("beam.") and block[self._index["beam.ready"]] == 0.0:
            return np.nan
        return float(block[self._index[channel]])

    def write(self, name: str, value: float) -> None:
        if name in self.refuse:
            raise Refused(f"{name}: not now")
        self.writes.append((name, value))
        device, _slash, attribute = name.rpartition("/")
        body = {"device": self._wires[device], "name": ATTRIBUTES[attribute], "value": value}
        self.plant.do("set", body)
        self._advance(STEP_S)

    def limits(self, name: str) -> tuple[float, float] | None:
        row = self.site.device(name.rpartition("/")[0])
        if "current" not in row.limits:
            return None
        low, high = row.limits["current"]
        most = high if low < 0 else 0.05 * (high - low)
        return (-most, most) if name.endswith("Trim") else (low, high)

    def command(self, device: str, name: str, argument: Any = None) -> Any:
        self.plant.do(name.lower(), {"device": self._wires[device]})
        self._advance(STEP_S)

    def spectrum(self, name: str) -> Floats:
        device, _slash, attribute = name.rpartition("/")
        held = self.plant.ask("layers", {"device": self._wires[device]}, {})
        return held["depth" if attribute == "Depth" else "charge"]

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        return {}

    def pause(self, seconds: float) -> None:
        self._advance(max(seconds, STEP_S))

    def now(self) -> float:
        return self.clock


class PlantBeam:
    """Implements Deliverer: spots land in the plant's instruments; the nozzle sees them with its noise."""

    def __init__(self, bench: PlantBench, seed: int = 3) -> None:
        self.bench, self.rng = bench, np.random.default_rng(seed)
        self.offset, self.gain = (0.0, 0.0), (1.0, 1.0)
        self.deliveries = 0

    def k_tp(self) -> float:
        air = self.bench.plant.families["EnvironmentStation"].values[0, :2]
        return air_density_correction(float(air[0]), float(air[1]))

    def deliver(self, energies: Sequence[float], spots: Sequence[Spot]) -> Delivered:
        k_tp, n = self.k_tp(), len(spots)
        counts = np.rint(np.array([s.mu for s in spots]) * 20000.0 / k_tp + self.rng.normal(0.0, 4.0, n))
        for layer, energy in enumerate(energies):
            mine = sum(int(c) for c, s in zip(counts, spots, strict=True) if s.layer == layer)
            self.bench.plant.deliver("room1", float(energy), mine)
            self.bench.pause(0.1)
        self.deliveries += 1
        noise = self.rng.normal(0.0, 0.15, (2, n))
        x = np.array([s.x for s in spots]) * self.gain[0] + self.offset[0] + noise[0]
        y = np.array([s.y for s in spots]) * self.gain[1] + self.offset[1] + noise[1]
        size = np.array([s.sigma for s in spots])[None, :] * self.rng.normal(1.0, 0.01, (2, n))
        return Delivered(x, y, size[0], size[1], counts, counts, k_tp)


def session(bench: PlantBench, folder: Path) -> Session:
    """A session on a plant, its store in a folder."""
    return Session(bench, Store(folder))
