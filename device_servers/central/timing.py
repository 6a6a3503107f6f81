"""Timing: the central timing system, its machine cycle and clock."""

from collections.abc import Sequence

import numpy as np
from tango import DevState
from tango.server import command

from common.clock import TICKS_PER_SECOND
from common.errors import Refused
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, derived

PHASES = ("IDLE", "INJECTION", "RAMP", "FLAT_TOP", "RAMP_DOWN")
"""Order of `cycle.phase` on the wire."""
MOST_CYCLES = 2048


class Timing(PtcsDevice):
    """The machine cycle: one per energy layer."""

    CyclePhase = channel("phase", dtype=str, names=PHASES, doc="phase of the machine cycle")
    CycleEnergy = channel("energy", unit="MeV", format="%7.3f", deadband=0.001, doc="energy of the cycle")
    Tick = channel(
        "tick",
        dtype=int,
        unit="8 ns",
        format="%d",
        deadband=5 * TICKS_PER_SECOND,
        doc="tick of the beam hardware",
    )

    def init_device(self) -> None:
        """Nothing is loaded by this device yet."""
        super().init_device()
        self._energies: list[float] = []

    @derived(dtype=float, unit="1", format="%5.1f")
    def ClockFactor(self) -> float | None:
        """Tick time over wall time."""
        factor: float | None = self.driver.clock_factor()
        return factor

    @derived(dtype=(float,), max_dim_x=MOST_CYCLES, unit="MeV", format="%7.3f")
    def Energies(self) -> list[float]:
        """The sequence that this device loaded last, one energy per cycle."""
        return self._energies

    @command(dtype_in=(float,), doc_in="energies in MeV, one machine cycle each")
    def LoadCycles(self, energies: Sequence[float]) -> None:
        """Load the timing system's sequence."""
        wanted = np.asarray(energies, dtype=np.float64)
        if not 0 < len(wanted) <= MOST_CYCLES:
            text = _("{count} energies: allowed are 1 .. {most}")
            raise Refused(text.format(count=len(wanted), most=MOST_CYCLES))
        if not (np.isfinite(wanted) & (wanted > 0)).all():
            raise Refused(_("every energy must be a positive number of MeV"))
        self.driver.load_cycles(wanted.tolist())
        self._energies = wanted.tolist()

    def _state(self) -> tuple[DevState, str]:
        shown, _when, _quality = self.shown(self.channels["CyclePhase"])
        if shown in ("IDLE", ""):
            return DevState.ON, _("no cycle runs")
        return DevState.RUNNING, _("cycle: {phase}").format(phase=shown)
