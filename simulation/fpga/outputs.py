"""What the core tells the process around it, in the order in which it happened."""

from dataclasses import dataclass

from simulation.fpga.run import Ints
from simulation.fpga.states import State
from timing.cycle import Phase


@dataclass(frozen=True)
class StateChanged:
    """A new state, and why it ended the one before (empty where nothing went wrong)."""

    state: State
    cause: str
    tick: int


@dataclass(frozen=True)
class Tripped:
    """Beam taken away: the input that went bad, its tick, and the tick from which there is no beam."""

    input: str
    cause: str
    tick: int
    beam_off_tick: int


@dataclass(frozen=True)
class PhaseBegan:
    """The machine cycle entered a phase that serves an energy in MeV, for a virtual accelerator."""

    phase: Phase
    energy: float
    tick: int
    accelerator: str = ""


@dataclass(frozen=True)
class SpotsEnded:
    """Spots of which beam has ended, (k,) map indices: finished, or cut by a hold or a trip."""

    index: Ints
    layer: int
    tick: int


Output = StateChanged | Tripped | PhaseBegan | SpotsEnded
