"""What the alarm server keeps: acknowledged is on disk, floods lose none, a full disk is said, restarts."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alarm_fakes import A, level, truth

from common.errors import Refused
from device_servers.services.alarms.announcer import Announcer, Manner, Recording, Waiting
from device_servers.services.alarms.attributes import Attribute, Origin
from device_servers.services.alarms.desk import Act
from device_servers.services.alarms.intake import Intake
from device_servers.services.alarms.keeper import Note
from device_servers.services.alarms.rules import Delays, Rule
from device_servers.services.alarms.service import Service
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.states import Event, State
from device_servers.services.alarms.store import Question, Store

pytestmark = pytest.mark.requirement("ACS-ALARM")

FLOOD = 1000
KILLS = int(os.environ.get("PTCS_ALARM_KILLS", "12"))


class Kept(Service):
    """A service whose rounds the test makes itself. `now` is both clocks."""

    def __init__(self, folder: Path, rules: list[Rule]) -> None:
        super().__init__(rules, folder, lambda: None, Recording())
        inputs = self.engine.inputs
        shapes = [Attribute(name, Origin.ALONE) for name in inputs.names]
        self.intake = Intake(inputs, self.engine.words, shapes, self.wake)
        self.drain = self.intake.drain
        self.now = time.time()

    def set(self, *values: float | None, wall: float | None = None) -> None:
        """Values of A, one batch each."""
        for value in values:
            self.intake.put({A: value}, self.now)
        self.now += 1.0
        self.step(self.now, self.now if wall is None else wall)

    def act(self, name: str, event: Event, text: str = "", until: float = float("inf")) -> list[str]:
        return self.desk.act([name], Act(event, Note("otto", text, self.now), until))[0]

    def state(self, name: str) -> State:
        return State(int(self.engine.states[self.engine.index[name]]))


def opened(folder: Path, rules: list[Rule]) -> Kept:
    service = Kept(folder, rules)
    service.writer.restore()
    return service


def again(service: Kept, rules: list[Rule]) -> Kept:
    """After a clean stop."""
    service.writer.flush()
    service.store.close()
    fresh = opened(service.store._path.parent, rules)
    fresh.now = service.now
    return fresh


RULES = [level("x", group="g"), level("y", group="g"), truth("brief", f"{A} > 50"), level("z")]


def test_a_restart_keeps_latched_shelved_acknowledged_and_out_of_service(tmp_path: Path) -> None:
    service = opened(tmp_path, RULES)
    service.set(0.0)
    service.set(60.0, 6.0)
    assert service.state("brief") is State.LATCHED  # it came and went between two rounds
    service.act("x", Event.ACK, "looked at it")
    service.act("y", Event.SHELVE, "known", until=service.now + 100)
    service.act("z", Event.DISABLE, "sensor broken")
    service = again(service, RULES)
    service.set(6.0)
    states = [service.state(name) for name in ("x", "y", "brief", "z")]
    assert states == [State.ACKED, State.SHELVED, State.LATCHED, State.DISABLED]
    assert service.keeper.notes[0] == Note("otto", "looked at it", service.keeper.notes[0].when)
    assert service.engine.groups.is_first(0)
    service.set(12.0)
    assert service.state("x") is State.UNACKED
    service.now += 200.0
    service.set(12.0)
    assert service.state("y") is State.UNACKED
    rows = service.store.find(Question()) if service.writer.flush() else []
    assert {"RAISE", "ACK", "SHELVE", "DISABLE", "EXPIRE", "ESCALATE"} <= {row["event"] for row in rows}
    assert [row["user"] for row in rows if row["event"] == "ACK"] == ["otto"]


def test_a_rule_that_is_gone_leaves_a_line(tmp_path: Path) -> None:
    service = opened(tmp_path, RULES)
    service.set(6.0)
    service = again(service, RULES[1:])
    assert [row["name"] for row in service.store.find(Question()) if row["event"] == "REMOVED"] == ["x"]
    assert "x" not in {row["name"] for row in service.store.standing()}


def test_a_count_of_an_earlier_server_brings_everything(tmp_path: Path) -> None:
    service = opened(tmp_path, RULES)
    service.set(0.0)
    service.set(6.0)
    count = service.engine.changes
    assert json.loads(service.board.since(count)) == {"changes": count, "all": False, "rows": [], "gone": []}
    time.sleep(0.005)
    service = again(service, RULES)
    told = json.loads(service.board.since(count))
    assert told["all"]
    assert {row["name"] for row in told["rows"]} == {"x", "y", "z"}
    assert not json.loads(service.board.since(told["changes"]))["all"]


def test_a_full_disk_stops_no_alarm_and_is_said(tmp_path: Path) -> None:
    rules = [level(f"f/{i}") for i in range(200)]
    service = opened(tmp_path, rules)
    service.set(0.0)
    assert service.writer.flush()
    service.store.limit_pages(service.store.pages())
    service.set(6.0)
    assert not service.writer.flush()
    assert "full" in service.writer.trouble
    assert all(state == State.UNACKED for state in service.engine.states)
    with pytest.raises(Refused, match="free disk space"):
        service.act("f/7", Event.ACK)
    assert service.state("f/7") is State.UNACKED
    service.set(12.0)
    assert service.engine.conditions.severity.min() == Severity.MAJOR
    service.store.limit_pages(0)
    assert service.writer.flush()
    assert service.writer.trouble == ""
    assert service.act("f/7", Event.ACK) == ["f/7"]
    events = [row["event"] for row in service.store.find(Question(most=10_000))]
    assert (events.count("RAISE"), events.count("ESCALATE"), events.count("ACK")) == (200, 200, 1)
    assert len(service.store.standing()) == 200


def test_a_clock_that_jumps_moves_expiry_and_no_delay(tmp_path: Path) -> None:
    service = opened(tmp_path, [level("x", delays=Delays(active=10.0)), level("y")])
    service.set(0.0)
    service.set(6.0)
    service.act("y", Event.SHELVE, "wait", until=service.now + 3600)
    service.step(service.now + 1.0, service.now + 86400.0)  # the wall clock jumps a day ahead
    assert (service.state("x"), service.state("y")) == (State.NORMAL, State.UNACKED)
    service.step(service.now + 9.0, service.now - 86400.0)
    assert service.state("x") is State.NORMAL
    service.step(service.now + 10.0, service.now - 86400.0)
    assert service.state("x") is State.UNACKED


def test_a_flood_loses_none_and_stays_usable(tmp_path: Path) -> None:
    rules = [truth(f"f/{i:04d}", f"{A} > {i}", group="flood") for i in range(FLOOD)]
    service = opened(tmp_path, rules)
    service.set(0.0)
    for some in range(20):
        service.set(*(float(some * 50 + step) for step in (10, 20, 50)))
        service.act(f"f/{some * 50:04d}", Event.ACK)
        assert service.board.counts()["acked"] == some + 1
    service.writer.flush()
    rows = service.store.find(Question(most=10_000))
    raised = [row["name"] for row in rows if row["event"] == "RAISE"]
    assert sorted(raised) == [rule.name for rule in rules]
    assert (service.board.counts()["unacked"], service.intake.lost) == (FLOOD - 20, 0)
    assert service.engine.groups.is_first(0)
    done, left = service.desk.act([rule.name for rule in rules], Act(Event.ACK, Note("otto", "all", 1.0)))
    assert (len(done), len(left)) == (FLOOD - 20, 20)


def test_an_alarm_that_comes_back_while_it_is_acknowledged_stays_unacknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(tmp_path, RULES)
    service.set(6.0)
    real = service.store.write

    def slow(changes: object) -> None:
        real(changes)  # type: ignore[arg-type]
        service.set(12.0)

    monkeypatch.setattr(service.store, "write", slow)
    done, left = service.desk.act(["x", "z"], Act(Event.ACK, Note("otto", "", 1.0)))
    assert (done, sorted(left)) == ([], ["x", "z"])
    assert service.state("x") is State.UNACKED
    monkeypatch.undo()
    service = again(service, RULES)
    service.set(12.0)
    assert service.state("x") is State.UNACKED


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "alarms.db").write_bytes(b"no database at all" * 1000)
    service = opened(tmp_path, RULES)
    assert service.store.damaged.startswith("damaged-")
    service.set(6.0)
    assert service.writer.flush()
    assert len(service.store.standing()) == 3


def test_unknown_names_and_hopeless_acts_are_refused(tmp_path: Path) -> None:
    service = opened(tmp_path, RULES)
    service.set(0.0)
    for names, words in (
        (["nobody"], "no alarm nobody"),
        (["x"], "nothing to acknowledge"),
        ([], "at least one"),
    ):
        with pytest.raises(Refused, match=words):
            service.desk.act(names, Act(Event.ACK, Note("otto")))


def worker(folder: Path, said: "multiprocessing.connection.Connection") -> None:
    """Raises, acknowledges and shelves alarms as fast as it can; tells what was answered."""
    rules = [level(f"k/{i}") for i in range(30)]
    service = Kept(folder, rules)
    service.start()
    rng = random.Random(os.getpid())
    while True:
        service.intake.put({A: rng.choice([0.0, 6.0, 12.0])}, time.time())
        service.step(time.monotonic(), time.time())
        name = f"k/{rng.randrange(30)}"
        event = rng.choice([Event.ACK, Event.SHELVE, Event.UNSHELVE])
        number = str(rng.getrandbits(60))
        try:
            service.desk.act([name], Act(event, Note("otto", number, time.time()), time.time() + 1e5))
            said.send((name, event.name, number))
        except Refused:
            pass


def killed_at_random(folder: Path, run: Callable[..., None]) -> list[tuple[str, str, str]]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=run, args=(folder, theirs), daemon=True)
    process.start()
    theirs.close()
    told = [ours.recv()]
    end = time.monotonic() + random.uniform(0.0, 0.3)
    while time.monotonic() < end:
        if ours.poll(0.005):
            told.append(ours.recv())
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    while ours.poll():
        try:
            told.append(ours.recv())
        except EOFError:
            break
    return told


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    answered: list[tuple[str, str, str]] = []
    for _kill in range(KILLS):
        answered += killed_at_random(tmp_path, worker)
        store = Store(tmp_path)
        store.open()
        kept = {
            (row["name"], row["event"], row["note"]) for row in store.find(Question(user="otto", most=10_000))
        }
        assert set(answered) <= kept or len(kept) == 10_000
        for row in store.standing():
            newest = next(iter(store.find(Question(names=[row["name"]], most=1))), None)
            assert newest is not None and State[row["state"]].name == newest["state"]
        store.close()
    assert len(answered) >= KILLS


def test_the_voice_repeats_until_somebody_acknowledges_and_keeps_silence() -> None:
    announcer = Announcer(Manner(voice=True, languages=("en", "zh"), repeat=10.0))
    pressure = Waiting("p", 1, Severity.MAJOR, {"en": "pressure", "zh": "压力"})
    minor = Waiting("m", 1, Severity.MINOR, {"en": "minor", "zh": "小"})
    assert announcer.next(0.0, [minor]) is None
    said = announcer.next(1.0, [pressure, minor])
    assert said is not None
    assert said[0] is Severity.MAJOR
    assert "pressure" in said[1]["en"] and "压力" in said[1]["zh"] and "minor" not in said[1]["en"]
    assert announcer.next(5.0, [pressure]) is None
    assert announcer.next(11.0, [pressure]) is not None
    flow = Waiting("f", 1, Severity.INVALID, {"en": "flow", "zh": "流量"})
    said = announcer.next(12.0, [flow, pressure])
    assert said is not None and "flow" in said[1]["en"] and "pressure" not in said[1]["en"]
    announcer.silence(13.0, 60.0)
    assert announcer.next(40.0, [flow, pressure]) is None
    assert announcer.next(73.0, [flow]) is not None
    flood = [Waiting(str(i), 1, Severity.MAJOR, {"en": f"alarm {i}"}) for i in range(10)]
    said = announcer.next(74.0, flood)
    assert said is not None and "and 7 more" in said[1]["en"] and "以及另外 7 个" in said[1]["zh"]
