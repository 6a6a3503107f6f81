"""The steps of a treatment session up to the beam: what is checked before each, and what is journaled.

No Tango here: ports come with the bench. A step either happens whole (journaled, state advanced) or
raises and leaves the state as it was.
"""

import logging
import threading

from common.dicom.canonical import plan_hash
from common.dicom.checker import check
from common.dicom.findings import ERROR
from common.dicom.ion_plan import from_dataset
from common.dicom.plan import IonBeam, IonPlan
from common.errors import BadInput, PtcsError, Refused, Tampered
from common.text import _
from common.units import air_density_correction
from device_servers.central.session_ports import Bench, Operator
from treatment import approval
from treatment.accounting import check_drift
from treatment.delivery_map import DeliveryMap, check_machine
from treatment.ledger import Course, History
from treatment.positioning import Setup, check_setup, target
from treatment.session import Event, advance

log = logging.getLogger(__name__)


class Flow:
    """Select, identify, position, verify, unload. One step at a time, under the bench's lock."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.plan: IonPlan | None = None
        """The approved plan in hand; None when idle or when a restart could not find it."""

    @property
    def beam(self) -> IonBeam | None:
        """The beam in hand: the one positioned for, else the next to come."""
        ledger = self._bench.journal.ledger
        number = ledger.beam if ledger.beam is not None else ledger.next_beam
        return beam_of(self.plan, number) if self.plan is not None and number is not None else None

    def recover(self) -> None:
        """After a restart: find the plan of the journal again. A plan that is lost or altered is a fault."""
        bench = self._bench
        if bench.journal.ledger.course is None:
            return
        try:
            self.plan = approved_plan(bench)
        except (Refused, Tampered, BadInput, OSError, ValueError) as why:
            bench.journal.step(Event.FAULT, bench.now(), cause=str(why))

    def load_plan(self, plan_uid: str, fraction: int, operator: Operator) -> None:
        """Fetch plan and approval, check both, and select the fraction."""
        bench, journal = self._bench, self._bench.journal
        with bench.lock:
            advance(journal.ledger.state, Event.LOAD_PLAN)
            bench.devices.check_mode()
            standing = bench.approvals.standing(plan_uid, operator.token)
            approval.check_standing(standing)
            dataset = bench.plans.fetch(plan_uid)
            digest = plan_hash(dataset)
            if digest != standing.plan_hash:
                raise Tampered(_("the plan as fetched is not the one that the OIS approved"))
            approval.check_signed(bench.key(), standing.approval, str(dataset.SOPInstanceUID), digest)
            if str(dataset.SOPInstanceUID) != plan_uid:
                raise Tampered(_("another plan was sent than the one asked for"))
            errors = [finding.text for finding in check(dataset) if finding.severity == ERROR]
            if errors:
                raise BadInput(_("the plan is not sound: {why}").format(why=errors[0]))
            plan = from_dataset(dataset)
            numbers = tuple(beam.number for beam in plan.beams)
            course = Course(plan_uid, digest, fraction, numbers, standing.approval)
            ours = journal.ledger.histories.get(course.key, History())
            approval.check_plan(plan, bench.machine.name)
            approval.check_fraction(plan, fraction, standing, ours, bench.monitor)
            for beam in plan.beams:
                check_machine(DeliveryMap.from_beam(beam, bench.monitor, 1.0), bench.machine)
                target(plan, beam)
            bench.vault.keep(dataset)
            journal.step(
                Event.LOAD_PLAN,
                bench.now(),
                operator.user,
                plan_uid=plan_uid,
                plan_hash=digest,
                fraction=fraction,
                beams=list(numbers),
                approval=standing.approval,
            )
            self.plan = plan

    def confirm_identity(self, patient_id: str, birth_date: str, operator: Operator) -> None:
        """Both identifiers must be exactly those of the plan's patient."""
        bench = self._bench
        with bench.lock:
            advance(bench.journal.ledger.state, Event.CONFIRM_IDENTITY)
            approval.check_identity(self.need_plan(), patient_id, birth_date)
            bench.journal.step(Event.CONFIRM_IDENTITY, bench.now(), operator.user)

    def position(self, operator: Operator, stop: threading.Event) -> None:
        """Move couch and gantry for the next beam, and prepare the machine's cycles."""
        bench, ledger = self._bench, self._bench.journal.ledger
        with bench.lock:
            advance(ledger.state, Event.POSITION)
            number = ledger.next_beam
            if number is None or ledger.history.open_run is not None:
                raise Refused(_("the last beam is not settled yet; wait for its counters"))
            plan = self.need_plan()
            beam = beam_of(plan, number)
            withdraw(bench)
            bench.devices.enter(operator)
            bench.devices.load_cycles([layer.energy for layer in beam.layers])
            bench.devices.move(target(plan, beam), stop)
            bench.journal.step(Event.POSITION, bench.now(), operator.user, beam=number)

    def verify_setup(self, operator: Operator) -> None:
        """Read the room back, compare with the plan, and freeze k_TP for the fraction."""
        bench, ledger = self._bench, self._bench.journal.ledger
        with bench.lock:
            advance(ledger.state, Event.VERIFY_SETUP)
            bench.devices.enter(operator)
            setup, k_tp = self.check_room()
            frozen = ledger.k_tp if ledger.k_tp is not None else k_tp
            bench.journal.step(
                Event.VERIFY_SETUP, bench.now(), operator.user, setup=setup.values(), k_tp=frozen
            )

    def check_room(self) -> tuple[Setup, float]:
        """The room as read back, and its k_TP now. Raises Refused if anything is not as planned."""
        bench, ledger = self._bench, self._bench.journal.ledger
        plan = self.need_plan()
        approval.check_plan(plan, bench.machine.name)
        setup = bench.devices.setup()
        if self.beam is None:
            raise Refused(_("no beam is selected"))
        check_setup(target(plan, self.beam), setup)
        try:
            k_tp = air_density_correction(setup.temperature, setup.pressure)
        except ValueError as why:
            raise Refused(str(why)) from why
        if ledger.k_tp is not None:
            check_drift(ledger.k_tp, k_tp, bench.monitor)
        return setup, k_tp

    def unload(self, operator: Operator) -> None:
        """Forget the plan; nothing delivered is lost, its records are queued."""
        bench = self._bench
        with bench.lock:
            advance(bench.journal.ledger.state, Event.UNLOAD)
            clear(bench)
            bench.journal.step(Event.UNLOAD, bench.now(), operator.user)
            self.plan = None

    def need_plan(self) -> IonPlan:
        """The plan in hand. Raises Refused without one."""
        if self.plan is None:
            raise Refused(_("no plan is loaded"))
        return self.plan


def approved_plan(bench: Bench) -> IonPlan:
    """The plan in hand, read from the disk anew, its hash and signed approval checked.

    Raises Tampered when it is not the approved one, Refused when there is none, BadInput, OSError.
    """
    course = bench.journal.ledger.course
    if course is None:
        raise Refused(_("no plan is loaded"))
    dataset = bench.vault.plan()
    digest = plan_hash(dataset)
    approval.check_signed(bench.key(), course.approval, str(dataset.SOPInstanceUID), digest)
    if digest != course.plan_hash or str(dataset.SOPInstanceUID) != course.plan_uid:
        raise Tampered(_("the plan on the disk of this room is not the one loaded"))
    return from_dataset(dataset)


def beam_of(plan: IonPlan, number: int) -> IonBeam:
    """The beam of that number. Raises Refused."""
    for beam in plan.beams:
        if beam.number == number:
            return beam
    raise Refused(_("the plan has no beam {number}").format(number=number))


def withdraw(bench: Bench) -> None:
    """Stop asking for beam. A link that is lost asks for nothing."""
    if bench.link.up:
        bench.link.request_beam(False)


def clear(bench: Bench) -> None:
    """Have the hardware forget the map, as far as it answers: the next plan is loaded and checked anew."""
    try:
        withdraw(bench)
        bench.link.unload()
    except PtcsError as why:
        log.info("map not unloaded: %s", why)
