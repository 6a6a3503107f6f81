"""What a restore would write, in which order, and what it cannot write and why: a dry run.

Only what differs by more than its tolerance is written. Nothing is written whose present value is not
known, because it could not be put back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from common.text import _
from device_servers.services.settings.compare import same
from device_servers.services.settings.configuration import COMMANDS, Row
from device_servers.services.settings.reading import Reading, Value, kind_of, unreadable

GONE = unreadable("not read", 0.0)


class Verdict(StrEnum):
    """What becomes of a row."""

    WRITE = "write"
    REFUSED = "refused"
    """It differs and cannot be written: a restore is incomplete without it."""
    LEFT = "left"
    """It differs and need not be written, such as the set value of a supply that will be off."""


@dataclass(frozen=True)
class Step:
    """One row that differs. command: for a State, what is sent; "" writes the value."""

    row: Row
    group: str
    wanted: Value
    now: Value | None
    verdict: Verdict
    why: str = ""
    command: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON values, for lists and records."""
        return {
            "name": self.row.name,
            "group": self.group,
            "wanted": self.wanted,
            "now": self.now,
            "verdict": self.verdict.value,
            "why": self.why,
            "command": self.command,
            "row": asdict(self.row),
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> "Step":
        """The step of a record. Raises KeyError, TypeError, ValueError for something else."""
        return Step(
            Row(**body["row"]),
            body["group"],
            body["wanted"],
            body["now"],
            Verdict(body["verdict"]),
            body["why"],
            body["command"],
        )


@dataclass(frozen=True)
class Plan:
    """groups: all of the settings, in order. steps: in the order of groups, then of names."""

    groups: tuple[str, ...]
    steps: tuple[Step, ...]
    same: int
    kept_only: int
    """Rows that differ and that no restore writes."""

    def of(self, verdict: Verdict) -> list[Step]:
        """The steps of one verdict."""
        return [step for step in self.steps if step.verdict is verdict]

    def as_json(self) -> dict[str, Any]:
        """As JSON values, without the rows' own terms."""
        rows = [{k: v for k, v in step.as_json().items() if k != "row"} for step in self.steps]
        return {"groups": list(self.groups), "steps": rows, "same": self.same, "kept_only": self.kept_only}


Check = Callable[[Row, Value], str]
"""Why a row cannot be brought to a value by this user now; "" when it can."""


@dataclass
class _Making:
    """A plan on its way."""

    groups: Sequence[str]
    check: Check
    steps: list[Step] = field(default_factory=list)
    same: int = 0
    kept_only: int = 0

    def take(self, row: Row, wanted: Reading, now: Reading, *, off: bool) -> None:
        """Judge one row. off: the snapshot has its device switched off."""
        if same(row, wanted, now):
            self.same += 1
            return
        if not row.groups:
            self.kept_only += 1
            return
        if wanted.value is None:
            self._add(row, wanted, now, Verdict.REFUSED, _("the snapshot does not know its value"))
            return
        value = "ON" if row.switched and wanted.value == "MOVING" and "ON" in row.groups else wanted.value
        if row.switched and value == _standing(row, now):
            self.same += 1
        elif not (group := row.group(value)):
            text = _("no restore brings it to {state}")
            self._add(row, wanted, now, Verdict.REFUSED, text.format(state=value))
        elif off and not row.switched:
            self._add(row, wanted, now, Verdict.LEFT, _("the device is off in the snapshot"), group)
        else:
            self._judge(row, Reading(value, wanted.quality, wanted.time), now, group)

    def _judge(self, row: Row, wanted: Reading, now: Reading, group: str) -> None:
        assert wanted.value is not None
        if now.value is None:
            text = _("its present value is not known, so it could not be put back ({why})")
            why = text.format(why=now.why or now.quality)
        elif kind_of(now.value) != kind_of(wanted.value):
            why = _("its value has another type than in the snapshot")
        elif row.switched and not row.group(_standing(row, now)):
            why = _("it is {state} now and could not be brought back there").format(state=now.value)
        else:
            why = self.check(row, wanted.value)
        self._add(row, wanted, now, Verdict.REFUSED if why else Verdict.WRITE, why, group)

    def _add(
        self, row: Row, wanted: Reading, now: Reading, verdict: Verdict, why: str = "", group: str = ""
    ) -> None:
        command = COMMANDS.get(str(wanted.value), "") if row.switched else ""
        value = "" if wanted.value is None else wanted.value
        standing = _standing(row, now) if row.switched else now.value
        self.steps.append(Step(row, group, value, standing, verdict, why, command))


def make(
    rows: Iterable[Row],
    groups: Sequence[str],
    wanted: Mapping[str, Reading],
    now: Mapping[str, Reading],
    check: Check,
) -> Plan:
    """The plan that brings `rows` from `now` to `wanted`."""
    listed = list(rows)
    off = {row.device for row in listed if row.switched and wanted.get(row.name, GONE).value == "OFF"}
    making = _Making(groups, check)
    for row in listed:
        making.take(row, wanted.get(row.name, GONE), now.get(row.name, GONE), off=row.device in off)
    order = {group: place for place, group in enumerate(groups)}
    making.steps.sort(key=lambda step: (order.get(step.group, len(order)), step.row.name))
    return Plan(tuple(groups), tuple(making.steps), making.same, making.kept_only)


def _standing(row: Row, now: Reading) -> Value | None:
    """The present state of a switched device: one that moves to its set value is on."""
    return "ON" if now.value == "MOVING" and "ON" in row.groups else now.value


def moved_since(plan: Plan, now: Mapping[str, Reading]) -> list[str]:
    """Attributes to write that are no longer what the plan saw: somebody else has changed them."""
    return [step.row.name for step in plan.of(Verdict.WRITE) if not stands_at(step, step.now, now)]


def stands_at(step: Step, value: Value | None, now: Mapping[str, Reading]) -> bool:
    """Whether the attribute of a step has a value now, within its tolerance."""
    reading = now.get(step.row.name, GONE)
    if step.row.switched:
        return value is not None and _standing(step.row, reading) == value
    return same(step.row, Reading(value, reading.quality, reading.time), reading)


def reverse(plan: Plan, now: Mapping[str, Reading], check: Check, *, force: bool) -> Plan:
    """The plan that takes back what a plan has written, the last group first.

    What stands neither at the value written nor at the one before was changed by somebody else since: it
    is refused unless `force`.
    """
    steps: list[Step] = []
    untouched = 0
    for step in plan.of(Verdict.WRITE):
        assert step.now is not None
        if stands_at(step, step.now, now):
            untouched += 1
            continue
        reading = now.get(step.row.name, GONE)
        ours = stands_at(step, step.wanted, now)
        why = check(step.row, step.now)
        if not ours and not force:
            text = _("it is {value} now, neither what was written nor what was before")
            why = text.format(value=reading.value if reading.known else reading.why)
        command = COMMANDS.get(str(step.now), "") if step.row.switched else ""
        verdict = Verdict.REFUSED if why else Verdict.WRITE
        steps.append(Step(step.row, step.group, step.now, reading.value, verdict, why, command))
    groups = tuple(reversed(plan.groups))
    order = {group: place for place, group in enumerate(groups)}
    steps.sort(key=lambda step: (order.get(step.group, len(order)), step.row.name))
    return Plan(groups, tuple(steps), untouched, 0)
