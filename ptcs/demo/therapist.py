"""What operator and therapist do at the consoles, step by step, through Tango."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tango

from common.errors import LinkLost
from ptcs.client import Client, connect
from ptcs.demo.context import JobFailed, run_tango_job
from ptcs.demo.place import Place

READY_LIMIT = 30.0
POLL = 0.05


class Therapist:
    """A therapist at the console of a room. Raises JobFailed where the session refuses a step."""

    def __init__(self, state: Path, password: str, user: str = "therapist", room: str = "") -> None:
        """`room`: the site's first one unless told otherwise. Raises BadInput for one that it has not."""
        self.client: Client = connect(state, user, password)
        self.place = Place(state, room)

    def log_in_again(self) -> None:
        """Open the sessions anew: a server that was restarted has forgotten them."""
        self.client.renew()

    @property
    def session(self) -> Any:
        """Proxy of the treatment session."""
        return self.client.proxy(self.place.session)

    @property
    def interlock(self) -> Any:
        """Proxy of the central interlock."""
        return self.client.proxy(self.place.interlock)

    def state(self) -> str:
        """Session state."""
        return str(self.session.read_attribute("SessionState").value)

    def reading(self, name: str) -> Any:
        """Value of a session attribute."""
        return self.session.read_attribute(name).value

    def load(self, plan_uid: str, fraction: int, patient_id: str, birth_date: str) -> None:
        """Load the approved plan and confirm the patient by two identifiers."""
        run_tango_job(self.session, "LoadPlan", json.dumps({"plan_uid": plan_uid, "fraction": fraction}))
        identity = {"patient_id": patient_id, "birth_date": birth_date}
        run_tango_job(self.session, "ConfirmIdentity", json.dumps(identity))

    def prepare_beam(self) -> None:
        """Position and verify for the next beam, search and close the room, ask for beam."""
        run_tango_job(self.session, "Position")
        run_tango_job(self.session, "VerifySetup")
        self.close_room()
        self.request_beam()

    def close_room(self) -> None:
        """Search the room, leave, close the door. What the table has no contact for is told to it."""
        self.place.search()
        for name in self.place.told:
            self.interlock.command_inout("SetInput", json.dumps({"name": name, "ok": True}))

    def reset_trips(self) -> None:
        """Reset latched trips whose cause is gone."""
        if self.interlock.read_attribute("Tripped").value:
            self.interlock.command_inout("ResetTrips")

    def request_beam(self) -> None:
        """Reset the trips that the open room caused and ask for beam; what is not good yet is given time."""
        self._patiently(lambda: run_tango_job(self.session, "RequestBeam"))

    def start(self) -> None:
        """Start the irradiation of the beam in hand."""
        run_tango_job(self.session, "StartIrradiation")

    def interrupt(self) -> None:
        """Interrupt, and wait until the session says so."""
        self.session.command_inout("InterruptIrradiation")
        self.wait(lambda: self.state() != "IRRADIATING", "interruption")

    def resume(self) -> None:
        """Reset what tripped and resume from the counted remainder."""
        self._patiently(lambda: run_tango_job(self.session, "ResumeIrradiation"))

    def submit(self) -> None:
        """Send the records and wait until the OIS has them; then unload."""
        self._submit("DELIVERED")

    def _submit(self, *enough: str) -> None:
        run_tango_job(self.session, "SubmitRecord")
        self.wait(lambda: self.reading("RecordState") in enough, "records at the OIS")
        run_tango_job(self.session, "Unload")

    def abandon(self) -> None:
        """End what is under way: terminate, send what was delivered (it may be nothing), unload."""
        if self.state() not in ("COMPLETE", "TERMINATED", "RECORDED"):
            self.session.command_inout("TerminateIrradiation")
            self.wait(lambda: self.state() == "TERMINATED", "termination")
        if self.state() == "RECORDED":
            run_tango_job(self.session, "Unload")
        else:
            self._submit("DELIVERED", "NONE")

    def wait(self, done: Callable[[], bool], what: str, limit: float = READY_LIMIT) -> None:
        """Wait for a condition; a device that does not answer yet is asked again. Raises LinkLost."""
        deadline = time.monotonic() + limit
        while True:
            try:
                if done():
                    return
            except tango.DevFailed:
                pass
            if time.monotonic() > deadline:
                raise LinkLost(f"{what}: not within {limit:.0f} s")
            time.sleep(POLL)

    def _patiently(self, step: Callable[[], None]) -> None:
        deadline = time.monotonic() + READY_LIMIT
        while True:
            try:
                self.reset_trips()
                step()
            except (JobFailed, tango.DevFailed):
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL)
            else:
                return
