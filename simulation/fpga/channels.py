"""The channels that the beam hardware pushes, and their values."""

import numpy as np
from numpy.typing import NDArray

from common.rooms import in_room
from simulation.fpga.core import Core
from simulation.fpga.model import BeamView
from simulation.fpga.states import State
from timing.cycle import Phase

FIXED: tuple[tuple[str, str], ...] = (
    ("fpga.state", ""),
    ("fpga.tick", "tick"),
    ("fpga.beam", ""),
    ("fpga.layer", ""),
    ("fpga.spot", ""),
    ("fpga.dose_rate", "MU/s"),
    ("fpga.room", ""),
    ("cycle.phase", ""),
    ("cycle.energy", "MeV"),
    ("interlock.tripped", ""),
)

NOZZLE: tuple[tuple[str, str], ...] = (
    ("nozzle.primary", "counts"),
    ("nozzle.secondary", "counts"),
    ("nozzle.x", "mm"),
    ("nozzle.y", "mm"),
)
"""Channels of each room's nozzle."""

_STATES = {state: float(i) for i, state in enumerate(State)}
_PHASES = {phase: float(i) for i, phase in enumerate(Phase)}


class Channels:
    """Makes the block from a core. Dose rate is per second of ticks, over the time between two blocks."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._outputs = core.guard.matrix.output_names
        self._before = (core.tick, 0)
        self._beam = False
        self._spot = (np.nan, np.nan)

    def names(self) -> list[dict[str, str]]:
        """Name and unit of each value."""
        permits = [(f"permit.{name}", "") for name in self._outputs]
        rooms = self._core.rooms
        nozzles = [(in_room(rooms, room, name), unit) for room in rooms for name, unit in NOZZLE]
        return [{"name": name, "unit": unit} for name, unit in (*FIXED, *nozzles, *permits)]

    def note(self, beam_on: bool, spot: tuple[float, float] | None) -> None:
        """Remember between two blocks that there was beam, and where the last spot lay (mm)."""
        self._beam = self._beam or beam_on
        self._spot = spot or self._spot

    def values(self) -> NDArray[np.float64]:
        """The block (channels,) as the core stands; nothing loaded: NaN where a map is needed."""
        core, delivery = self._core, self._core.delivery
        layer = spot = primary = secondary = np.nan
        rate = 0.0
        if delivery is not None:
            spot = delivery.spot
            layer = delivery.spots.layer[min(int(spot), delivery.spots.count - 1)]
            primary, secondary = delivery.rows["primary"].sum(), delivery.rows["secondary"].sum()
            rate = self._rate(int(primary), core.model.counts_per_mu / delivery.spots.k_tp)
        outputs = core.guard.outputs
        permits = [float(outputs.permits[name]) if outputs else 0.0 for name in self._outputs]
        values = [
            _STATES[core.state],
            core.tick,
            float(self._beam or core.beam_on),
            layer,
            spot,
            rate,
            self._room(),
            _PHASES[core.cycle.phase],
            core.cycle.energy,
            float(bool(outputs is None or outputs.tripped)),
            *self._nozzles((primary, secondary, *self._spot)),
            *permits,
        ]
        self._beam = False
        return np.array(values, dtype=np.float64)

    def signals(self, beam: BeamView) -> tuple[float, ...]:
        """The row of the ring buffer's `SIGNALS` as core and plant stand."""
        core, delivery = self._core, self._core.delivery
        spot = primary = secondary = np.nan
        if delivery is not None:
            spot = delivery.spot
            primary, secondary = delivery.rows["primary"].sum(), delivery.rows["secondary"].sum()
        return (
            core.tick,
            float(core.beam_on),
            _STATES[core.state],
            self._room(),
            beam.energy,
            beam.intensity,
            beam.offset_x,
            beam.offset_y,
            beam.size,
            spot,
            primary,
            secondary,
            *self._spot,
        )

    def _room(self) -> float:
        return self._core.rooms.index(self._core.room) + 1.0 if self._core.room else 0.0

    def _nozzles(self, shown: tuple[float, float, float, float]) -> list[float]:
        """What each room's nozzle shows: the map's, where it is that room's, and nothing elsewhere."""
        core = self._core
        if len(core.rooms) == 1:
            return list(shown)
        ours = core.delivery.spots.room if core.delivery is not None else ""
        return [value for room in core.rooms for value in (shown if room == ours else (0.0,) * len(shown))]

    def _rate(self, primary: int, counts_per_mu: float) -> float:
        tick, before = self._before
        self._before = (self._core.tick, primary)
        passed = (self._core.tick - tick) * 8e-9
        return max(primary - before, 0) / counts_per_mu / passed if passed > 0 else 0.0
