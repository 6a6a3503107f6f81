"""Register, meters, procedures, stepper and judgement without Tango: what they hold, and what they refuse."""

import copy
import inspect
import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import authority, site
from common.errors import BadConfig, LinkLost, Refused
from device_servers.classes import CLASSES
from device_servers.modes import Admin, Health
from device_servers.services.health.rollup import DeviceHealth
from device_servers.services.maintenance import plan, procedures, records, verdicts, view
from device_servers.services.maintenance.book import Book
from device_servers.services.maintenance.meters import LONGEST_S, Meters
from device_servers.services.maintenance.stepper import Run
from device_servers.services.maintenance.verdicts import Verdict

SYNCHROTRON = site.load(site.CONFIG / "synchrotron.yaml")
MAGNET = SYNCHROTRON.device("ring/magnet/dipole")
PLANS = plan.load()
SITES = [site.load(site.CONFIG / f"{name}.yaml") for name in ("demo", "synchrotron", "cyclotron")]
LISTS = [(where, name) for where in SITES for name in procedures.checklists(where)]
READING = {"hours": 0.0, "cycles": 0, "counter": 0.0}
FIT = {"device": MAGNET.name, "serial": "A1", "type": "", "maker": "", "reason": "", "replaces": ""}
FIT |= {"reading": READING}


def standing(name: str, state: str, health: Health = Health.OK, admin: Admin = Admin.ONLINE) -> DeviceHealth:
    return DeviceHealth(name, "s", state, health, admin, "")


class Desk:
    """A supply that does what it is told, unless it is broken."""

    def __init__(self, **broken):
        self.values = {"State": "OFF", "CurrentSetpoint": 12.0, "Current": 12.0, "InTolerance": True}
        self.values |= {"Temperature": 25.0, "Deviation": 0.001, "AdminMode": 0, "Status": "as it is"}
        self.broken, self.time, self.code, self.timing, self.done = broken, 0.0, 0, [], []
        self.answer = (True, "")

    def read(self, device, attribute):
        if self.broken.get("lost") == attribute:
            raise LinkLost("gone")
        return self.broken.get(attribute, self.values[attribute])

    def write(self, device, attribute, value):
        if not 0 <= value <= 2200.0 and not self.broken.get("takes_anything"):
            raise Refused("outside the limits")
        self.done.append((attribute, value))
        self.values |= {attribute: value, "Current": value * self.broken.get("gain", 1.0)}

    def command(self, device, name, argument):
        self.done.append((name, argument))
        self.values["State"] = {"On": "ON", "Off": "OFF"}.get(name, self.values["State"])
        if name == "On":
            self.code = self.broken.get("code", 0)
            self.timing = list(self.broken.get("timing", ()))

    def fault(self, device):
        return self.code

    def online(self, device):
        return self.values["AdminMode"] == 0

    def findings(self):
        return self.timing

    def confirm(self, step):
        if self.broken.get("interrupt") == step.name:
            raise KeyboardInterrupt
        return self.answer

    def pause(self, seconds):
        self.time += seconds

    def clock(self):
        return self.time

    def now(self):
        return (datetime(2026, 11, 22, 8, tzinfo=UTC) + timedelta(seconds=self.time)).isoformat()


def revalidated(**broken):
    """Desk and record of a magnet supply's re-validation."""
    procedure, desk = procedures.for_class("MagnetSupply"), Desk(**broken)
    about = {"kind": procedure.kind, "name": procedure.name, "digest": procedure.digest, "user": "ann"}
    run = Run(procedure, SYNCHROTRON, desk, MAGNET)
    return desk, {**about, "device": MAGNET.name, "serial": "A1", **run.perform()}


def judged(record) -> Verdict:
    return records.judge(procedures.for_class("MagnetSupply"), SYNCHROTRON, MAGNET, record)


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_hours_strokes_and_faults_are_counted_and_gaps_are_not() -> None:
    magnet, valve = "ring/magnet/dipole", "acs/vacuum/ring-valve-01"
    meters = Meters(plan.of_devices(PLANS, [SYNCHROTRON.device(magnet), SYNCHROTRON.device(valve)]))
    silent = standing(magnet, "GONE", Health.UNKNOWN)
    meters.look(0.0, [silent, standing(valve, "CLOSE")], str)
    assert meters.devices[magnet].faults == {}, "nobody has heard of it yet"
    states = ["ON"] * 10 + ["FAULT"] * 5 + ["OFF"] * 5
    ends = (["MOVING", "OPEN", "MOVING", "CLOSE"] * 5)[:20]
    for second, (state, end) in enumerate(zip(states, ends, strict=True), start=1):
        health = Health.FAILED if state == "FAULT" else Health.OK
        meters.look(
            float(second), [standing(magnet, state, health), standing(valve, end)], lambda _n: "ground"
        )
    meters.look(20.0 + LONGEST_S + 1, [standing(magnet, "ON"), standing(valve, "CLOSE")], str)
    own = meters.devices[magnet]
    assert (own.running_s, own.observed_s, own.down_s) == (10.0, 20.0, 5.0)
    assert (own.faults["ground"].count, own.faults["ground"].seconds) == (1, 5.0)
    assert meters.devices[valve].cycles == 10
    meters.look(52.0, [standing(magnet, "ON", admin=Admin.MAINTENANCE), standing(valve, "CLOSE")], str)
    assert (own.running_s, own.observed_s) == (11.0, 20.0), "wear counts in maintenance, uptime does not"
    row = next(row for row in meters.uptime() if row["name"] == "ring/magnet")
    assert row["uptime"] == pytest.approx(0.75)
    again = Meters(plan.of_devices(PLANS, [SYNCHROTRON.device(magnet)]))
    again.take(json.loads(json.dumps(meters.kept())))
    assert again.kept() == meters.kept()


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_a_counter_that_begins_again_goes_on_adding() -> None:
    meter = Meters(plan.of_devices(PLANS, [MAGNET])).devices[MAGNET.name]
    for value in (100.0, 250.0, 10.0, 30.0):
        meter.hear(value)
    assert meter.counter == 280.0


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_a_task_counts_from_when_it_was_done_last_else_from_the_exchange() -> None:
    filters = PLANS["MagnetSupply"]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    device = view.DeviceView()
    since = view.baselines(device, filters, began)
    now = began + timedelta(days=731)
    hours, months = sorted(plan.due("m", filters, now, {"hours": 3999.0}, since), key=lambda d: d.task.name)[
        ::-1
    ]
    assert (hours.task.kind, hours.share < 1) == ("hours", True)
    assert months.task.kind == "months" and months.share > 1, "two years are over"
    device.component = {"time": now.isoformat(), "reading": {"hours": 3000.0}}
    since = view.baselines(device, filters, began)
    used = {d.task.kind: d.used for d in plan.due("m", filters, now, {"hours": 3999.0}, since)}
    assert used == {"hours": 999.0, "months": 0.0}


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_the_register_survives_a_torn_write_and_finds_every_alteration(tmp_path) -> None:
    book = Book(tmp_path)
    book.append("ann", "fit", FIT)
    book.append("ann", "exchange", {**FIT, "serial": "A2", "replaces": "A1"})
    pending = book.view.pending
    book.close()
    log = tmp_path / "register.log"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"hash": "half of an ent')
    book = Book(tmp_path)
    assert not book.broken and book.view.pending == pending
    assert book.view.device(MAGNET.name).component["serial"] == "A2"
    book.close()
    lines = whole.splitlines(keepends=True)
    for bad in (whole.replace(b"A2", b"A3"), lines[1], lines[0], b"", lines[1] + lines[0], b"\xff" + whole):
        log.write_bytes(bad)
        book = Book(tmp_path)
        assert book.broken, bad
        with pytest.raises(Refused):
            book.append("ann", "fit", FIT)
        assert log.read_bytes() == bad, "what was altered stays as evidence"
        book.close()


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_a_full_disk_keeps_nothing_and_the_register_goes_on(tmp_path, monkeypatch) -> None:
    book = Book(tmp_path)
    book.append("ann", "fit", FIT)

    def full(_entry):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(book._chain, "append", full)
    with pytest.raises(Refused, match="disk"):
        book.append("ann", "exchange", {**FIT, "serial": "A2"})
    assert book.view.pending == {} and book.view.length == 1
    book.append("ann", "exchange", {**FIT, "serial": "A2"})
    assert list(book.view.pending) == [MAGNET.name]
    book.close()


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_a_work_order_goes_its_way_only_and_a_major_one_leaves_its_device_pending(tmp_path) -> None:
    book = Book(tmp_path)
    order = {"number": 1, "device": MAGNET.name, "what": "w", "major": True, "note": ""}
    book.append("ann", "order", {**order, "to": "OPEN"})
    with pytest.raises(Refused, match="IN_PROGRESS"):
        book.view.check_order(1, view.Order.DONE)
    with pytest.raises(Refused):
        book.view.check_order(2, view.Order.DONE)
    book.append("ann", "order", {**order, "to": "IN_PROGRESS"})
    assert book.view.pending == {}
    book.append("ann", "order", {**order, "to": "DONE"})
    assert list(book.view.pending) == [MAGNET.name]
    late = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    fields = {"device": MAGNET.name, "hash": "h", "signature": "", "record": {"started": late}}
    book.append("ann", "record", {**fields, "passed": False})
    assert list(book.view.pending) == [MAGNET.name], "a failed one changes nothing"
    book.append("ann", "record", {**fields, "passed": True})
    assert book.view.pending == {} and book.view.orders[1].record == "h"
    book.close()


def members(tango_class: str) -> set[str]:
    return {name for name, _value in inspect.getmembers(CLASSES[tango_class])} | {"State", "Status"}


@pytest.mark.requirement("ACS-REVALIDATE")
@pytest.mark.parametrize("path", sorted(procedures.REVALIDATION.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_procedure_names_what_its_class_has_and_limits_that_sites_give(path) -> None:
    procedure = procedures.for_class(path.stem)
    has = members(path.stem)
    assert {step.attribute for step in procedure.all_steps if step.attribute} <= has
    assert set(procedures.written(procedure)) <= has
    devices = [device for where in SITES for device in where.of_class(path.stem)]
    assert devices
    before = dict.fromkeys(procedures.written(procedure), 1.0)
    for step in procedure.all_steps:
        useful = 0
        for device in devices:
            try:
                limits = procedures.limits_of(step, device, before)
                procedures.value_of(step.spec.get("value"), device, before)
            except procedures.NotApplicable:
                continue
            useful += 1
            assert limits.allowed or limits.low <= limits.high, (device.name, step.name)
        assert useful, f"{step.name} concerns no device of any site"


@pytest.mark.requirement("ACS-MAINTENANCE")
@pytest.mark.parametrize(("where", "name"), LISTS, ids=[f"{where.name}-{name}" for where, name in LISTS])
def test_every_checklist_concerns_devices_that_have_what_it_asks_for(where, name) -> None:
    for step in procedures.checklist(where, name).steps:
        found = procedures.targets(step, where, None)
        assert found or step.kind == "confirm", step.name
        for tango_class in {device.tango_class for device in found}:
            assert step.attribute in members(tango_class), (step.name, tango_class)


@pytest.mark.requirement("ACS-REVALIDATE")
def test_malformed_procedures_are_refused_with_line_and_reason(tmp_path) -> None:
    text = (procedures.REVALIDATION / "SectorValve.yaml").read_text()
    bad = {
        "is: [CLOSE]": "is: [ON]",
        "command: Close": "command: Close\n    write: Position",
        "name: closed\n": "name: close\n",
        "limits: {low: 0.99, high: 1.0}": "limits: {}",
    }
    for old, new in bad.items():
        assert old in text
        (tmp_path / "SectorValve.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(BadConfig, match="line"):
            procedures.for_class("SectorValve", tmp_path)
    with pytest.raises(Refused, match="SectorValve"):
        procedures.for_class("Archiver", tmp_path)
    with pytest.raises(Refused):
        procedures.checklist(SYNCHROTRON, "../demo/start-up")


@pytest.mark.requirement("ACS-REVALIDATE")
def test_a_good_supply_passes_and_is_left_as_it_was() -> None:
    desk, record = revalidated()
    assert record["verdict"] == "PASSED" == judged(record)
    assert ("CurrentSetpoint", 1650.0) in desk.done
    assert desk.done[-2:] == [("CurrentSetpoint", 12.0), ("Off", None)]
    accuracy = next(content for content in record["steps"] if content["name"] == "accuracy")
    assert accuracy["readings"][0]["values"] == [1650.0] * 20
    assert accuracy["readings"][0]["low"] < 1650.0 < accuracy["readings"][0]["high"]


BROKEN = {
    "wrong current": ({"gain": 0.99}, "reach-test"),
    "fault code": ({"code": 3}, "on"),
    "timing error": ({"timing": ['{"fault": "late", "tick": 7}']}, "on"),
    "silent": ({"lost": "Temperature"}, "temperature"),
    "unknown value": ({"Temperature": math.nan}, "temperature"),
    "no limit": ({"takes_anything": True}, "beyond-limit"),
    "walks away": ({"interrupt": "polarity"}, "polarity"),
}


@pytest.mark.requirement("ACS-REVALIDATE")
@pytest.mark.parametrize(("broken", "where"), BROKEN.values(), ids=BROKEN)
def test_each_defect_fails_its_step_and_the_device_is_left_safe(broken, where) -> None:
    desk, record = revalidated(**broken)
    states = {content["name"]: content["verdict"] for content in record["steps"]}
    assert states[where] == "FAILED" and record["verdict"] == "FAILED"
    names = list(states)
    after = [name for name in names[names.index(where) + 1 :] if name not in ("set-back", "off")]
    assert all(states[name] == "SKIPPED" for name in after)
    assert desk.done[-1] == ("Off", None)
    assert judged(record) is Verdict.FAILED
    json.dumps(record, allow_nan=False)


def altered(record):
    """Ways to make a failed or incomplete record look good."""
    steps = {content["name"]: content for content in record["steps"]}
    reading = steps["accuracy"]["readings"][0]

    def put(target, key, value):
        target[key] = value

    return {
        "value outside": lambda: put(reading["values"], 3, 1.0),
        "limits widened": lambda: put(reading, "high", 1e9),
        "fewer samples": reading["values"].pop,
        "no reading": steps["accuracy"]["readings"].clear,
        "other device": lambda: put(reading, "device", "ring/magnet/qf"),
        "step missing": lambda: record["steps"].pop(3),
        "steps swapped": record["steps"].reverse,
        "skipped": lambda: put(steps["accuracy"], "verdict", "SKIPPED"),
        "not applicable": lambda: put(steps["accuracy"], "verdict", "NOT_APPLICABLE"),
        "fault hidden": lambda: steps["accuracy"]["faults"].append({"device": MAGNET.name, "code": 3}),
        "timing hidden": lambda: steps["accuracy"]["timing"].append("late"),
        "no answer": lambda: put(steps["polarity"], "answer", None),
        "never sent": lambda: put(steps["set-back"]["readings"][0], "outcome", "NOT_NEEDED"),
        "limit taken": lambda: put(steps["beyond-limit"]["readings"][0], "outcome", "DONE"),
        "other value written": lambda: put(steps["set-test"]["readings"][0], "values", [1.0]),
        "other procedure": lambda: put(record, "digest", "0" * 64),
        "verdict turned": lambda: put(record, "verdict", "FAILED"),
        "no steps": lambda: put(record, "steps", None),
    }


@pytest.mark.requirement("ACS-REVALIDATE")
@pytest.mark.parametrize("how", altered(revalidated()[1]))
def test_a_record_that_claims_more_than_it_shows_is_refused(how) -> None:
    _desk, record = revalidated()
    altered(record)[how]()
    with pytest.raises(Refused):
        judged(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GOOD = revalidated()[1]


@pytest.mark.requirement("ACS-REVALIDATE")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_part_of_a_record_replaced_is_refused_or_changes_no_verdict_to_the_better(data) -> None:
    record = copy.deepcopy(GOOD)
    target, path = record, []
    while True:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        key = data.draw(st.sampled_from(keys))
        path.append(key)
        if isinstance(target[key], dict | list) and target[key] and data.draw(st.booleans()):
            target = target[key]
            continue
        target[key] = data.draw(JSON)
        break
    try:
        verdict = judged(record)
    except Refused:
        return
    free = {
        "note",
        "from",
        "to",
        "started",
        "finished",
        "user",
        "device",
        "serial",
        "left_out",
        "kind",
        "name",
    }
    # A measured value may change within its limits, and a step that passed may be called failed.
    assert (
        verdict is Verdict.FAILED
        or path[-1] in free
        or "values" in path
        or "before" in path
        or (record == GOOD or path[-1] in ("answer", "note"))
    ), path


@pytest.mark.requirement("ACS-REVALIDATE")
def test_a_signature_is_for_one_record_one_person_one_meaning_and_one_day(tmp_path) -> None:
    authority.new_key(tmp_path / "k.pem", tmp_path / "p.pem")
    authority.new_key(tmp_path / "k2.pem", tmp_path / "p2.pem")
    key, other = (authority.load_private(tmp_path / name) for name in ("k.pem", "k2.pem"))
    _desk, record = revalidated()
    digest = verdicts.digest(record)
    good = {"purpose": "record", "hash": digest, "user": "ann", "meaning": "revalidation"}
    good |= {"time": record["finished"]}

    def check(statement, by=key):
        signed = authority.sign(by, statement)
        records.require_signature(tmp_path / "p.pem", signed, digest, "ann", record)

    check(good)
    late = (datetime.fromisoformat(record["finished"]) + timedelta(days=2)).isoformat()
    early = (datetime.fromisoformat(record["started"]) - timedelta(hours=2)).isoformat()
    changes = [("hash", "0" * 64), ("user", "bob"), ("meaning", "checklist"), ("purpose", "plan")]
    for field, value in [*changes, ("time", late), ("time", early), ("time", "noon")]:
        with pytest.raises(Refused):
            check({**good, field: value})
    with pytest.raises(Refused):
        check(good, by=other)
    with pytest.raises(Refused):
        records.require_signature(tmp_path / "none.pem", "a.b.c", digest, "ann", record)


@pytest.mark.requirement("ACS-REVALIDATE")
def test_times_must_be_in_order_after_the_exchange_and_not_in_the_future() -> None:
    _desk, record = revalidated()
    now = datetime.fromisoformat(record["finished"])
    records.require_times(record, "", now)
    records.require_times(record, record["started"], now)
    after = (datetime.fromisoformat(record["started"]) + timedelta(seconds=1)).isoformat()
    for changed, since, when in (
        (record, after, now),
        ({**record, "finished": "2020-01-01T00:00:00+00:00"}, "", now),
        (record, "", now - timedelta(hours=1)),
        ({**record, "started": "2026-11-22T08:00:00"}, "", now),
        ({**record, "started": 5}, "", now),
    ):
        with pytest.raises(Refused):
            records.require_times(changed, since, when)
