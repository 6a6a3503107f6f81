"""Timing: the central timing system, its machine cycle and clock, sequencers, pulsers and event log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tango import DevState
from tango.server import command

from common.clock import TICKS_PER_SECOND
from common.errors import Refused
from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.channel import channel, derived
from device_servers.parse import json_object

PHASES = ("IDLE", "INJECTION", "RAMP", "FLAT_TOP", "RAMP_DOWN")
"""Order of `cycle.phase` on the wire."""
MOST_CYCLES = 2048
MOST_ROWS = 256
PULSER = ("delay", "width", "prescaler", "inverted", "enabled")


class TimingDisplay(PtcsDevice):
    """What the timing system shows."""

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
        self.driver.look(self.refresh)

    @derived(dtype=float, unit="1", format="%5.1f")
    def ClockFactor(self) -> float | None:
        """Tick time over wall time."""
        factor: float | None = self.driver.clock_factor()
        return factor

    @derived(dtype=(float,), max_dim_x=MOST_CYCLES, unit="MeV", format="%7.3f")
    def Energies(self) -> list[float]:
        """The sequence that this device loaded last, one energy per cycle."""
        return self._energies

    @derived(dtype=bool)
    def Heartbeat(self) -> bool | None:
        """Whether every receiver has had a heartbeat within 1.6 s of beam time."""
        return self._known("heartbeat")

    @derived(dtype=str)
    def CycleId(self) -> str | None:
        """The virtual accelerator of the present or last cycle: `ion:energy:intensity:room`."""
        return self._known("accelerator")

    @derived(dtype=(str,), max_dim_x=2)
    def Sequencers(self) -> list[str] | None:
        """Each sequencer as JSON: stage, mode, trigger, steps, length, digest, masks, runs, lost triggers."""
        return self._rows("sequencers")

    @derived(dtype=bool)
    def Armed(self) -> bool | None:
        """Whether both sequencers take their trigger, or play."""
        return self._armed()

    @derived(dtype=bool)
    def Running(self) -> bool | None:
        """Whether a sequencer plays."""
        rows = self._known("sequencers")
        return None if rows is None else any(row["stage"] == "running" for row in rows)

    @derived(dtype=(str,), max_dim_x=2)
    def Mode(self) -> list[str] | None:
        """Mode of each sequencer: single, recycle or retrigger."""
        rows = self._known("sequencers")
        return None if rows is None else [row["mode"] for row in rows]

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Receivers(self) -> list[str] | None:
        """Each receiver as JSON: alive, events received and matched, FIFO and its overflow, pulses."""
        return self._rows("receivers")

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Findings(self) -> list[str] | None:
        """The last timing errors as JSON: receiver, fault, event, tick, deviation in ticks."""
        return self._rows("findings")

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Diagnosis(self) -> list[str] | None:
        """The causes of the findings by name, each as JSON: cause, where, text, deviation."""
        return self._rows("diagnosis")

    def _known(self, key: str) -> Any:
        return self.driver.view().get(key)

    def _armed(self) -> bool | None:
        rows = self._known("sequencers")
        return None if rows is None else all(row["stage"] != "disabled" for row in rows)

    def _rows(self, key: str) -> list[str] | None:
        rows = self._known(key)
        return None if rows is None else [json.dumps(row) for row in rows]

    def _state(self) -> tuple[DevState, str]:
        causes = self._known("diagnosis") or ()
        if causes:
            more = "" if len(causes) == 1 else _(" (and {count} more)").format(count=len(causes) - 1)
            return DevState.ALARM, causes[0]["text"] + more
        if self._armed() is False:
            return DevState.STANDBY, _("a sequencer is not armed; no cycle can run")
        shown, _when, _quality = self.shown(self.channels["CyclePhase"])
        if shown in ("IDLE", ""):
            return DevState.ON, _("no cycle runs")
        return DevState.RUNNING, _("cycle: {phase}").format(phase=shown)


class Timing(TimingDisplay):
    """The central timing system: shown, and set where the hardware allows it."""

    def _pulsers(self) -> str | None:
        pulsers = self._known("pulsers")
        return None if pulsers is None else json.dumps(pulsers)

    def _set_pulsers(self, text: str) -> None:
        values = json_object(text)
        name, changes = next(iter(values.items()), ("", None))
        if len(values) != 1 or not isinstance(changes, dict) or not set(changes) <= set(PULSER):
            allowed = ", ".join(PULSER)
            raise Refused(
                _('write one {{"receiver/pulser": {{...}}}} with {allowed}').format(allowed=allowed)
            )
        self.driver.load({"pulser": name, **changes})
        self.refresh()

    Pulsers = derived(
        _pulsers,
        dtype=str,
        fset=_set_pulsers,
        doc="JSON: settings of each receiver/pulser in ticks; written one at a time, what changes only",
    )

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

    @command(
        dtype_in=str, doc_in='JSON {"sequencer": 1, "steps": [[tick, code], ...], "length": n, "mode": ""}'
    )
    def LoadSequence(self, text: str) -> None:
        """Load and arm a sequencer. The hardware refuses what is no machine cycle, with the reason."""
        needed = ("sequencer", "steps", "length")
        self._change(text, (*needed, "masks", "mode"), needed)

    @command(dtype_in=str, doc_in='JSON {"sequencer": 1, "arm": true, "masked": bits, "enabled": bits}')
    def SetSequencer(self, text: str) -> None:
        """Arm or disarm a sequencer, or set its mask and enable bits."""
        self._change(text, ("sequencer", "arm", "masked", "enabled"), ("sequencer",))

    @command
    def ClearFindings(self) -> None:
        """Forget the findings so far."""
        self.driver.load({"clear": True})

    @rule(read=True)
    @command(dtype_in=int, doc_in="1 or 2", dtype_out=str, doc_out="JSON {steps, length, masks}")
    def ShowSequence(self, number: int) -> str:
        """What a sequencer has loaded."""
        return json.dumps(self.driver.sequence(int(number)))

    @rule(read=True)
    @command(
        dtype_in=int,
        doc_in="number of an event of the log",
        dtype_out=str,
        doc_out="JSON {first, next, events}",
    )
    def EventLog(self, since: int) -> str:
        """The events of the machine since a number, as far as they are kept (4096)."""
        answer: Mapping[str, Any] = self.driver.events(int(since))
        return json.dumps({key: answer[key] for key in ("first", "next", "end", "events")})

    def _change(self, text: str, allowed: Sequence[str], needed: Sequence[str]) -> None:
        values = json_object(text)
        unknown = sorted(set(values) - set(allowed))
        missing = [key for key in needed if key not in values]
        if unknown or missing:
            wrong = ", ".join((*unknown, *missing))
            raise Refused(
                _("{wrong}: allowed are {allowed}, needed {needed}").format(
                    wrong=wrong, allowed=", ".join(allowed), needed=", ".join(needed)
                )
            )
        self.driver.load(values)
