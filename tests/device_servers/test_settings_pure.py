"""Settings without Tango: tolerances, plans and their reverse, restores of a machine that misbehaves."""

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from common import hashchain
from common import site as sites
from common.errors import BadConfig, LinkLost, PtcsError, Refused, Tampered
from common.hashchain import ChainLog
from device_servers.classes import class_named
from device_servers.services.epics.catalogue import catalogue
from device_servers.services.settings import snapshot as snapshots
from device_servers.services.settings.compare import Kind, compare
from device_servers.services.settings.configuration import Row, load
from device_servers.services.settings.perform import Performance
from device_servers.services.settings.plan import Plan, Step, Verdict, make, reverse
from device_servers.services.settings.reading import Reading, apart, reading, unreadable
from device_servers.services.settings.restore_states import TABLE, Event, State, after
from device_servers.services.settings.snapshot import Head, Snapshot
from device_servers.services.settings.store import Store

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")

GROUPS = ("off", "on", "first", "second")
A, B, S = "d/a/1/Value", "d/b/1/Value", "d/a/1/State"


def row(name: str, group: str = "first", **more: Any) -> Row:
    groups = {"OFF": "off", "ON": "on"} if name.endswith("State") else {"": group} if group else {}
    return Row(name, groups, name, **{"absolute": 0.1, "settle_s": 1.0, **more})


def are(**values: Any) -> dict[str, Reading]:
    names = {"a": A, "b": B, "s": S}
    return {names[key]: reading(value, "VALID", 1.0) for key, value in values.items()}


def may(_row: Row, _value: Any) -> str:
    return ""


@dataclass
class Machine:
    """A World of plain values. `sticky` take no value, `refusing` refuse, `going` lose the link."""

    values: dict[str, Any]
    sticky: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    forbidding: Callable[[], str] = lambda: ""
    clock: float = 0.0

    def read(self, names: Iterable[str]) -> Mapping[str, Reading]:
        return {name: reading(self.values[name], "VALID", self.clock) for name in names}

    def write(self, step: Step) -> None:
        name = step.row.name
        self.log.append(name)
        if name in self.refusing:
            raise LinkLost("gone")
        if name not in self.sticky:
            self.values[name] = step.wanted

    def server(self, step: Step) -> str:
        return "one"

    def forbidden(self) -> str:
        return self.forbidding()

    def now(self) -> float:
        return self.clock

    def wait(self, seconds: float) -> None:
        self.clock += seconds


def perform(plan: Plan, machine: Machine, stop: threading.Event | None = None) -> Any:
    return Performance(plan, machine, stop or threading.Event()).run()


# --- Comparison


NUMBERS = st.floats(-1e6, 1e6)


@pace(deadline=None)
@given(NUMBERS, NUMBERS, st.floats(0, 10), st.floats(0, 1))
def test_two_numbers_are_the_same_within_the_larger_tolerance(
    left: float, right: float, absolute: float, relative: float
) -> None:
    same = apart(left, right, absolute, relative) <= 1.0
    assert same == (abs(right - left) <= max(absolute, relative * abs(left)) or left == right)
    assert apart(left, left, 0.0, 0.0) == 0.0


def test_differences_come_farthest_first_and_the_unknown_is_never_left_out() -> None:
    names = ("near", "far", "word", "lost", "type", "same", "dark", "list")
    rows = [Row(name, {}, name, absolute=0.1) for name in names]
    left = {
        "near": 1.0,
        "far": 1.0,
        "word": "A",
        "lost": 1.0,
        "type": 1.0,
        "same": 1.0,
        "dark": None,
        "list": [1.0],
    }
    right = {
        "near": 1.2,
        "far": 9.0,
        "word": "B",
        "lost": None,
        "type": "1",
        "same": 1.05,
        "dark": None,
        "list": [1.0, 2.0],
    }
    found = compare(rows, *({k: Reading(v, "", 0.0) for k, v in side.items()} for side in (left, right)))
    assert [one.name for one in found.differences] == ["type", "lost", "list", "word", "far", "near"]
    assert [one.kind for one in found.differences][:2] == [Kind.TYPE, Kind.UNKNOWN]
    assert (found.same, found.unknown) == (1, ("dark",))
    json.dumps(found.as_json(), allow_nan=False)


def test_nan_and_infinity_are_not_known() -> None:
    for value in (math.nan, math.inf, -math.inf):
        assert not reading(value, "VALID", 0.0).known


# --- Plans


def test_a_plan_writes_only_what_left_its_tolerance_in_the_order_of_groups() -> None:
    rows = [row(A, "second"), row(B, "first"), row("d/c/1/Value")]
    now = {**are(a=2.0, b=3.0), "d/c/1/Value": reading(1.05, "VALID", 1.0)}
    wanted = {**are(a=1.0, b=1.0), "d/c/1/Value": reading(1.0, "VALID", 1.0)}
    plan = make(rows, GROUPS, wanted, now, may)
    assert [(step.row.name, step.verdict) for step in plan.steps] == [(B, Verdict.WRITE), (A, Verdict.WRITE)]
    assert plan.same == 1


@pytest.mark.parametrize(
    ("wanted", "now", "why"),
    [
        (None, 1.0, "does not know"),
        (1.0, None, "could not be put back"),
        (1.0, "one", "another type"),
        (1.0, True, "another type"),
    ],
)
def test_what_cannot_be_written_says_why(wanted: Any, now: Any, why: str) -> None:
    plan = make([row(A)], GROUPS, {A: Reading(wanted, "", 0.0)}, {A: Reading(now, "", 0.0)}, may)
    assert [step.verdict for step in plan.steps] == [Verdict.REFUSED] and why in plan.steps[0].why


def test_the_set_value_of_what_will_be_off_is_left() -> None:
    rows = [row(S), row(A)]
    plan = make(rows, GROUPS, are(s="OFF", a=1.0), are(s="ON", a=2.0), may)
    assert [(step.command, step.verdict) for step in plan.steps] == [
        ("Off", Verdict.WRITE),
        ("", Verdict.LEFT),
    ]
    assert make(rows, GROUPS, are(s="ON", a=1.0), are(s="MOVING", a=1.0), may).steps == ()
    faulty = make(rows, GROUPS, are(s="ON", a=1.0), are(s="FAULT", a=1.0), may)
    assert [step.verdict for step in faulty.steps] == [Verdict.REFUSED]


VALUES = st.fixed_dictionaries(
    {"a": st.integers(0, 5), "b": st.integers(0, 5), "s": st.sampled_from(["ON", "OFF"])}
)


@pace(deadline=None)
@given(VALUES, VALUES)
def test_a_restore_arrives_and_its_reverse_brings_everything_back(wanted: Any, now: Any) -> None:
    rows = [row(S), row(A, "first"), row(B, "second")]
    machine = Machine({A: now["a"], B: now["b"], S: now["s"]})
    before = dict(machine.values)
    plan = make(rows, GROUPS, are(**wanted), are(**now), may)
    assert perform(plan, machine).good
    assert machine.values[B] == wanted["b"] and machine.values[S] == wanted["s"]
    if wanted["s"] == "ON":
        assert machine.values[A] == wanted["a"]
    forth = list(machine.log)
    back = reverse(plan, machine.read([A, B, S]), may, force=False)
    assert perform(back, machine).good and machine.values == before
    assert machine.log[len(forth) :] == forth[::-1]


# --- A machine that misbehaves


def plan_of_two() -> tuple[Plan, Machine]:
    machine = Machine({A: 2.0, B: 3.0})
    return make([row(A), row(B, "second")], GROUPS, are(a=1.0, b=1.0), are(a=2.0, b=3.0), may), machine


def test_a_value_that_does_not_arrive_in_its_time_ends_the_restore() -> None:
    plan, machine = plan_of_two()
    machine.sticky.add(A)
    outcome = perform(plan, machine)
    assert list(outcome.failed) == [A] and machine.log == [A]
    assert 1.0 < machine.clock < 1.5


def test_a_device_that_is_gone_ends_the_restore() -> None:
    plan, machine = plan_of_two()
    machine.refusing.add(B)
    outcome = perform(plan, machine)
    assert outcome.failed == {B: "gone"} and outcome.written == [A] and outcome.attempted == [A, B]


def test_beam_and_a_user_stop_it_before_the_next_group() -> None:
    plan, machine = plan_of_two()
    machine.forbidding = lambda: "beam" if machine.log else ""
    outcome = perform(plan, machine)
    assert (outcome.stopped, outcome.written) == ("beam", [A])
    plan, machine = plan_of_two()
    stop = threading.Event()
    stop.set()
    outcome = perform(plan, machine, stop)
    assert outcome.stopped and machine.log == []


def test_what_somebody_else_has_changed_is_not_taken_back_unless_forced() -> None:
    plan, machine = plan_of_two()
    assert perform(plan, machine).good
    machine.values[A] = 7.0
    back = reverse(plan, machine.read([A, B]), may, force=False)
    assert {step.row.name: step.verdict for step in back.steps} == {A: Verdict.REFUSED, B: Verdict.WRITE}
    forced = reverse(plan, machine.read([A, B]), may, force=True)
    assert [step.verdict for step in forced.steps] == [Verdict.WRITE, Verdict.WRITE]


# --- What is kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def snap(store: Store, *readings: Reading) -> Snapshot:
    rows = tuple(row(f"d/{number}/1/Value") for number in range(len(readings)))
    head = Head(store.new_id(), "demo", "magnets", 1, "abc", 1.0, 2.0, "otto", "束流 comment")
    return Snapshot(head, GROUPS, rows, readings, {"d/0/1": ["ON", "OK", "ONLINE"]})


def test_a_snapshot_comes_back_as_it_was(store: Store) -> None:
    values = (1.5, 3, True, "word", [1.0, None], None)
    made = snap(store, *(Reading(value, "VALID", 1.0) for value in values), unreadable("gone", 2.0))
    line = store.add(made, ["x"])
    assert store.read(line.summary["id"]) == made
    assert line.summary["unreadable"] == 1
    with pytest.raises(Tampered):
        snapshots.from_bytes(snapshots.to_bytes(made) + b" ", line.sha256)


def test_a_full_disk_keeps_nothing_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    made = snap(store, reading(1.0, "VALID", 1.0))
    with monkeypatch.context() as patch:
        patch.setattr("device_servers.services.settings.store.write_atomic", full)
        with pytest.raises(Refused, match="free disk space"):
            store.add(made, [])
    with monkeypatch.context() as patch:
        patch.setattr(ChainLog, "append", full)
        with pytest.raises(Refused, match="free disk space"):
            store.add(made, [])
    assert store.find({}) == [] and not list((store.folder / "snapshots").iterdir())
    store.add(made, [])
    assert hashchain.verify(store.folder / "settings.log") == 1


def test_a_changed_log_keeps_nothing_more(tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.add(snap(first, reading(1.0, "VALID", 1.0)), ["x"])
    first.close()
    path = tmp_path / "settings.log"
    path.write_bytes(path.read_bytes().replace(b"otto", b"anna"))
    again = Store(tmp_path)
    assert "cannot be trusted" in again.broken
    with pytest.raises(Refused):
        again.add(snap(again, reading(1.0, "VALID", 1.0)), [])
    again.close()


def test_the_table_of_restores_leads_from_running_to_rolled_back() -> None:
    for state, moves in TABLE.items():
        for event in Event:
            if event in moves:
                assert after(state, event) is moves[event]
            else:
                with pytest.raises(PtcsError):
                    after(state, event)
    assert not TABLE[State.ROLLED_BACK]


# --- Configurations


def test_every_site_has_settings_that_fit_it() -> None:
    for name in ("demo", "synchrotron", "cyclotron"):
        site = sites.load(sites.CONFIG / f"{name}.yaml")
        assert site.settings_path is not None
        found = load(site.settings_path, site, catalogue(site, class_named))
        machine = found.configurations["machine"]
        parts = {one.name for part in found.configurations.values() for one in part.rows}
        assert parts == {one.name for one in machine.rows}
        assert any(one.groups for one in machine.rows)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("[{attributes: nothing/*}]", "matches no attribute"),
        ("[{attributes: 'acs/magnet/*/Current', group: one}]", "cannot be written"),
        ("[{attributes: 'acs/magnet/*/CurrentSetpoint', group: two}]", "no group two"),
        ("[{attributes: 'acs/magnet/*/CurrentSetpoint', readback: Charm}]", "readback"),
        ("[{state: 'acs/water/*', groups: {'ON': one}}]", "no command On"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_line(tmp_path: Path, rows: str, why: str) -> None:
    path = tmp_path / "settings.yaml"
    head = "groups: [one]\nconfigurations:\n  a:\n    title: {en: a, zh: a}\n    version: 1\n"
    text = f"{head}    rows: {rows}\n"
    path.write_text(text)
    site = sites.load()
    with pytest.raises(BadConfig, match=f"line 6.*{why}"):
        load(path, site, catalogue(site, class_named))
    path.write_text(text.replace(f"rows: {rows}", "include: [a]"))
    with pytest.raises(BadConfig, match="circle"):
        load(path, site, catalogue(site, class_named))
