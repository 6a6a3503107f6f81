"""The fraction: TCS and ACS through Tango, interrupted once at a random moment and resumed."""

import time
from datetime import UTC, datetime
from typing import Any

from common.text import _
from ptcs.demo.context import Demo, JobFailed, Step
from ptcs.demo.therapist import POLL, Therapist

MOST_TRIPS = 5


def treat(demo: Demo, case: dict[str, Any], plan_uid: str, fraction: int = 1) -> None:
    """One fraction of a plan, its records sent to the OIS."""
    therapist = Therapist(demo.state.root, demo.passwords["therapist"], room=demo.options.room)
    demo.summary["delivery"] = {"fraction": fraction, "start": _now(), "interruptions": []}
    with demo.step("TCS", _("loads and verifies the plan")):
        therapist.load(plan_uid, fraction, case["patient_id"], case["birth_date"])
    beams = int(therapist.reading("BeamCount"))
    interrupted_beam = demo.random.randrange(beams)
    moment = demo.random.uniform(0.15, 0.85)
    for beam in range(beams):
        with demo.step("TCS", _("moves couch and gantry, verifies, asks for beam")):
            therapist.prepare_beam()
        with demo.step("ACS", f"{_('irradiates')} {therapist.reading('BeamName')}") as step:
            _irradiate(demo, therapist, step, moment if beam == interrupted_beam else None)
    with demo.step("TCS", _("sends the records to the OIS")):
        therapist.submit()
    demo.summary["delivery"]["end"] = _now()


def _irradiate(demo: Demo, therapist: Therapist, step: Step, interrupt_at: float | None) -> None:
    therapist.start()
    trips = 0
    while True:
        state, progress = therapist.state(), float(therapist.reading("Progress"))
        delivered, planned = therapist.reading("DeliveredMU"), therapist.reading("PlannedMU")
        step.update(progress, f"{delivered:.2f}/{planned:.2f} MU")
        if state in ("BEAM_DONE", "COMPLETE"):
            return
        if state == "TERMINATED":
            raise JobFailed(f"irradiation terminated: {therapist.reading('Cause')}")
        if state == "INTERRUPTED":
            _note_interruption(demo, therapist, progress)
            trips += bool(therapist.interlock.read_attribute("Tripped").value)
            if trips > MOST_TRIPS:
                raise JobFailed(f"beam tripped {trips} times, last: {therapist.reading('Cause')}")
            therapist.resume()
        elif interrupt_at is not None and progress >= interrupt_at:
            interrupt_at = None
            therapist.interrupt()
        time.sleep(POLL)


def _note_interruption(demo: Demo, therapist: Therapist, progress: float) -> None:
    beam, cause = str(therapist.reading("BeamName")), str(therapist.reading("Cause"))
    demo.summary["delivery"]["interruptions"].append(
        {"beam": beam, "progress": round(progress, 4), "cause": cause, "time": _now()}
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
