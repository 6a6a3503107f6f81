"""One fault while beam is delivered: injected, watched, its reset refused, mended, beam again."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.fault_cases import DEMANDS, Case
from benchmarks.fault_repair import Repair
from benchmarks.machine_processes import until
from benchmarks.machine_rig import ENERGIES, ROLES, SPOTS, USER, Rig
from common.errors import Refused
from simulation.fpga.model import FAULT_CHECKS
from simulation.fpga.states import State
from simulation.plant.family import Effect
from simulation.plant.registry import FAMILIES

WATCH_S = {Effect.TRIP: 4.0, Effect.SLOW: 8.0, Effect.BEAM: 4.5, Effect.QUIET: 0.3}
"""Wall time in which a fault of each effect must, or may, take beam away."""
USED = 0.6
"""Share of a map from which on a trial begins with a new one."""
LINK_ROWS = ("watchdog.", "link.plant")


@dataclass
class Outcome:
    """What a trial found. wrong: what is not as it must be; off_s: wall time from injection to beam off."""

    family: str
    kind: str
    device: str
    first: str = ""
    off_s: float | None = None
    wrong: list[str] = field(default_factory=list)
    strange: str = ""
    """Why the trial says nothing: a link's row tripped before the fault could, on a computer too busy for the
    watchdogs; or no beam was there to take."""


class Trials:
    """Trials on one rig with beam."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._repair = Repair(rig)
        self._injected_ns = 0
        self._injected_tick = 0

    def device(self, case: Case) -> Outcome:
        """A fault of a device of the plant."""
        rig, wire = self.rig, case.device.wire
        found = Outcome(case.family, case.kind, wire)
        self._inject(lambda: rig.plant("fault", device=wire, kind=case.kind))
        trip = self._watch(found, WATCH_S[Effect.QUIET] if case.spared else WATCH_S[case.effect])
        if trip is None and case.kind.endswith("welded"):
            self._demand(case, found)
        elif trip is None:
            if case.effect is Effect.TRIP and not case.spared and not found.strange:
                found.wrong.append("beam stays on")
        elif case.spared and case.effect is not Effect.SLOW:
            self._judge(found, frozenset())
        else:
            self._judge(found, case.allowed())
            self._no_reset(case, found)
        self._mend(found, lambda: self._repair.of(case))
        return found

    def hardware(self, kind: str) -> Outcome:
        """A fault of the beam hardware."""
        found = Outcome("fpga", kind, "fpga")
        if kind == "fast_off_fails":
            return self._fast_off_fails(found)
        before = int(self.rig.fpga("timing").body["collisions"])
        self._inject(lambda: self.rig.fpga("fault", kind=kind))
        if self._watch(found, 6.0 if FAULT_CHECKS[kind] else 2.0) is None:
            unseen = FAULT_CHECKS[kind] or int(self.rig.fpga("timing").body["collisions"]) == before
            if unseen and not found.strange:
                found.wrong.append("nothing sees it")
        else:
            self._judge(found, frozenset(FAULT_CHECKS[kind]))
        self._mend(found, lambda: self.rig.fpga("clear", kind=kind))
        return found

    def link(self, kind: str, name: str) -> Outcome:
        """A link or a process that is lost: `silent` or `closed` client, `stopped` or `killed` process."""
        rig, found = self.rig, Outcome("link", kind, name)
        lose, back = rig.losses(kind, name)
        rows = frozenset({"link.plant"} if name == "plant" else {f"watchdog.{name}"})
        self._inject(lose)
        if name == "fpga":
            time.sleep(0.2)
        elif self._watch(found, 3.0) is None:
            found.wrong += [] if found.strange else ["beam stays on"]
        else:
            self._judge(found, rows)
        self._mend(found, back)
        return found

    # --- steps of a trial ----------------------------------------------------------------------

    def _inject(self, act: Callable[[], Any]) -> None:
        if self.rig.reading("fpga", "fpga.spot") > USED * SPOTS * ENERGIES:
            with suppress(Refused):
                self.rig.fpga("terminate", cause="most of the map is used up")
        self.rig.beam()
        self.rig.events.clear()
        self._injected_tick = int(self.rig.fpga("status").body["tick"])
        self._injected_ns = time.time_ns()
        act()

    def _watch(self, found: Outcome, limit_s: float) -> dict[str, Any] | None:
        """The trip that follows, beam measured off; without one in time, beam found right."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for event in self.rig.events[:]:
                if event.get("event") == "trip":
                    return self._tripped(found, event)
            if self.rig.state() is State.COMPLETE:
                found.strange = "the map ended"
                break
            time.sleep(0.005)
        self._correct(found)
        return None

    def _tripped(self, found: Outcome, event: dict[str, Any]) -> dict[str, Any]:
        found.first = str(event["input"])
        factor = self.rig.site.clock_factor
        travel_ns = (event["beam_off_tick"] - event["tick"]) * 8 / factor
        found.off_s = (event["wall_ns"] + travel_ns - self._injected_ns) / 1e9
        self._off(found)
        return event

    def _off(self, found: Outcome) -> None:
        """Beam is off as measured: the monitors count nothing more, and the hardware says so."""
        before = self.rig.fpga("read_counters")
        time.sleep(0.03)
        after = self.rig.fpga("read_counters")
        if after.body["state"] != "TRIPPED" or self.rig.fpga("status").body["beam"]:
            found.wrong.append(f"beam is not off: {after.body['state']}")
        if not np.array_equal(before.arrays["primary"], after.arrays["primary"]):
            found.wrong.append("the monitors count after the trip")

    def _correct(self, found: Outcome) -> None:
        """Spots that began and ended since the fault are where the map wants them, with their counts."""
        limits = self.rig.site.monitor["tolerance"]
        counts, wanted = self.rig.fpga("read_counters").arrays, self.rig.fpga("read_map").arrays
        fresh = counts["start_tick"] > self._injected_tick
        done = np.flatnonzero((counts["primary"] >= wanted["preset"]) & fresh)
        off = max(float(np.max(np.abs(counts[a][done] - wanted[a][done]), initial=0.0)) for a in "xy")
        over = (counts["primary"][done] - wanted["preset"][done]) / wanted["preset"][done]
        gap = np.abs(counts["primary"] - counts["secondary"])[done] / wanted["preset"][done]
        if off > limits["position_absolute_mm"]:
            found.wrong.append(f"spots {off:.2f} mm off and no trip")
        if np.max(over, initial=0.0) > limits["spot_mu_relative"]:
            found.wrong.append(f"spots {np.max(over):.2%} over their preset and no trip")
        if np.max(gap, initial=0.0) > limits["secondary_relative"]:
            found.wrong.append(f"monitors differ by {np.max(gap):.1%} and no trip")

    def _judge(self, found: Outcome, allowed: frozenset[str]) -> None:
        if found.first in allowed:
            return
        if found.first.startswith(LINK_ROWS):
            found.strange = found.first
        else:
            right = ", ".join(sorted(allowed)[:4]) or "none"
            found.wrong.append(f"first fault {found.first}, right are {right}")

    def _no_reset(self, case: Case, found: Outcome) -> None:
        """While the cause is there, a reset clears nothing, neither at the interlock nor at the device."""
        rig = self.rig
        if case.effect is Effect.TRIP and case.code and FAMILIES[case.family].latching:
            try:
                rig.plant("reset", device=case.device.wire)
                found.wrong.append("the device's reset cleared a fault whose cause is there")
            except Refused:
                pass
        with suppress(Refused):
            rig.fpga("reset", user=USER, roles=ROLES)
        status = rig.fpga("status").body
        entry = status["inputs"][found.first]
        if entry["ok"] is False and (status["state"] != "TRIPPED" or not entry["latched"]):
            found.wrong.append(f"reset cleared {found.first} while it is bad: state {status['state']}")
        if case.effect is Effect.TRIP and not found.strange:
            with suppress(Refused):
                rig.fpga("resume")
                found.wrong.append("beam could be resumed while the cause is there")

    def _demand(self, case: Case, found: Outcome) -> None:
        """A contact that is welded says nothing until it is asked: the other one must take beam away."""
        do, undo = DEMANDS[case.family]
        self.rig.beam()
        self.rig.events.clear()
        self._injected_ns = time.time_ns()
        self.rig.plant(do, device=case.device.wire)
        if case.spared:
            time.sleep(WATCH_S[Effect.QUIET])
        elif self._watch(found, WATCH_S[Effect.TRIP]) is None:
            found.wrong += [] if found.strange else [f"{do}: beam stays on"]
        else:
            self._judge(found, case.own | case.near)
        self.rig.plant(undo, device=case.device.wire)

    def _fast_off_fails(self, found: Outcome) -> Outcome:
        """It shows at a trip only: the next stage takes the beam, and beam.unexpected is latched."""
        rig = self.rig
        self._inject(lambda: rig.fpga("fault", kind="fast_off_fails"))
        rig.dead.add("interlock")
        trip = self._watch(found, 3.0)
        rig.dead.discard("interlock")
        if trip is None:
            found.wrong += [] if found.strange else ["beam stays on"]
        elif trip["beam_off_tick"] == trip["tick"]:
            found.strange = "between two spills"
        else:
            until(lambda: "beam.unexpected" in self._latched(), "beam.unexpected latches", 3.0)
        self._mend(found, lambda: rig.fpga("clear", kind="fast_off_fails"))
        return found

    def _latched(self) -> set[str]:
        inputs = self.rig.fpga("status").body["inputs"]
        return {name for name, entry in inputs.items() if entry["latched"]}

    def _mend(self, found: Outcome, act: Callable[[], Any]) -> None:
        if why := self._repair.mend(act):
            found.wrong.append(why)
