"""Random steps, beam, trips and kills of session and hardware: the journal's session stays exact."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from pprint import pformat

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from session_fakes import World
from treatment_samples import beam

from common.errors import LinkLost, Refused
from treatment.session import Event

NEXT = {
    "IDENTIFIED": "Position",
    "POSITIONED": "VerifySetup",
    "VERIFIED": "RequestBeam",
    "READY": "StartIrradiation",
    "INTERRUPTED": "ResumeIrradiation",
    "BEAM_DONE": "Position",
    "COMPLETE": "SubmitRecord",
    "TERMINATED": "SubmitRecord",
    "RECORDED": "Unload",
}
STEPS = ("VerifySetup", "RequestBeam", "StartIrradiation", "ResumeIrradiation")


class Treatment(RuleBasedStateMachine):
    """The hardware's counters, kept apart by this test, are the truth that the journal must reach."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="ptcs-session-"))
        self.world = World(self.directory)
        self.given = {}
        """(beam, spot) -> counts that the machine really delivered."""

    @initialize()
    def ready(self):
        self.world.to_ready()

    def teardown(self):
        self.world.bench.journal.close()
        shutil.rmtree(self.directory)

    @property
    def machine(self):
        return self.world.hardware

    @rule(counts=st.integers(1, 12_000))
    def onward(self, counts):
        """What comes next when all goes well; what was broken is mended first."""
        self.machine.live_again() if self.machine.down else None
        self.machine.reset()
        self.world.console.settler.settle()
        state = self.world.state
        assert state != "FAULT", self.world.ledger.cause
        if state == "IRRADIATING":
            self.deliver(counts)
        elif state == "IDLE":
            with contextlib.suppress(Refused):  # delivered already
                self.world.load()
        elif state == "LOADED":
            self.world.identify()
        else:
            self.world.do(NEXT[state])

    @rule(counts=st.integers(1, 12_000))
    def beam(self, counts):
        if self.machine.state == "DELIVERING":
            self.deliver(counts)
        else:
            self.onward(counts)

    def deliver(self, counts):
        before = self.machine.primary.copy()
        number = self.world.ledger.beam
        self.machine.deliver(counts)
        for spot in np.flatnonzero(self.machine.primary - before):
            key = (number, int(spot))
            self.given[key] = self.given.get(key, 0) + int(self.machine.primary[spot] - before[spot])

    @rule(name=st.sampled_from(STEPS))
    def out_of_turn(self, name):
        """Any step at any time; also with the hardware down."""
        if name not in NEXT.get(self.world.state, ""):
            with contextlib.suppress(Refused, LinkLost):
                self.world.do(name)

    @rule(kind=st.sampled_from(("interrupt", "trip", "session", "torn", "hardware", "terminate", "look")))
    def disturb(self, kind):
        """Something goes wrong, or somebody stops the beam."""
        if kind in ("interrupt", "terminate"):
            event = Event.INTERRUPT if kind == "interrupt" else Event.TERMINATE
            self.world.console.settler.safe(event, "ann", "asked")
            assert self.machine.down or self.machine.state != "DELIVERING"
        elif kind == "trip":
            self.machine.trip("anything")
        elif kind == "hardware":
            self.machine.die()
        elif kind == "look":
            self.world.console.settler.settle()
        else:
            self.world.kill(b'{"hash": "' if kind == "torn" else b"")
            before = pformat(self.world.ledger)
            self.world.boot()
            assert pformat(self.world.ledger) == before

    @invariant()
    def no_beam_that_the_session_does_not_know(self):
        if self.machine.state == "DELIVERING":
            assert self.world.state == "IRRADIATING"

    @invariant()
    def journal_never_says_more_than_was_given_and_all_of_it_when_read_back(self):
        for history in self.world.ledger.histories.values():
            if history.finished and not history.runs:
                continue
            for number in (1, 2):
                spots = beam(number).spot_count
                k_tps = {run.k_tp for run in history.runs}
                assert len(k_tps) <= 1
                done = history.done(number, spots, next(iter(k_tps), 1.0))
                truth = np.array([self.given.get((number, spot), 0) for spot in range(spots)])
                assert (done <= truth).all()
                open_beam = history.open_run.beam if history.open_run else 0
                if open_beam != number:
                    assert (done == truth).all()

    @invariant()
    def no_spot_is_given_more_than_its_preset(self):
        k_tp = next((run.k_tp for h in self.world.ledger.histories.values() for run in h.runs), None)
        if k_tp is None:
            return
        for (number, spot), counts in self.given.items():
            mu = np.concatenate([layer.mu for layer in beam(number).layers])[spot]
            assert counts <= round(float(mu) * 20000.0 / k_tp)


@pytest.mark.requirement("TCS-IRRADIATE")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestTreatment(Treatment.TestCase):
    settings = settings(
        max_examples=15, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
