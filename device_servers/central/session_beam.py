"""Towards the beam: request, start, resume. What may follow a start is in session_settle.py."""

import logging
import threading

from common.errors import LinkLost, PtcsError, Refused
from common.text import _
from device_servers.central.session_flow import Flow, approved_plan, beam_of, withdraw
from device_servers.central.session_ports import Bench, Operator
from device_servers.central.session_settle import Settler, give_back, stop_beam, without_permit
from treatment import approval
from treatment.delivery_map import DeliveryMap, require_same
from treatment.positioning import Setup
from treatment.session import Event, State, advance

log = logging.getLogger(__name__)

PERMIT_LIMIT_S = 5.0


class BeamControl:
    """Everything between a verified set-up and beam."""

    def __init__(self, bench: Bench, flow: Flow, settler: Settler) -> None:
        self._bench, self._flow, self._settler = bench, flow, settler

    def request(self, operator: Operator, stop: threading.Event) -> None:
        """Get the beam for this room, load and check the map, and wait for the permit."""
        bench, journal = self._bench, self._bench.journal
        with bench.lock:
            advance(journal.ledger.state, Event.REQUEST_BEAM)
            bench.devices.check_mode()
            self._check_standing(operator)
            try:
                self._approach(operator, stop)
                journal.step(Event.REQUEST_BEAM, bench.now(), operator.user)
            except BaseException:
                give_back(bench)
                raise

    def start(self, operator: Operator, stop: threading.Event) -> None:
        """Irradiate the beam that is ready: the room, the permit and the held map are checked once more."""
        bench = self._bench
        with bench.lock:
            advance(bench.journal.ledger.state, Event.START)
            bench.devices.enter(operator)
            setup, _k_tp = self._flow.check_room()
            bench.link.request_beam(True)
            self._await_permit(stop)
            self._irradiate(Event.START, operator, setup)

    def resume(self, operator: Operator, stop: threading.Event) -> None:
        """Irradiate what the counters say is left of the interrupted beam."""
        bench, ledger = self._bench, self._bench.journal.ledger
        with bench.lock:
            advance(ledger.state, Event.RESUME)
            if ledger.history.open_run is not None:
                raise Refused(_("the counters of the last run were not read back yet; wait for the link"))
            try:
                setup = self._approach(operator, stop)
                self._irradiate(Event.RESUME, operator, setup)
            except BaseException:
                if ledger.state is not State.IRRADIATING:
                    withdraw(bench)
                raise

    def wanted(self) -> DeliveryMap:
        """The map of the beam in hand, made anew from the approved plan on disk and the counts so far.

        Raises Tampered when the plan is not the approved one.
        """
        ledger = self._bench.journal.ledger
        if ledger.beam is None or ledger.k_tp is None:
            raise Refused(_("no beam is verified"))
        beam = beam_of(approved_plan(self._bench), ledger.beam)
        fresh = DeliveryMap.from_beam(beam, self._bench.monitor, ledger.k_tp)
        return fresh.with_done(ledger.history.done(beam.number, fresh.spot_count, ledger.k_tp))

    def _check_standing(self, operator: Operator) -> None:
        """A plan revoked since it was loaded is refused; without the OIS its signed approval stands."""
        course = self._bench.journal.ledger.course
        try:
            uid = course.plan_uid if course else ""
            approval.check_standing(self._bench.approvals.standing(uid, operator.token))
        except LinkLost as why:
            log.warning("approval not asked for again: %s", why)

    def _approach(self, operator: Operator, stop: threading.Event) -> Setup:
        bench = self._bench
        bench.devices.enter(operator)
        setup, _k_tp = self._flow.check_room()
        bench.devices.allocate(stop)
        self._load()
        bench.link.request_beam(True)
        self._await_permit(stop)
        return setup

    def _load(self) -> None:
        """Load the map, read it back, and compare it with one made anew from the approved plan."""
        bench = self._bench
        course = bench.journal.ledger.course
        wanted = self.wanted()
        bench.devices.load_cycles(wanted.energy.tolist())
        bench.link.load(wanted, course.plan_hash if course else "")
        self._check_held()

    def _check_held(self) -> DeliveryMap:
        wanted = self.wanted()
        arrays, digest = self._bench.link.read_map()
        require_same(wanted, arrays, digest)
        return wanted

    def _await_permit(self, stop: threading.Event) -> None:
        waited = 0.0
        while missing := without_permit(self._bench):
            if missing.latched:
                raise Refused(_("tripped: {inputs}; mend and reset first").format(inputs=missing))
            if stop.wait(0.05):
                raise Refused(_("stopped"))
            waited += 0.05
            if waited > PERMIT_LIMIT_S:
                raise Refused(_("no permit: {inputs}").format(inputs=missing))

    def _irradiate(self, event: Event, operator: Operator, setup: Setup) -> None:
        """Check the map once more, journal the run, and start. What fails after that, the settler sees."""
        bench, settler = self._bench, self._settler
        wanted = self._check_held()
        if settler.asked is not None:
            raise Refused(_("interrupted or terminated before the start"))
        bench.journal.begin(event, bench.now(), operator.user, wanted, setup.values())
        settler.ours = True
        try:
            bench.link.start()
        except PtcsError as why:
            settler.fail(str(why))
            raise
        if settler.asked is not None:  # asked for while the start was on its way: stop what has begun
            stop_beam(bench, settler.asked)
