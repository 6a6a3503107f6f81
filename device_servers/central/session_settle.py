"""The session and what the beam hardware reports: interruption, trip, counters read back, end of a beam.

`Settler.settle` is the one place where the hardware's condition becomes the session's state. It is called
after every report, a few times a second, and after a restart: recovery takes no other path.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import LinkLost, PtcsError, Refused
from common.text import _
from device_servers.central.session_flow import Flow, approved_plan, beam_of, withdraw
from device_servers.central.session_parts import Parts
from device_servers.central.session_ports import Bench
from device_servers.drivers.delivery import Readback
from treatment.accounting import (
    Counters,
    Violation,
    check_beam,
    check_overdose,
    check_run,
    overdose_limit_mu,
)
from treatment.delivery_map import DeliveryMap
from treatment.ledger import Run
from treatment.session import Event, State, legal

log = logging.getLogger(__name__)

ACTIVE = frozenset({"SWITCHING", "DELIVERING"})
"""States of the beam hardware in which there is or may be beam."""

COMPLETE = "COMPLETE"
NORMAL, UNKNOWN = "NORMAL", "UNKNOWN"

DOSE = frozenset({"spot", "twice", "beam", "overdose"})
"""Kinds of violations after which no irradiation of the session may go on."""

SETTLE_LIMIT_S = 10.0


@dataclass(frozen=True)
class Asked:
    """An interruption or termination that a user asked for."""

    event: Event
    user: str
    cause: str


class Settler:
    """Brings the session up to what the hardware did.

    asked: what `safe` was told and nobody has journaled yet. ours: whether this process started the
    irradiation under way.
    """

    def __init__(self, bench: Bench, flow: Flow, parts: Parts) -> None:
        self._bench, self._flow, self._parts = bench, flow, parts
        self.asked: Asked | None = None
        self.ours = False

    def safe(self, event: Event, user: str, cause: str) -> None:
        """Interrupt or terminate now, from any thread and any state; `settle` journals it."""
        asked = Asked(event, user, cause)
        if self.asked is None or event is Event.TERMINATE:
            self.asked = asked
        stop_beam(self._bench, asked)

    def fail(self, cause: str) -> None:
        """A start that the hardware did not take: the session is interrupted by the machine."""
        stop_beam(self._bench, Asked(Event.INTERRUPT, "", "start failed"))
        self._end(Event.TRIP, "", cause)

    def settle(self) -> None:
        """Bring state, counters and records up to what the hardware says. Never blocks for long.

        Raises OSError or Refused when the journal cannot be written; the beam is stopped then.
        """
        bench, ledger = self._bench, self._bench.journal.ledger
        with bench.lock:
            try:
                self._take_asked()
                if ledger.state is State.IRRADIATING:
                    self._watch()
                if ledger.state is not State.IRRADIATING:
                    self._read_back()
                self._finish()
                self._parts.write_due(self._flow.plan)
            except LinkLost as why:
                log.info("settling waits for the link: %s", why)
            finally:
                if bench.journal.broken:
                    stop_beam(self._bench, Asked(Event.INTERRUPT, "", "journal cannot be written"))

    def await_settled(self, stop: threading.Event) -> None:
        """Return when what was asked is journaled and the counters are read back. Raises Refused."""
        waited = 0.0
        while True:
            self.settle()
            if self.asked is None and self._bench.journal.ledger.history.open_run is None:
                return
            stop.wait(0.05)
            waited += 0.05
            if waited > SETTLE_LIMIT_S:
                raise Refused(_("the beam hardware has not answered yet; counters will be read when it does"))

    def _take_asked(self) -> None:
        asked, self.asked = self.asked, None
        if asked is None or asked.event not in legal(self._bench.journal.ledger.state):
            return
        self._end(asked.event, asked.user, asked.cause)
        if self._bench.journal.ledger.history.open_run is None:
            give_back(self._bench)

    def _watch(self) -> None:
        """IRRADIATING: does the hardware still deliver our map?"""
        bench = self._bench
        run = bench.journal.ledger.history.open_run
        if run is None:
            return  # counters are journaled; `_finish` takes the step that was lost
        if not self.ours:
            stop_beam(self._bench, Asked(Event.INTERRUPT, "", "session restarted"))
            self._end(Event.TRIP, "", _("treatment session restarted during irradiation"))
            return
        if not bench.link.up:
            self._end(Event.TRIP, "", _("link to the beam hardware lost"))
            return
        status = bench.link.status()
        state = str(status.get("state"))
        if status.get("digest") != run.digest:
            self._end(Event.TRIP, "", _("the beam hardware was restarted and lost its map"))
        elif state == COMPLETE:
            self._read_back()
        elif state not in ACTIVE:
            self._end(Event.TRIP, "", str(status.get("cause") or state))

    def _end(self, event: Event, user: str, cause: str) -> None:
        self._bench.journal.step(event, self._bench.now(), user, cause)
        self.ours = False

    def _read_back(self) -> None:
        """Journal the counters of a run that has ended; only then is the beam request withdrawn.

        A request withdrawn earlier would cut the spot that a hold lets finish.
        """
        bench, ledger = self._bench, self._bench.journal.ledger
        run = ledger.history.open_run
        if run is None or not bench.link.up:
            return
        if str(bench.link.status().get("state")) in ACTIVE:
            stop_beam(self._bench, Asked(Event.INTERRUPT, "", "run has ended"))
            return
        read = bench.link.counters()
        if read.digest == run.digest and read.counters.spot_count == run.spots:
            self._close(run, read)
        else:
            cause = _("the hardware holds the counters of another map")
            bench.journal.close_run(Counters.empty(run.spots), UNKNOWN, cause, bench.now())
            self._end(Event.FAULT, "", cause)
        if ledger.state is State.INTERRUPTED:
            withdraw(bench)
        elif ledger.state is not State.IRRADIATING:
            give_back(bench)

    def _close(self, run: Run, read: Readback) -> None:
        bench, ledger = self._bench, self._bench.journal.ledger
        complete = read.state == COMPLETE
        found: list[Violation] = []
        fault = ""
        try:
            found = judge(bench, run, read)
        except (
            PtcsError,
            OSError,
        ) as why:  # plan gone or altered: the counts are kept
            fault = str(why)
        ended_by, cause = (NORMAL, "") if complete else (ledger.ended_by, ledger.ended_cause)
        bench.journal.close_run(read.counters, ended_by, cause, bench.now())
        if found:
            log.error("run %d out of tolerance: %s", run.serial, "; ".join(map(str, found[:5])))
        fatal = [one for one in found if complete or one.kind in DOSE]
        if fatal:
            fault = _("delivery out of tolerance: {what}").format(what=fatal[0])
        if fault:
            self._end(Event.FAULT, "", fault)

    def _finish(self) -> None:
        """Take the step that a completely delivered beam leads to."""
        bench, ledger = self._bench, self._bench.journal.ledger
        if ledger.state not in (State.IRRADIATING, State.INTERRUPTED):
            return
        runs = [run for run in ledger.history.runs if run.beam == ledger.beam]
        if not runs or runs[-1].termination != NORMAL:
            return
        self._end(Event.FRACTION_FINISHED if ledger.next_beam is None else Event.BEAM_FINISHED, "", "")
        give_back(bench)


def stop_beam(bench: Bench, asked: Asked) -> None:
    """Tell the hardware to stop. One that is out of reach is stopped by its own watchdog."""
    try:
        if asked.event is Event.TERMINATE:
            bench.link.terminate(asked.cause)
        else:
            bench.link.hold(asked.cause)
    except Refused as why:
        log.info("nothing to stop: %s", why)
    except LinkLost as why:
        log.warning("beam hardware out of reach, its own watchdog stops it: %s", why)


def judge(bench: Bench, run: Run, read: Readback) -> list[Violation]:
    """What the counters of an open run say against the approved plan; empty when all is well.

    Raises Tampered when the plan on the disk is no longer the approved one.
    """
    plan = approved_plan(bench)
    beam = beam_of(plan, run.beam)
    fresh = DeliveryMap.from_beam(beam, bench.monitor, run.k_tp)
    wanted = fresh.with_done(bench.journal.ledger.history.done(run.beam, run.spots, run.k_tp))
    found = check_run(wanted, read.counters, bench.monitor)
    if read.state == COMPLETE:
        found += check_beam(wanted, read.counters.primary, bench.monitor)
    whole = sum(one.meterset for one in plan.beams)
    limit = overdose_limit_mu(beam.meterset, whole, plan.prescription, bench.monitor)
    return found + check_overdose(wanted, read.counters.primary, limit)


def give_back(bench: Bench) -> None:
    """Withdraw the request and release the beam to other rooms, as far as anybody answers."""
    for act in (lambda: withdraw(bench), bench.devices.release):
        try:
            act()
        except PtcsError as why:
            log.warning("beam not given back: %s", why)


@dataclass(frozen=True)
class Missing:
    """What keeps the permit away; false when nothing does. latched: a trip has to be reset by a person."""

    inputs: tuple[str, ...] = ()
    latched: bool = False

    def __bool__(self) -> bool:
        return bool(self.inputs)

    def __str__(self) -> str:
        return ", ".join(self.inputs)


def without_permit(bench: Bench) -> Missing:
    """What keeps the permit away now. Raises LinkLost."""
    return missing_permit(bench.link.status(), bench.aside)


def missing_permit(status: Mapping[str, Any], aside: frozenset[str]) -> Missing:
    """What keeps the permit away in a hardware status; `aside`: inputs that never do."""
    permit = status.get("permit") or {}
    if permit and all(permit.values()):
        return Missing()
    rows = status.get("inputs") or {}
    open_rows = {name: row for name, row in rows.items() if not row.get("masked") and name not in aside}
    latched = tuple(name for name, row in open_rows.items() if row.get("latched"))
    bad = tuple(name for name, row in open_rows.items() if row.get("ok") is not True)
    return Missing(tuple(dict.fromkeys((*latched, *bad))) or (_("interlock gives no permit"),), bool(latched))
