"""One room's session put together: its parts, its steps by name, and the picture that its attributes show."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from common.authority import load_public
from common.errors import BadConfig, LinkLost, PtcsError
from common.site import CONFIG, Site, load_checked
from common.state import StateDir
from device_servers.central.session_beam import BeamControl
from device_servers.central.session_flow import Flow
from device_servers.central.session_links import OisApprovals, OisPlans, PlanFile, RecordStore
from device_servers.central.session_parts import Parts
from device_servers.central.session_ports import Bench, Operator, RoomDevices, room_directory
from device_servers.central.session_settle import Settler, missing_permit
from device_servers.central.session_view import Picture, SpotView
from device_servers.drivers.delivery import REQUEST_INPUT, FpgaDelivery
from interlock.matrix import load as load_matrix
from treatment.delivery_map import Machine
from treatment.journal import Journal
from treatment.monitor import Monitor
from treatment.session import Event, State, legal

IMAGE_S = 0.5
"""How often the spot map is drawn anew while it changes."""

NEED_COUNTS = (Event.RESUME, Event.POSITION, Event.SUBMIT_RECORD)
"""Steps that wait until the counters of the last run are read back."""

LOCK_S = 0.05
"""How long a look waits for a step under way."""

Step = Callable[[threading.Event], None]


class Console:
    """Everything behind one TreatmentSession device; knows no Tango itself."""

    def __init__(self, bench: Bench, link: FpgaDelivery | None = None) -> None:
        """Replays the journal. `link` gives live reports beyond what DeliveryLink offers."""
        self.bench = bench
        self.flow = Flow(bench)
        self.parts = Parts(bench)
        self.settler = Settler(bench, self.flow, self.parts)
        self.beam = BeamControl(bench, self.flow, self.settler)
        self.spots = SpotView(bench.journal, bench.monitor)
        self.picture = Picture()
        self.wake = threading.Event()
        self._link = link
        self._drawn = 0.0
        self._drawing = threading.Lock()
        if link is not None:
            link.on_spots(self.spots.take)
            link.on_state(self.wake.set)
        self.flow.recover()

    def step(self, event: Event, operator: Operator) -> Step:
        """A step without arguments, as a job. Raises KeyError for one that has arguments."""
        steps: dict[Event, Step] = {
            Event.POSITION: lambda stop: self.flow.position(operator, stop),
            Event.VERIFY_SETUP: lambda _stop: self.flow.verify_setup(operator),
            Event.REQUEST_BEAM: lambda stop: self.beam.request(operator, stop),
            Event.START: lambda stop: self.beam.start(operator, stop),
            Event.RESUME: lambda stop: self.beam.resume(operator, stop),
            Event.SUBMIT_RECORD: lambda stop: self._submit(operator, stop),
            Event.UNLOAD: lambda _stop: self.flow.unload(operator),
        }
        return steps[event]

    def look(self) -> Picture:
        """Settle, and take a new picture. Raises OSError or PtcsError when the journal cannot be written.

        A step that takes long (a motion) is not waited for: nothing settles during it.
        """
        lock = self.bench.lock
        free = lock.acquire(timeout=LOCK_S)
        try:
            if free:
                self.settler.settle()
        finally:
            if free:
                lock.release()
            self.draw()
        return self.picture

    def draw(self) -> None:
        """Take a new picture. Any thread."""
        with self._drawing:
            self.picture = self._picture()

    def _submit(self, operator: Operator, stop: threading.Event) -> None:
        self.settler.await_settled(stop)
        self.parts.submit(self.flow.plan, operator)

    def _picture(self) -> Picture:
        journal, plan, beam = self.bench.journal, self.flow.plan, self.flow.beam
        ledger, course = journal.ledger, journal.ledger.course
        if self.spots.select(plan, beam):
            self._drawn = 0.0
        layer, spot, energy, dose_rate = self._live()
        return Picture(
            state=State.FAULT if journal.broken else ledger.state,
            legal=() if journal.broken else self._legal(),
            cause=journal.broken or ledger.cause,
            interlock=self._interlock(),
            record=self.parts.state(),
            patient_name=plan.patient.name if plan else "",
            patient_id=plan.patient.patient_id if plan else "",
            plan_label=plan.label if plan else "",
            plan_uid=course.plan_uid if course else "",
            plan_hash=course.plan_hash if course else "",
            fraction=course.fraction if course else 0,
            beam_number=beam.number if beam else 0,
            beam_name=beam.name if beam else "",
            beam_count=len(plan.beams) if plan else 0,
            layer=layer,
            layer_count=len(beam.layers) if beam else 0,
            energy=energy,
            spot=spot,
            spot_count=beam.spot_count if beam else 0,
            delivered_mu=float(self.spots.delivered().sum()),
            planned_mu=beam.meterset if beam else 0.0,
            dose_rate=dose_rate,
            image=self._image(),
        )

    def _legal(self) -> tuple[str, ...]:
        ledger = self.bench.journal.ledger
        waiting = NEED_COUNTS if ledger.history.open_run is not None else ()
        return tuple(event.value for event in legal(ledger.state) if event not in waiting)

    def _interlock(self) -> str:
        try:
            missing = missing_permit(self.bench.link.status(), self.bench.aside)
        except PtcsError as why:
            return str(why)
        # That no beam is asked for is the session's own doing, not something in its way.
        asked = self._link.request_input if self._link is not None else REQUEST_INPUT
        return ", ".join(name for name in missing.inputs if name != asked)

    def _live(self) -> tuple[int, int, float, float]:
        if self._link is None:
            return 0, 0, 0.0, 0.0
        known = np.nan_to_num(self._link.read().values)
        named = dict(zip(self._link.quantities, known, strict=True))
        return int(named["layer"]), int(named["spot"]), float(named["energy"]), float(named["dose_rate"])

    def _image(self) -> NDArray[np.float64]:
        now = time.monotonic()
        if now - self._drawn < IMAGE_S:
            return self.picture.image
        self._drawn = now
        image = self.spots.image()
        return self.picture.image if np.array_equal(image, self.picture.image) else image


def build(site: Site, state: Path, room: str, link: FpgaDelivery, devices: RoomDevices) -> Console:
    """The console of a room on the real ports. Raises Tampered for a damaged journal, BadConfig, OSError."""
    layout = StateDir(state)
    directory = room_directory(state, room)
    journal = Journal(directory / "journal.log")
    bench = Bench(
        room=room,
        journal=journal,
        plans=OisPlans(layout),
        approvals=OisApprovals(layout),
        vault=PlanFile(directory),
        link=link,
        devices=devices,
        records=RecordStore(directory, layout),
        key=lambda: _public_key(layout),
        monitor=Monitor.from_site(site.monitor, site.delivery),
        machine=_machine(site),
        aside=frozenset(row.name for row in load_matrix(site.interlock_path).inputs if not row.cuts),
        now=time.time_ns,
        new_uid=lambda: str(generate_uid()),
    )
    return Console(bench, link)


def _public_key(layout: StateDir) -> Ed25519PublicKey:
    try:
        return load_public(layout.public_key)
    except (OSError, ValueError) as why:
        raise LinkLost(f"no public key of the OIS yet: {why}") from why


def _machine(site: Site) -> Machine:
    beside = site.path.parent / "beam_models" / f"{site.beam_model}.yaml"
    path = beside if beside.exists() else CONFIG / "beam_models" / f"{site.beam_model}.yaml"
    try:
        return Machine.from_beam_model(site.machine, load_checked(path, "beam_model"))
    except (KeyError, TypeError, ValueError) as why:
        raise BadConfig(f"{path.name}: beam model lacks {why}") from why
