"""What a treatment journal adds up to: the session's exact state and every count delivered.

`apply` is the only way a ledger changes, for a live session and for a replay after a crash alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, Tampered
from treatment.accounting import Counters, delivered, unpack
from treatment.session import Event, State, advance

Entry = Mapping[str, Any]

STEP, COUNTS, RECORD, QUEUED = "step", "counts", "record", "queued"
"""Kinds of entries: a change of state; the counters of a run read back; a record part about to be
written; that part written and handed to the outbox."""


@dataclass(frozen=True)
class Course:
    """What was selected by LoadPlan. beams: beam numbers in plan order. approval: signed statement (JWS)."""

    plan_uid: str
    plan_hash: str
    fraction: int
    beams: tuple[int, ...]
    approval: str

    @property
    def key(self) -> str:
        """Names one fraction of one plan."""
        return f"{self.plan_uid}/{self.fraction}"


@dataclass
class Run:
    """One irradiation from one load of a beam's map. `counters` is None until they were read back.

    setup: what the room read back (angles, couch position, air). termination: NORMAL, OPERATOR or MACHINE.
    """

    serial: int
    beam: int
    digest: str
    k_tp: float
    spots: int
    setup: Mapping[str, float]
    start_ns: int
    counters: Counters | None = None
    termination: str = ""
    cause: str = ""
    end_ns: int = 0


@dataclass
class Part:
    """One record instance: its number in the fraction, its UID, the serials of its runs."""

    number: int
    uid: str
    runs: tuple[int, ...]
    verified_by: str
    queued: bool = False


@dataclass
class History:
    """Everything delivered of one fraction. `finished` when all beams have all their counts."""

    runs: list[Run] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    finished: bool = False

    @property
    def open_run(self) -> Run | None:
        """The run whose counters were not read back yet."""
        return next((run for run in self.runs if run.counters is None), None)

    @property
    def unrecorded(self) -> list[Run]:
        """Closed runs that no part holds, in order."""
        held = {serial for part in self.parts for serial in part.runs}
        return [run for run in self.runs if run.counters is not None and run.serial not in held]

    def done(self, beam: int, spots: int, k_tp: float) -> NDArray[np.int64]:
        """Counts delivered of a beam, (spots,), in counts of the air density `k_tp`."""
        pairs = [
            (run.counters, run.k_tp) for run in self.runs if run.beam == beam and run.counters is not None
        ]
        return delivered(pairs, spots, k_tp)


@dataclass
class Ledger:
    """The session as its journal tells it."""

    state: State = State.IDLE
    cause: str = ""
    course: Course | None = None
    beam: int | None = None
    k_tp: float | None = None
    setup: Mapping[str, float] = field(default_factory=dict)
    identified_by: str = ""
    verified_by: str = ""
    since_ns: int = 0
    ended_by: str = ""
    """What ended the last irradiation before its time: OPERATOR or MACHINE."""
    ended_cause: str = ""
    histories: dict[str, History] = field(default_factory=dict)

    @property
    def history(self) -> History:
        """The history of the fraction in hand; an empty one when nothing is loaded."""
        return self.histories.get(self.course.key, History()) if self.course else History()

    @property
    def next_beam(self) -> int | None:
        """Number of the first beam, in plan order, that is not finished; None when all are."""
        if self.course is None:
            return None
        ended = {run.beam for run in self.history.runs if run.termination == "NORMAL"}
        return next((number for number in self.course.beams if number not in ended), None)


def apply(ledger: Ledger, entry: Entry) -> None:
    """Take one journal entry into the ledger. Raises Tampered for an entry that cannot have been written."""
    try:
        kind = entry["kind"]
        if kind == STEP:
            _step(ledger, entry)
        elif kind == COUNTS:
            _close(ledger, entry)
        elif kind == RECORD:
            serials = tuple(entry["runs"])
            part = Part(int(entry["part"]), str(entry["uid"]), serials, str(entry["verified_by"]))
            ledger.history.parts.append(part)
        elif kind == QUEUED:
            _queued(ledger, str(entry["uid"]))
        else:
            raise ValueError(f"unknown kind {kind!r}")
    except (KeyError, TypeError, ValueError, BadInput) as why:
        raise Tampered(f"treatment journal holds an entry that makes no sense: {why!r}") from why


def _step(ledger: Ledger, entry: Entry) -> None:
    event, before = Event(entry["event"]), ledger.state
    after = advance(before, event)
    if after != entry["state"]:
        raise ValueError(f"{event} leads to {after}, the entry says {entry['state']}")
    ledger.state, ledger.cause, ledger.since_ns = after, str(entry.get("cause", "")), int(entry["wall_ns"])
    user = str(entry.get("user", ""))
    _SELECTIONS.get(event, _nothing)(ledger, entry)
    operators = ledger.history.operators
    if user and user not in operators:
        operators.append(user)
    if before is State.IRRADIATING:
        ledger.ended_by = "OPERATOR" if event in (Event.INTERRUPT, Event.TERMINATE) else "MACHINE"
        ledger.ended_cause = ledger.cause


def _nothing(ledger: Ledger, entry: Entry) -> None:
    """A step that selects nothing."""


def _select_plan(ledger: Ledger, entry: Entry) -> None:
    ledger.course = Course(
        str(entry["plan_uid"]),
        str(entry["plan_hash"]),
        int(entry["fraction"]),
        tuple(int(number) for number in entry["beams"]),
        str(entry["approval"]),
    )
    history = ledger.histories.setdefault(ledger.course.key, History())
    history.operators = []
    _forget(ledger)


def _select_beam(ledger: Ledger, entry: Entry) -> None:
    ledger.beam, ledger.setup, ledger.verified_by = int(entry["beam"]), {}, ""


def _select_setup(ledger: Ledger, entry: Entry) -> None:
    ledger.setup = {str(key): float(value) for key, value in entry["setup"].items()}
    ledger.k_tp = float(entry["k_tp"])
    ledger.verified_by = str(entry.get("user", ""))


def _select_patient(ledger: Ledger, entry: Entry) -> None:
    ledger.identified_by = str(entry.get("user", ""))


def _open_run(ledger: Ledger, entry: Entry) -> None:
    run = entry["run"]
    if ledger.history.open_run is not None:
        raise ValueError("a run began before the counters of the last one were read back")
    ledger.history.runs.append(
        Run(
            serial=int(run["serial"]),
            beam=int(run["beam"]),
            digest=str(run["digest"]),
            k_tp=float(run["k_tp"]),
            spots=int(run["spots"]),
            setup={str(key): float(value) for key, value in run["setup"].items()},
            start_ns=int(entry["wall_ns"]),
        )
    )


def _fraction_finished(ledger: Ledger, _: Entry) -> None:
    ledger.history.finished = True


def _terminated(ledger: Ledger, _: Entry) -> None:
    """After termination everything is selected anew: only what was delivered stays."""
    verified_by = ledger.verified_by
    _forget(ledger)
    ledger.verified_by = verified_by  # the part still to be written names who verified its set-up


def _unloaded(ledger: Ledger, _: Entry) -> None:
    history = ledger.history
    if history.finished:
        history.runs = []  # all recorded; a finished fraction cannot be loaded again
    ledger.course = None
    _forget(ledger)


def _forget(ledger: Ledger) -> None:
    ledger.beam, ledger.k_tp, ledger.setup = None, None, {}
    ledger.identified_by, ledger.verified_by = "", ""


_SELECTIONS = {
    Event.LOAD_PLAN: _select_plan,
    Event.CONFIRM_IDENTITY: _select_patient,
    Event.POSITION: _select_beam,
    Event.VERIFY_SETUP: _select_setup,
    Event.START: _open_run,
    Event.RESUME: _open_run,
    Event.FRACTION_FINISHED: _fraction_finished,
    Event.TERMINATE: _terminated,
    Event.UNLOAD: _unloaded,
}


def _close(ledger: Ledger, entry: Entry) -> None:
    run = ledger.history.open_run
    if run is None or run.serial != entry["serial"]:
        raise ValueError(f"counters of run {entry['serial']}, which is not open")
    run.counters = unpack(entry["counters"])
    if run.counters.spot_count != run.spots:
        raise ValueError(f"{run.counters.spot_count} counters for {run.spots} spots")
    run.termination, run.cause = str(entry["termination"]), str(entry["cause"])
    run.end_ns = int(entry["wall_ns"])


def _queued(ledger: Ledger, uid: str) -> None:
    for history in ledger.histories.values():
        for part in history.parts:
            if part.uid == uid:
                part.queued = True
                return
    raise ValueError("a record was queued that was never announced")
