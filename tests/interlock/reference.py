"""The table evaluated plainly, row by row with dicts and sets: a second opinion on the interlock."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.bits import Value
from interlock.table import Input, Kind, Latch, Matrix


@dataclass
class Plain:
    """Written from the documentation of the rules, without bits. Masks: name -> tick of the end."""

    matrix: Matrix
    latched: set[str] = field(default_factory=set)
    masks: dict[str, int] = field(default_factory=dict)
    armed: set[str] = field(default_factory=set)
    since: dict[str, int] = field(default_factory=dict)
    tested_until: int = 0
    stage: int | None = None  # the beam-off stage that is awaited
    until: int = 0
    permitted: bool = False
    escalated: str = ""  # "held" or "down"
    level: int = 0
    trips: dict[str, int] = field(default_factory=dict)
    first: tuple[str, int] | None = None

    def good(self, row: Input, inputs: Mapping[str, Value]) -> bool:
        value = inputs.get(row.name)
        if not row.paired:
            return value is True
        return isinstance(value, tuple) and all(part is True for part in value)

    def differ(self, row: Input, inputs: Mapping[str, Value]) -> bool:
        value = inputs.get(row.name)
        if not row.paired or not isinstance(value, tuple):
            return False
        return (value[0] is True) != (value[1] is True)

    def step(self, tick: int, inputs: Mapping[str, Value], confirmed: Mapping[str, bool]) -> dict[str, bool]:
        good = {row.name: self.good(row, inputs) for row in self.matrix.inputs}
        before = set(self.latched)
        service = good[self.matrix.service_key] and self.matrix.service_key not in before
        self.masks = {name: end for name, end in self.masks.items() if service and end > tick}
        self._compare(tick, inputs)
        isolated = {
            room for room, key in self.matrix.isolation_keys.items() if good[key] and key not in self.latched
        }
        self._latch(good, isolated)
        for name in self.matrix.input_names:
            if name in self.latched - before:
                self.trips[name] = self.trips.get(name, 0) + 1
                self.first = self.first or (name, tick)
        stops = [
            row
            for row in self.matrix.inputs
            if (not good[row.name] or row.name in self.latched) and row.name not in self.masks
        ]
        permits = {}
        for output in self.matrix.outputs:
            cuts = [row for row in stops if output.name in row.cuts]
            permits[output.name] = all(
                row.room and row.room != output.room and row.room in isolated for row in cuts
            )
        if self.matrix.self_test_ticks and tick >= self.tested_until:
            permits = dict.fromkeys(permits, False)
        for name in self._held(tick, permits[self.matrix.fast_output], confirmed):
            permits[name] = False
        return permits

    def _compare(self, tick: int, inputs: Mapping[str, Value]) -> None:
        for row in self.matrix.inputs:
            if not self.differ(row, inputs):
                self.since.pop(row.name, None)
            elif tick - self.since.setdefault(row.name, tick) > row.discrepancy_ticks:
                self.latched.add(row.name)

    def _latch(self, good: Mapping[str, bool], isolated: set[str]) -> None:
        asked = any(good[name] for name in self.matrix.arming)
        armed = {row.name for row in self.matrix.inputs if asked and row.room not in isolated}
        for row in self.matrix.inputs:
            if good[row.name] or row.name in self.masks:
                continue
            if row.latch is Latch.ALWAYS or (row.latch is Latch.ARMED and row.name in armed | self.armed):
                self.latched.add(row.name)
        self.armed = armed

    def _held(self, tick: int, permitted: bool, confirmed: Mapping[str, bool]) -> set[str]:
        stages = self.matrix.beam_off
        if not stages:
            return set()
        if self.stage is not None:
            if tick > self.until and self.stage + 1 < len(stages):
                self.stage += 1
                self.until = tick + stages[self.stage].within_ticks
            elif tick > self.until:
                self.escalated, self.stage = "down", None
            elif confirmed.get(stages[self.stage].confirm) is True:
                self.escalated, self.level, self.stage = ("held" if self.stage else ""), self.stage, None
        elif not self.escalated and self.permitted and not permitted:
            self.stage, self.until = 0, tick + stages[0].within_ticks
            self.permitted = False
        elif not self.escalated:
            self.permitted = permitted
        if self.escalated == "down":
            return set(self.matrix.output_names)
        last = self.stage if self.stage is not None else self.level if self.escalated else -1
        return {name for stage in stages[: last + 1] for name in stage.outputs}

    def reset(self, roles: set[str], inputs: Mapping[str, Value], beam_gone: bool) -> set[str]:
        """The latches that go; ends an escalation where it may."""
        cleared = {
            name
            for name in self.latched
            if self.good(self.matrix.input(name), inputs)
            and roles & self.matrix.reset_roles.get(self.matrix.input(name).family, frozenset())
        }
        self.latched -= cleared
        trusted = any(
            roles & allowed for family, allowed in self.matrix.reset_roles.items() if family == "patient"
        )
        if self.escalated and beam_gone and trusted:
            self.escalated = ""
        if not self.latched:
            self.first = None
        return cleared

    def may_mask(self, row: Input, roles: set[str], inputs: Mapping[str, Value]) -> bool:
        key = self.matrix.input(self.matrix.service_key)
        return (
            row.maskable
            and row.kind is Kind.FAULT
            and row.family not in self.matrix.unmaskable
            and self.good(key, inputs)
            and key.name not in self.latched
            and bool(roles & self.matrix.mask_roles.get(row.family, frozenset()))
        )
