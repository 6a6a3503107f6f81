"""A bench on the plant's physics in this process: its own time, no Tango, every run the same."""

from collections.abc import Sequence

import numpy as np

from common import site as sites
from common.errors import LinkLost, Refused
from common.site import CONFIG
from ptcs.commissioning.bench import Readings
from ptcs.commissioning.measure import Session
from ptcs.commissioning.store import Store
from simulation.plant.plant import Plant

STEP_S = 0.02
ATTRIBUTES = {
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

    def __init__(self, site: str = "synchrotron", energy: float = 150.0, room: int = 1, seed: int = 1) -> None:
        self.site = sites.load(CONFIG / f"{site}.yaml")
        self.plant = Plant(self.site, seed)
        self.energy, self.room = energy, room
        self.clock = 1.0e9
        self._phase, self._left, self._tick = 0, 0.0, 0
        self.flat_s = 5.0
        for family in self.plant.present:
            for name in ("on", "position"):
                if hasattr(family, name) and name == "on":
                    family.on[:] = True
        self._index = {row["name"]: i for i, row in enumerate(self.plant.channels())}
        self._wires = {device.name: device.wire for device in self.site.devices}
        self.plant.permit({})
        self.plant.world.permits = None
        self.writes: list[tuple[str, float]] = []
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
        values = np.array([block[self._index[self.channel(name)]] for name in names])
        if self.plant.beam.values()[1] == 0.0:
            places = [i for i, name in enumerate(names) if self.channel(name).startswith("beam.")]
            values[places] = np.nan
        return Readings(values, np.full(len(names), self.clock))

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

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        return {}

    def pause(self, seconds: float) -> None:
        self._advance(max(seconds, STEP_S))

    def now(self) -> float:
        return self.clock


def session(bench: PlantBench, folder: object) -> Session:
    """A session on a plant, its store in a folder."""
    return Session(bench, Store(str(folder)))
