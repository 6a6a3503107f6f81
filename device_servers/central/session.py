"""TreatmentSession: one room's treatment, step by step. A thin shell around session_console.py."""

import logging
import threading
from typing import Any

import tango
from tango import DevState
from tango.server import command

from common.errors import PtcsError, Refused
from common.text import _
from device_servers.base import JobDevice, derived, rule
from device_servers.central.session_console import Console, Step, build
from device_servers.central.session_ports import Operator
from device_servers.central.session_room import TangoRoom
from device_servers.central.session_view import Picture
from device_servers.parse import json_object, number_field, text_field
from treatment.session import Event, State, advance

log = logging.getLogger(__name__)

LOOK_S = 0.1
"""Attributes change ten times a second at most."""

STATES = {
    State.IDLE: DevState.STANDBY,
    State.IRRADIATING: DevState.RUNNING,
    State.INTERRUPTED: DevState.ALARM,
    State.TERMINATED: DevState.ALARM,
    State.FAULT: DevState.FAULT,
}


def shown(name: str, kind: Any, **options: Any) -> derived:
    """An attribute that shows one value of the session's picture and pushes itself when it changes."""
    return derived(lambda device: getattr(device.picture, name), dtype=kind, **options)


class SessionDisplay(JobDevice):
    """What a panel sees of a session."""

    SessionState = shown("state", str, doc="where the session stands; see docs/reference/session.md")
    LegalSteps = shown("legal", (str,), max_dim_x=16, doc="commands that are allowed now")
    PatientName = shown("patient_name", str)
    PatientId = shown("patient_id", str)
    PlanLabel = shown("plan_label", str)
    PlanUid = shown("plan_uid", str, doc="SOP Instance UID of the plan in hand")
    PlanHash = shown("plan_hash", str, doc="SHA-256 of the approved plan, hex")
    FractionNumber = shown("fraction", int, doc="from 1; 0 without a plan")
    BeamNumber = shown("beam_number", int, doc="beam in hand")
    BeamName = shown("beam_name", str)
    BeamCount = shown("beam_count", int)
    Layer = shown("layer", int, doc="layer under way, from 0")
    LayerCount = shown("layer_count", int)
    Energy = shown("energy", float, unit="MeV", format="%6.2f", doc="energy of the machine cycle")
    Spot = shown("spot", int, doc="spot under way, index in the whole beam")
    SpotCount = shown("spot_count", int)
    DeliveredMU = shown(
        "delivered_mu", float, unit="MU", format="%8.3f", doc="counted, earlier parts included"
    )
    PlannedMU = shown("planned_mu", float, unit="MU", format="%8.3f")
    DoseRate = shown("dose_rate", float, unit="MU/s", format="%6.2f", doc="in tick time")
    Progress = shown("progress", float, format="%5.3f", doc="delivered part of the beam, 0..1")
    InterlockText = shown("interlock", str, doc="what keeps the beam permit away")
    Cause = shown("cause", str, doc="why the session was interrupted, terminated or is in fault")
    RecordState = shown("record", str, doc="NONE, QUEUED or DELIVERED")
    SpotMap = shown(
        "drawn", ((float,),), max_dim_x=5, max_dim_y=100000, doc="layer, x mm, y mm, planned MU, delivered MU"
    )

    console: Console | None = None
    broken = ""

    @property
    def picture(self) -> Picture:
        """The latest picture; FAULT with the reason when the session could not begin."""
        return self.console.picture if self.console else Picture(state=State.FAULT, cause=self.broken)

    def _state(self) -> tuple[DevState, str]:
        picture = self.picture
        return STATES.get(State(picture.state), DevState.ON), f"{picture.state}: {picture.cause}".rstrip(": ")


class TreatmentSession(SessionDisplay):
    """The treatment session of one room. Commands queue and return a job id."""

    def init_device(self) -> None:
        """Replay the journal and begin to watch the beam hardware."""
        super().init_device()
        self._end = threading.Event()
        room = self.site.room
        try:
            devices = TangoRoom(self.context.site, room)
            self.console = build(self.context.site, self.context.state, room, self.driver, devices)
        except (PtcsError, OSError) as why:
            log.exception("session of %s cannot begin", room)
            self.broken = str(why)
            return
        threading.Thread(
            target=self._watch, args=(self.console,), name=f"session {room}", daemon=True
        ).start()

    def delete_device(self) -> None:
        """Stop watching; journal and outbox keep everything."""
        self._end.set()
        if self.console is not None:
            self.console.wake.set()
        super().delete_device()

    # --- steps

    @command(dtype_in=str, doc_in='JSON {"plan_uid", "fraction"}', dtype_out=str, doc_out="job id")
    def LoadPlan(self, text: str) -> str:
        """Fetch plan and approval from the OIS, check both, and select the fraction."""
        values = json_object(text)
        uid, fraction = text_field(values, "plan_uid"), int(number_field(values, "fraction"))
        console, operator = self._begin(Event.LOAD_PLAN)
        return self._queue(console, lambda _stop: console.flow.load_plan(uid, fraction, operator))

    @rule(private=True)
    @command(dtype_in=str, doc_in='JSON {"patient_id", "birth_date"}', dtype_out=str, doc_out="job id")
    def ConfirmIdentity(self, text: str) -> str:
        """Confirm by two identifiers who is on the couch."""
        values = json_object(text)
        patient_id, birth_date = text_field(values, "patient_id"), text_field(values, "birth_date")
        console, operator = self._begin(Event.CONFIRM_IDENTITY)
        return self._queue(
            console, lambda _stop: console.flow.confirm_identity(patient_id, birth_date, operator)
        )

    @command(dtype_out=str, doc_out="job id")
    def Position(self) -> str:
        """Move couch and gantry for the next beam."""
        return self._job(Event.POSITION)

    @command(dtype_out=str, doc_out="job id")
    def VerifySetup(self) -> str:
        """Compare the room as read back with the plan."""
        return self._job(Event.VERIFY_SETUP)

    @command(dtype_out=str, doc_out="job id")
    def RequestBeam(self) -> str:
        """Get the beam, load and check the map, wait for the permit."""
        return self._job(Event.REQUEST_BEAM)

    @command(dtype_out=str, doc_out="job id")
    def StartIrradiation(self) -> str:
        """Irradiate the beam that is ready."""
        return self._job(Event.START)

    @command(dtype_out=str, doc_out="job id")
    def ResumeIrradiation(self) -> str:
        """Irradiate what the counters say is left."""
        return self._job(Event.RESUME)

    @rule(safe=True)
    @command(dtype_out=str, doc_out="job id")
    def InterruptIrradiation(self) -> str:
        """Stop after the spot under way, at once and from any state; may be resumed."""
        return self._safe(Event.INTERRUPT, _("interrupted by {user}"))

    @rule(safe=True)
    @command(dtype_out=str, doc_out="job id")
    def TerminateIrradiation(self) -> str:
        """Stop for good, at once and from any state; everything is selected anew afterwards."""
        return self._safe(Event.TERMINATE, _("terminated by {user}"))

    @command(dtype_out=str, doc_out="job id")
    def SubmitRecord(self) -> str:
        """Write and queue the record of everything delivered."""
        return self._job(Event.SUBMIT_RECORD)

    @command(dtype_out=str, doc_out="job id")
    def Unload(self) -> str:
        """Forget the plan."""
        return self._job(Event.UNLOAD)

    # --- inside

    def _begin(self, event: Event) -> tuple[Console, Operator]:
        """Who asks, and a refusal at once where nothing queued could still make the step legal."""
        if self.console is None or self.caller is None:
            raise Refused(_("the session cannot begin: {why}").format(why=self.broken))
        if not self.jobs.busy:
            advance(self.console.bench.journal.ledger.state, event)
        return self.console, Operator(self.caller.identity.user, self.caller.token)

    def _job(self, event: Event) -> str:
        console, operator = self._begin(event)
        return self._queue(console, console.step(event, operator))

    def _queue(self, console: Console, work: Step) -> str:
        """A job after which the attributes show what it did before it is called done."""

        def job(stop: threading.Event) -> None:
            try:
                work(stop)
            finally:
                console.draw()

        return self.start_job(job)

    def _safe(self, event: Event, cause: str) -> str:
        """The beam first, on this thread; then queued jobs are dropped and one waits for the counters."""
        console = self.console
        if console is None or self.caller is None:
            raise Refused(_("the session cannot begin: {why}").format(why=self.broken))
        user = self.caller.identity.user
        console.settler.safe(event, user, cause.format(user=user))
        self.jobs.cancel()
        console.wake.set()
        return self._queue(console, console.settler.await_settled)

    def _watch(self, console: Console) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                console.wake.wait(LOOK_S)
                console.wake.clear()
                before = console.picture
                try:
                    console.look()
                except (PtcsError, OSError) as why:
                    log.error("session cannot settle: %s", why)
                except Exception:  # border of the thread: a defect must not end the watch over the beam
                    log.exception("session cannot settle")
                if console.picture is not before:
                    self.refresh()
                self._end.wait(LOOK_S / 2)
