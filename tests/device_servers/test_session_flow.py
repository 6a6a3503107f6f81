import numpy as np
import pytest
from session_fakes import World
from treatment_samples import MONITOR, beam

from common.errors import LinkLost, Refused
from treatment.approval import Fraction
from treatment.session import Event

HALF = 10_000
"""Counts well within the first beam."""


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.bench.journal.close()


def finish(world):
    """Let the beam under way end, and the session see it."""
    world.hardware.deliver(10**9)
    world.console.settler.settle()


def counts_of(world, number=1):
    """Counts that the journal holds of a beam, and what the plan asks."""
    ledger = world.ledger
    wanted = world.console.beam.wanted() if ledger.beam == number and ledger.k_tp else None
    spots = beam(number).spot_count
    return ledger.history.done(number, spots, ledger.k_tp or 1.0), wanted


@pytest.mark.requirement("TCS-WORKFLOW")
def test_a_whole_fraction_step_by_step(world):
    world.to_ready()
    assert world.hardware.plan_hash == world.ois.hash
    assert world.room.gantry == 90.0
    assert world.room.cycles == [140.0, 120.6]
    assert world.room.owner == "room1"
    world.do("StartIrradiation")
    assert world.state == "IRRADIATING"
    finish(world)
    assert world.state == "BEAM_DONE"
    assert world.room.owner == ""
    assert world.sink.kept == {}
    world.do("Position", "VerifySetup", "RequestBeam", "StartIrradiation")
    assert world.room.gantry == -90.0
    finish(world)
    assert world.state == "COMPLETE"
    world.do("SubmitRecord")
    assert world.state == "RECORDED"
    (record,) = world.sink.records
    assert [(one.number, one.termination) for one in record.beams] == [(1, "NORMAL"), (2, "NORMAL")]
    assert record.beams[0].delivered_mu == pytest.approx(beam(1).meterset, rel=1e-3)
    assert record.operators == ("ann",)
    world.do("Unload")
    assert world.state == "IDLE"
    assert set(world.room.users) == {"ann"}
    with pytest.raises(Refused, match="already delivered"):
        world.load()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_interrupt_and_resume_deliver_each_count_once(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.safe("InterruptIrradiation")
    assert world.state == "INTERRUPTED"
    assert world.ledger.cause == "InterruptIrradiation by ann"
    (first,) = world.sink.records
    assert first.beams[0].termination == "OPERATOR"
    done, _wanted = counts_of(world)
    assert done.sum() == HALF
    world.do("ResumeIrradiation")
    assert world.hardware.map["done"].tolist() == done.tolist()
    finish(world)
    done, _wanted = counts_of(world)
    assert world.state == "BEAM_DONE"
    assert (done == world.hardware.map["preset"]).all()
    spots = [spot for spot, before in world.hardware.order if before == 0]
    assert sorted(spots) == sorted(set(spots))
    world.safe("TerminateIrradiation")
    assert world.state == "TERMINATED"
    _first, second = world.sink.records
    assert (second.part, second.beams[0].delivery_type) == (2, "CONTINUATION")
    total = sum(record.beams[0].delivered_mu for record in world.sink.records)
    assert total == pytest.approx(done.sum() * world.hardware_k_tp() / MONITOR.counts_per_mu, rel=1e-6)


@pytest.mark.requirement("TCS-IRRADIATE")
def test_a_trip_interrupts_with_its_cause_and_needs_a_reset(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.hardware.inputs["door"] = {"ok": False, "latched": True, "masked": False}
    world.hardware.trip("room1.door")
    world.console.settler.settle()
    assert (world.state, world.ledger.cause) == ("INTERRUPTED", "room1.door")
    assert world.sink.records[0].beams[0].termination == "MACHINE"
    assert not world.hardware.requested
    world.hardware.inputs["door"]["ok"] = True
    with pytest.raises(Refused):
        world.do("ResumeIrradiation")
    assert world.state == "INTERRUPTED"
    world.hardware.reset()
    world.do("ResumeIrradiation")
    finish(world)
    assert world.state == "BEAM_DONE"


@pytest.mark.requirement("TCS-IRRADIATE")
def test_session_killed_while_irradiating_resumes_exactly(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.kill(torn=b'{"hash": "12')
    world.hardware.deliver(HALF)
    world.boot()
    world.console.settler.settle()
    assert world.state == "INTERRUPTED"
    assert "restarted" in world.ledger.cause
    assert counts_of(world)[0].sum() == HALF
    assert len(world.sink.records) == 1
    world.hardware.reset()
    world.do("ResumeIrradiation")
    finish(world)
    assert (counts_of(world)[0] == world.hardware.map["preset"]).all()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_hardware_killed_while_irradiating_keeps_its_counts(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.hardware.die()
    world.console.settler.settle()
    assert (world.state, world.ledger.cause) == ("INTERRUPTED", "link to the beam hardware lost")
    assert world.sink.kept == {}
    with pytest.raises(Refused, match="not read back"):
        world.do("ResumeIrradiation")
    world.console.look()
    assert "ResumeIrradiation" not in world.console.picture.legal
    world.hardware.live_again()
    world.console.look()
    assert "ResumeIrradiation" in world.console.picture.legal
    assert counts_of(world)[0].sum() == HALF
    world.hardware.reset()
    world.do("ResumeIrradiation")
    finish(world)
    assert (counts_of(world)[0] == world.hardware.map["preset"]).all()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_counters_of_another_map_are_never_taken(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.hardware.die()
    world.console.settler.settle()
    world.hardware.map["x"][0] += 1
    world.hardware.live_again()
    world.console.settler.settle()
    assert (world.state, world.ledger.cause) == ("FAULT", "the hardware holds the counters of another map")
    world.safe("TerminateIrradiation")
    assert world.sink.records[0].beams[0].termination == "UNKNOWN"
    world.do("SubmitRecord", "Unload")
    with pytest.raises(Refused, match="a physicist must resolve"):
        world.load()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_terminated_fraction_continues_from_counts_in_a_new_session(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.safe("TerminateIrradiation")
    assert world.state == "TERMINATED"
    world.do("SubmitRecord", "Unload")
    delivered = world.sink.records[0].beams[0].delivered_mu
    world.ois.fractions = (Fraction(1, "PARTIAL", delivered),)
    world.to_ready()
    assert world.hardware.map["done"].sum() == HALF
    world.do("StartIrradiation")
    finish(world)
    world.safe("TerminateIrradiation")
    record = world.sink.records[1]
    assert (record.part, record.beams[0].delivery_type) == (2, "CONTINUATION")
    total = delivered + record.beams[0].delivered_mu
    assert total == pytest.approx(beam(1).meterset, rel=1e-3)


@pytest.mark.requirement("TCS-IRRADIATE")
def test_an_interruption_asked_before_the_start_wins(world):
    world.to_ready()
    world.console.settler.safe(Event.INTERRUPT, "ann", "wait")
    with pytest.raises(Refused, match="before the start"):
        world.do("StartIrradiation")
    assert (world.state, world.hardware.state) == ("READY", "LOADED")


@pytest.mark.requirement("TCS-EMERGENCY")
def test_an_interruption_during_the_start_stops_what_has_begun(world):
    world.to_ready()
    begin = world.hardware.start

    def start_late():
        world.console.settler.safe(Event.INTERRUPT, "ann", "stop")
        begin()

    world.hardware.start = start_late
    world.do("StartIrradiation")
    assert world.hardware.state == "HELD"
    world.console.settler.settle()
    assert (world.state, world.ledger.cause) == ("INTERRUPTED", "stop")


@pytest.mark.requirement("TCS-EMERGENCY")
def test_termination_works_from_every_state(world):
    for steps in ([], ["identify"], ["Position"], ["VerifySetup"], ["RequestBeam"], ["StartIrradiation"]):
        world.safe("TerminateIrradiation") if world.state not in ("IDLE", "TERMINATED") else None
        if world.state == "TERMINATED":
            assert not world.hardware.requested
            world.do("SubmitRecord", "Unload")
        world.load()
        for step in steps and ["identify", "Position", "VerifySetup", "RequestBeam", "StartIrradiation"]:
            world.identify() if step == "identify" else world.do(step)
            if step in steps:
                break
    assert world.state == "IRRADIATING"
    world.safe("TerminateIrradiation")
    assert (world.state, world.hardware.state) == ("TERMINATED", "TERMINATED")
    world.safe("TerminateIrradiation")
    assert world.state == "TERMINATED"


@pytest.mark.requirement("TCS-RECORD")
def test_a_full_disk_keeps_the_record_until_there_is_room(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.sink.full = True
    world.safe("InterruptIrradiation")
    assert (world.console.parts.state(), world.sink.kept) == ("QUEUED", {})
    world.safe("TerminateIrradiation")
    with pytest.raises(Refused, match="free disk space"):
        world.do("SubmitRecord")
    world.kill()
    world.boot()
    world.sink.full = False
    world.console.settler.settle()
    assert len(world.sink.records) == 1
    world.do("SubmitRecord")
    assert world.state == "RECORDED"


@pytest.mark.requirement("TCS-RECORD")
def test_a_journal_that_cannot_be_written_stops_the_beam(world, monkeypatch):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)

    def full(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("common.hashchain.os.fsync", full)
    world.hardware.trip("anything")
    with pytest.raises(OSError, match="No space"):
        world.console.look()
    assert world.console.picture.state == "FAULT"
    assert world.console.picture.legal == ()
    monkeypatch.undo()
    with pytest.raises(Refused):
        world.console.look()
    world.kill()
    world.boot()
    world.console.settler.settle()
    assert world.state == "INTERRUPTED"
    assert counts_of(world)[0].sum() == HALF


@pytest.mark.requirement("TCS-DOSE")
def test_a_hardware_that_calls_a_short_beam_finished_is_a_fault(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.hardware.state = "COMPLETE"
    world.console.settler.settle()
    assert world.state == "FAULT"
    assert "out of tolerance" in world.ledger.cause
    world.safe("TerminateIrradiation")
    assert len(world.sink.records) == 1


def test_a_start_that_the_hardware_refuses_is_an_interruption(world):
    world.to_ready()

    def refuse():
        raise LinkLost("no answer to 'start'")

    world.hardware.start = refuse
    with pytest.raises(LinkLost):
        world.do("StartIrradiation")
    world.console.settler.settle()
    assert world.state == "INTERRUPTED"
    assert counts_of(world)[0].sum() == 0


@pytest.mark.requirement("TCS-DISPLAY")
def test_the_picture_shows_plan_and_counts(world):
    world.to_ready()
    picture = world.console.look()
    assert (picture.state, picture.patient_id, picture.beam_name, picture.spot_count) == (
        "READY",
        "P-17",
        "F1",
        7,
    )
    assert picture.legal == ("StartIrradiation", "Position", "TerminateIrradiation")
    assert picture.planned_mu == pytest.approx(beam(1).meterset)
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.safe("InterruptIrradiation")
    picture = world.console.look()
    assert picture.delivered_mu == pytest.approx(HALF * world.hardware_k_tp() / MONITOR.counts_per_mu)
    assert 0 < picture.progress < 1
    assert picture.record == "DELIVERED"
    assert picture.image.shape == (7, 5)
    world.safe("TerminateIrradiation")
    world.do("SubmitRecord", "Unload")
    assert world.console.look().image.shape == (0, 5)
    world.load(2)
    image = world.console.look().image
    assert not image[:, 4].any()
    assert np.allclose(image[:, 3], np.concatenate([layer.mu for layer in beam(1).layers]))


@pytest.mark.requirement("TCS-IRRADIATE")
def test_a_room_moved_during_an_interruption_is_positioned_anew_and_the_counts_stay(world):
    world.to_ready()
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.safe("InterruptIrradiation")
    world.room.couch["z"] = 300.0
    with pytest.raises(Refused, match="couch z at 300"):
        world.do("ResumeIrradiation")
    world.do("Position", "VerifySetup", "RequestBeam", "StartIrradiation")
    assert world.hardware.map["done"].sum() == HALF
    finish(world)
    assert world.state == "BEAM_DONE"
    assert (counts_of(world)[0] == world.hardware.map["preset"]).all()
    world.safe("TerminateIrradiation")
    assert [one.beams[0].delivery_type for one in world.sink.records] == ["TREATMENT", "CONTINUATION"]
