"""A beam hardware core with everything good around it, stepped by hand."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from common import site
from interlock import matrix
from interlock.matrix import Matrix
from simulation.fpga.beamline import Sense
from simulation.fpga.core import Core
from simulation.fpga.model import BeamView, Model, from_site
from simulation.fpga.outputs import SpotsEnded, Tripped
from simulation.fpga.spotmap import SpotMap, accept
from simulation.fpga.states import ACTIVE, State

SITE = site.load()
MATRIX = matrix.load(SITE.interlock_path)
MODEL = from_site(SITE)
SLICE = 12_500_000  # 0.1 s of ticks: 10 ms of wall time at factor 10


def make_map(
    layers: int = 3, spots: int = 40, done: np.ndarray | None = None, **changes: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    n = layers * spots
    body = {"beam_number": 1, "counts_per_mu": 20000.0, "k_tp": 1.0, "plan_hash": "ab" * 32, "resume": False}
    arrays = {
        "energy": np.linspace(140.0, 100.0, layers),
        "layer": np.repeat(np.arange(layers, dtype="<i4"), spots),
        "x": rng.uniform(-50, 50, n),
        "y": rng.uniform(-50, 50, n),
        "size_x": np.full(n, 5.0),
        "size_y": np.full(n, 5.0),
        "preset": rng.integers(400, 9000, n).astype("<i8"),
        "done": np.zeros(n, "<i8") if done is None else done,
    }
    if done is not None:
        body["resume"] = True
    for key, value in changes.items():
        (arrays if key in arrays else body)[key] = value
    return body, arrays


@dataclass
class Rig:
    """`core` with good inputs; the plant stands at whatever energy the cycle asks for."""

    seed: int = 7
    model: Model = MODEL
    matrix: Matrix = MATRIX
    rooms: tuple[str, ...] = ("room1",)
    good: dict[str, Any] = field(default_factory=dict)
    shut: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()
    bad: set[str] = field(default_factory=set)
    """Inputs that are bad now, whoever decides them."""
    beam: BeamView = field(default_factory=lambda: BeamView(ready=True, k_tp=1.0))
    outputs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.good = dict.fromkeys(self.matrix.input_names, True) | self.good
        self.core = Core(
            self.model, SITE.delivery["layer_switch_s"], self.matrix, self.seed, rooms=self.rooms
        )
        for name in self.core.guard.drivable():
            self.core.guard.drive(name, True)
        self.core.energies = tuple(np.linspace(70, 230, 161))
        self.go(1)

    def go(self, ticks: int, slice_ticks: int = SLICE) -> None:
        end = self.core.tick + ticks
        while self.core.tick < end:
            beam = replace(self.beam, energy=self.core.cycle.energy)
            good = {**self.good, **dict.fromkeys(self.bad, False)}
            seen = Sense(beam, good, shut=self.shut, confirmed=self.confirmed)
            self.core.advance(min(self.core.tick + slice_ticks, end), seen)
            self.outputs += self.core.drain()

    def load(self, **kwargs: Any) -> SpotMap:
        spots = accept(*make_map(**kwargs))
        self.core.load(spots)
        return spots

    def run(self, step: int = SLICE, limit: int = 100_000) -> State:
        """Step until nothing is active any more."""
        for _ in range(limit):
            if self.core.state not in ACTIVE:
                return self.core.state
            self.go(step, step)
        raise AssertionError(f"still {self.core.state}")

    @property
    def rows(self) -> np.ndarray:
        assert self.core.delivery is not None
        return self.core.delivery.rows

    def trips(self) -> list[Tripped]:
        return [o for o in self.outputs if isinstance(o, Tripped)]

    def ended(self) -> list[int]:
        return [int(i) for o in self.outputs if isinstance(o, SpotsEnded) for i in o.index]
