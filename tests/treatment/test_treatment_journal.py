import json

import numpy as np
import pytest
from treatment_samples import MONITOR, ROOM, beam, counted, plan

from common.errors import Refused, Tampered
from common.hashchain import ChainLog, Rotation, closed_files, links
from treatment.accounting import pack, unpack
from treatment.delivery_map import DeliveryMap
from treatment.journal import Journal, replay
from treatment.record import build
from treatment.session import Event, State

K_TP = 1.0123


def shape(value):
    """A ledger as plain values that compare."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "__dict__"):
        return {key: shape(item) for key, item in vars(value).items()}
    if isinstance(value, dict):
        return {str(key): shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list | tuple) else value


class Tape:
    """A journal that notes, after each entry, the file as it is and the ledger it must give."""

    def __init__(self, path):
        self.path, self.journal, self.shots, self.now = path, Journal(path), [], 1_700_000_000_000_000_000

    def __call__(self, method, *args, **kwargs):
        self.now += 1_000_000
        getattr(self.journal, method)(*args, **kwargs)
        self.shots.append((self.path.read_bytes(), shape(self.journal.ledger)))

    def step(self, event, **data):
        self("step", event, self.now, "ann", **data)


def deliver(tape, number, parts):
    """Position, verify and irradiate one beam in parts of these fractions of the remainder."""
    ledger = tape.journal.ledger
    tape.step(Event.POSITION, beam=number)
    tape.step(Event.VERIFY_SETUP, setup=ROOM, k_tp=K_TP)
    tape.step(Event.REQUEST_BEAM)
    fresh = DeliveryMap.from_beam(beam(number), MONITOR, K_TP)
    for index, share in enumerate(parts):
        wanted = fresh.with_done(ledger.history.done(number, fresh.spot_count, K_TP))
        tape("begin", Event.RESUME if index else Event.START, tape.now, "ann", wanted, ROOM)
        run = counted(wanted, np.floor(wanted.remainder * share).astype(np.int64))
        if share < 1:
            tape.step(Event.INTERRUPT, cause="interrupted by ann")
            tape("close_run", run, ledger.ended_by, ledger.ended_cause, tape.now)
            tape("announce_part", f"1.2.9.{number}.{index}", tape.now)
            tape("part_queued", f"1.2.9.{number}.{index}", tape.now)
        else:
            tape("close_run", run, "NORMAL", "", tape.now)
            tape.step(Event.FRACTION_FINISHED if ledger.next_beam is None else Event.BEAM_FINISHED)


@pytest.fixture
def tape(tmp_path):
    made = Tape(tmp_path / "journal.log")
    made.step(
        Event.LOAD_PLAN, plan_uid="1.2.3.4", plan_hash="ab", fraction=1, beams=[1, 2], approval="signed"
    )
    made.step(Event.CONFIRM_IDENTITY)
    yield made
    made.journal.close()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_replay_after_a_kill_at_every_entry_gives_the_exact_state(tape, tmp_path):
    deliver(tape, 1, (0.3, 0.5, 1.0))
    deliver(tape, 2, (0.7, 1.0))
    tape("announce_part", "1.2.9.9", tape.now)
    tape.step(Event.SUBMIT_RECORD)
    tape.step(Event.UNLOAD)
    assert len(tape.shots) > 30
    for number, (content, expected) in enumerate(tape.shots):
        following = tape.shots[number + 1][0][len(content) :] if number + 1 < len(tape.shots) else b"{"
        copy = tmp_path / "copy.log"
        copy.write_bytes(content + following[: len(following) // 2])  # the next line was half written
        again = Journal(copy)
        assert shape(again.ledger) == expected
        again.close()
        assert shape(replay(copy)) == expected


@pytest.mark.requirement("TCS-IRRADIATE")
def test_parts_add_up_to_the_preset_to_the_count(tape):
    deliver(tape, 1, (0.3, 0.5, 0.9, 1.0))
    wanted = DeliveryMap.from_beam(beam(1), MONITOR, K_TP)
    history = tape.journal.ledger.history
    assert (history.done(1, wanted.spot_count, K_TP) == wanted.preset).all()
    assert [run.termination for run in history.runs] == ["OPERATOR"] * 3 + ["NORMAL"]
    assert tape.journal.ledger.next_beam == 2


@pytest.mark.requirement("SYS-AUDIT")
def test_a_journal_of_several_files_is_replayed_and_a_changed_byte_of_an_old_one_is_found(tmp_path):
    path = tmp_path / "journal.log"
    journal = Journal(path, Rotation(size=2000))
    loaded = {"plan_uid": "1.2", "plan_hash": "ab", "fraction": 1, "beams": [1], "approval": "signed"}
    for number in range(20):
        journal.step(Event.LOAD_PLAN, 1 + number, "ann", **loaded)
        journal.step(Event.UNLOAD, 2 + number, "ann")
    journal.close()
    old = closed_files(path)
    assert len(old) > 2
    again = Journal(path)
    assert shape(again.ledger) == shape(journal.ledger)
    again.close()
    good = old[1].read_bytes()
    for place in (70, len(good) // 2, len(good) - 3):
        old[1].write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(Tampered, match=old[1].name):
            Journal(path)
    old[1].write_bytes(good)
    assert len(list(links(path))) == 40


@pytest.mark.requirement("TCS-RECORD")
def test_an_altered_journal_is_refused(tape):
    deliver(tape, 1, (0.5, 1.0))
    lines = tape.path.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if '"counts"' in line)
    entry = json.loads(lines[place])
    entry["entry"]["counters"]["primary"][0] += 1
    lines[place] = json.dumps(entry) + "\n"
    tape.path.write_text("".join(lines))
    with pytest.raises(Tampered, match=f"line {place + 1}"):
        Journal(tape.path)


def test_a_chained_entry_that_makes_no_sense_is_refused(tmp_path):
    entries = [
        {"kind": "step", "event": "StartIrradiation", "state": "IRRADIATING", "wall_ns": 1},
        {"kind": "step", "event": "LoadPlan", "state": "READY", "wall_ns": 1},
        {"kind": "counts", "serial": 1, "counters": {}},
        {"kind": "queued", "uid": "1.2"},
        {"kind": "poem"},
        {},
    ]
    for number, entry in enumerate(entries):
        path = tmp_path / f"{number}.log"
        log = ChainLog(path)
        log.append(entry)
        log.close()
        with pytest.raises(Tampered):
            Journal(path)


@pytest.mark.requirement("TCS-RECORD")
def test_a_disk_that_takes_nothing_changes_nothing(tape, monkeypatch):
    before = shape(tape.journal.ledger)

    def full(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("common.hashchain.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        tape.journal.step(Event.POSITION, 1, "ann", beam=1)
    assert shape(tape.journal.ledger) == before
    monkeypatch.undo()
    with pytest.raises(Refused, match="restart the session server"):
        tape.journal.step(Event.POSITION, 1, "ann", beam=1)


def test_counters_survive_packing(tape):
    wanted = DeliveryMap.from_beam(beam(1), MONITOR, K_TP)
    run = counted(wanted, np.array([0, 10, 0, 7, 0, 0, 3]))
    assert shape(unpack(json.loads(json.dumps(pack(run))))) == shape(run)


def test_a_finished_fraction_keeps_no_arrays_and_a_terminated_one_does(tape):
    deliver(tape, 1, (1.0,))
    tape.step(Event.TERMINATE, cause="enough")
    assert tape.journal.ledger.k_tp is None
    assert tape.journal.ledger.beam is None
    tape("announce_part", "1.2.9.1", tape.now)
    tape.step(Event.SUBMIT_RECORD)
    tape.step(Event.UNLOAD)
    history = tape.journal.ledger.histories["1.2.3.4/1"]
    assert len(history.runs) == 1
    assert tape.journal.ledger.state is State.IDLE
    tape.step(
        Event.LOAD_PLAN, plan_uid="1.2.3.4", plan_hash="ab", fraction=1, beams=[1, 2], approval="signed"
    )
    assert tape.journal.ledger.next_beam == 2


@pytest.mark.requirement("TCS-RECORD")
def test_each_part_holds_its_own_counts_and_names_its_end(tape):
    deliver(tape, 1, (0.4, 1.0))
    deliver(tape, 2, (1.0,))
    tape("announce_part", "1.2.9.2", tape.now)
    ledger = tape.journal.ledger
    first, second = (
        build(plan(), ledger.course, ledger.history, part, MONITOR, "1.2.8") for part in ledger.history.parts
    )
    assert [(one.number, one.termination, one.delivery_type) for one in first.beams] == [
        (1, "OPERATOR", "TREATMENT")
    ]
    assert [(one.number, one.termination, one.delivery_type) for one in second.beams] == [
        (1, "NORMAL", "CONTINUATION"),
        (2, "NORMAL", "TREATMENT"),
    ]
    assert (first.part, second.part, first.fraction, second.fraction) == (1, 2, 1, 1)
    assert first.beams[0].cause == "interrupted by ann"
    fresh = DeliveryMap.from_beam(beam(1), MONITOR, K_TP)
    counts = np.floor(fresh.preset * 0.4)
    mu = np.concatenate([layer.mu for layer in first.beams[0].layers])
    assert mu == pytest.approx(counts * fresh.mu_per_count, rel=1e-6)
    both = mu + np.concatenate([layer.mu for layer in second.beams[0].layers])
    assert both == pytest.approx(fresh.preset * fresh.mu_per_count, rel=1e-6)
    layer = first.beams[0].layers[0]
    assert layer.start_ns == 1_700_000_000_000_000_000 + 1000 * 8 // 10
    assert layer.end_ns >= layer.start_ns
    assert first.monitor["k_tp"] == K_TP
    assert (first.clock_factor, first.operators, first.verified_by) == (10.0, ("ann",), "ann")


def test_a_part_without_counters_is_not_built(tape):
    ledger = tape.journal.ledger
    tape.step(Event.POSITION, beam=1)
    tape.step(Event.VERIFY_SETUP, setup=ROOM, k_tp=K_TP)
    tape.step(Event.REQUEST_BEAM)
    tape("announce_part", "1.2.9.1", tape.now)
    with pytest.raises(Refused, match="no counters"):
        build(plan(), ledger.course, ledger.history, ledger.history.parts[0], MONITOR, "1.2.8")
