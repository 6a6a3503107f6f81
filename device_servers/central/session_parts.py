"""Record parts: announced in the journal, written, queued. A process killed in between does it again."""

import logging

from pydicom.uid import generate_uid

from common.dicom.plan import IonPlan
from common.errors import Refused
from common.text import _
from device_servers.central.session_ports import Bench, Operator
from treatment.record import build
from treatment.session import Event, State, advance

log = logging.getLogger(__name__)

DUE = frozenset({State.INTERRUPTED, State.TERMINATED})
"""States in which what was delivered becomes a record part by itself."""


class Parts:
    """Writes the record of what was delivered."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def write_due(self, plan: IonPlan | None) -> None:
        """Announce what ended in an interruption, and write every part that is announced and not queued."""
        bench = self._bench
        history = bench.journal.ledger.history
        if bench.journal.ledger.state in DUE and history.open_run is None and history.unrecorded:
            bench.journal.announce_part(bench.new_uid(), bench.now())
        self._write(plan)

    def submit(self, plan: IonPlan | None, operator: Operator) -> None:
        """SubmitRecord: all that was delivered is written and queued. Raises Refused until it is counted."""
        bench, journal = self._bench, self._bench.journal
        with bench.lock:
            advance(journal.ledger.state, Event.SUBMIT_RECORD)
            history = journal.ledger.history
            if history.open_run is not None:
                raise Refused(_("the counters of the last run were not read back yet; wait for the link"))
            if history.unrecorded:
                journal.announce_part(bench.new_uid(), bench.now())
            self._write(plan)
            if any(not part.queued for part in history.parts):
                raise Refused(_("the record could not be written; free disk space and submit again"))
            journal.step(Event.SUBMIT_RECORD, bench.now(), operator.user)

    def state(self) -> str:
        """NONE, QUEUED or DELIVERED for the fraction in hand."""
        parts = self._bench.journal.ledger.history.parts
        if any(not part.queued for part in parts):
            return "QUEUED"
        return self._bench.records.state([part.uid for part in parts])

    def _write(self, plan: IonPlan | None) -> None:
        bench = self._bench
        course, history = bench.journal.ledger.course, bench.journal.ledger.history
        for part in history.parts:
            if part.queued or course is None or plan is None:
                continue
            series = str(generate_uid(entropy_srcs=[course.plan_uid, str(course.fraction), "record"]))
            try:
                bench.records.put(build(plan, course, history, part, bench.monitor, series))
            except OSError as why:
                log.error("record part %d not written: %s", part.number, why)
                return
            bench.journal.part_queued(part.uid, bench.now())
