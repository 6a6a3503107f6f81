"""The fraction: TCS and ACS through Tango, as operator and therapist would drive them."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import tango

from common.errors import LinkLost
from common.text import _
from ptcs.client import Client, connect
from ptcs.demo.context import Demo, JobFailed, Step, run_tango_job

POWERED = ("MagnetSupply", "IonSource", "RfCavity")
SESSION, INTERLOCK = "room1/treatment/session", "central/interlock/1"
ROOM_INPUTS = ("room1.search", "room1.door", "emergency_stop")
POLL = 0.1
READY_LIMIT = 30.0
MOST_TRIPS = 5


def start_machine(demo: Demo, site_devices: list[tuple[str, str]]) -> None:
    """The operator switches on supplies, RF and source and opens the valves; (name, class) of each."""
    with demo.step("ACS", _("operator switches the machine on")) as step:
        client = connect(demo.state.root, "operator", demo.passwords["operator"])
        ours = [(name, kind) for name, kind in site_devices if kind in (*POWERED, "SectorValve")]
        for count, (name, kind) in enumerate(ours, start=1):
            proxy = client.proxy(name)
            proxy.command_inout("Open" if kind == "SectorValve" else "On")
            step.update(count / len(ours), name)
        client.proxy(INTERLOCK).command_inout("ResetTrips")


def treat(demo: Demo, case: dict[str, Any], plan_uid: str, fraction: int = 1) -> None:
    """One fraction, interrupted once at a random moment and resumed from the counted remainder."""
    client = connect(demo.state.root, "therapist", demo.passwords["therapist"])
    session = client.proxy(SESSION)
    demo.summary["delivery"] = {"fraction": fraction, "start": _now(), "interruptions": []}
    with demo.step("TCS", _("loads and verifies the plan")):
        run_tango_job(session, "LoadPlan", json.dumps({"plan_uid": plan_uid, "fraction": fraction}))
        identity = {"patient_id": case["patient_id"], "birth_date": case["birth_date"]}
        run_tango_job(session, "ConfirmIdentity", json.dumps(identity))
    interrupt_at = {demo.random.randrange(session.BeamCount): demo.random.uniform(0.15, 0.85)}
    for beam in range(session.BeamCount):
        with demo.step("TCS", _("moves couch and gantry, verifies, asks for beam")):
            run_tango_job(session, "Position")
            run_tango_job(session, "VerifySetup")
            _close_room(client)
            _request_beam(client, session)
        moment = interrupt_at.get(beam) if demo.options.interrupt else None
        with demo.step("ACS", f"{_('irradiates')} {session.BeamName}") as step:
            _irradiate(demo, client, session, step, moment)
    with demo.step("TCS", _("sends the records to the OIS")):
        run_tango_job(session, "SubmitRecord")
        _wait(lambda: str(session.RecordState) == "DELIVERED", "records at the OIS")
        run_tango_job(session, "Unload")
    demo.summary["delivery"]["end"] = _now()


def _close_room(client: Client) -> None:
    """The therapist searches the room, leaves and closes the door; trips of the open room are reset."""
    interlock = client.proxy(INTERLOCK)
    for name in ROOM_INPUTS:
        interlock.command_inout("SetInput", json.dumps({"name": name, "ok": True}))
    if interlock.Tripped:
        interlock.command_inout("ResetTrips")


def _request_beam(client: Client, session: Any) -> None:
    """Ask for beam; an interlock that is not satisfied yet is given time to become so."""
    deadline = time.monotonic() + READY_LIMIT
    while True:
        try:
            run_tango_job(session, "RequestBeam")
        except JobFailed:
            if time.monotonic() > deadline:
                raise
            if client.proxy(INTERLOCK).Tripped:
                client.proxy(INTERLOCK).command_inout("ResetTrips")
            time.sleep(POLL)
        else:
            return


def _irradiate(demo: Demo, client: Client, session: Any, step: Step, interrupt_at: float | None) -> None:
    run_tango_job(session, "StartIrradiation")
    trips = 0
    wish = interrupt_at
    while True:
        state = str(session.SessionState)
        progress = float(session.Progress)
        step.update(progress, f"{session.DeliveredMU:.2f}/{session.PlannedMU:.2f} MU")
        if state in ("BEAM_DONE", "COMPLETE"):
            return
        if state == "TERMINATED":
            raise JobFailed(f"irradiation terminated: {session.Cause}")
        if state == "INTERRUPTED":
            commanded = wish is None and interrupt_at is not None and trips == 0
            demo.summary["delivery"]["interruptions"].append(
                {
                    "beam": str(session.BeamName),
                    "progress": progress,
                    "cause": str(session.Cause),
                    "time": _now(),
                }
            )
            if not commanded or client.proxy(INTERLOCK).Tripped:
                trips += 1
                if trips > MOST_TRIPS:
                    raise JobFailed(f"beam tripped {trips} times, last: {session.Cause}")
                client.proxy(INTERLOCK).command_inout("ResetTrips")
            run_tango_job(session, "ResumeIrradiation")
        elif wish is not None and progress >= wish:
            session.command_inout("InterruptIrradiation")
            wish = None
            _wait(lambda: str(session.SessionState) != "IRRADIATING", "interruption")
        time.sleep(POLL / 2)


def _wait(done: Any, what: str, limit: float = READY_LIMIT) -> None:
    deadline = time.monotonic() + limit
    while True:
        try:
            if done():
                return
        except tango.DevFailed:
            pass
        if time.monotonic() > deadline:
            raise LinkLost(f"{what}: not within {limit:.0f} s")
        time.sleep(POLL / 2)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
