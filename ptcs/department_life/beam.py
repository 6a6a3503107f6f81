"""Fractions of a plan by the simulated beam hardware, counted and recorded as the treatment session does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from common.clock import ClockRate
from common.dicom import canonical, ion_record, modules
from common.dicom.plan import IonBeam, IonPlan
from common.errors import Refused
from common.site import Site
from common.text import _
from common.units import air_density_correction
from simulation.fpga.delivery import Delivery
from simulation.fpga.model import BeamView, Faults, Model, from_site
from simulation.fpga.rows import blank, columns
from simulation.fpga.spotmap import accept
from treatment import positioning
from treatment.accounting import Counters
from treatment.delivery_map import DeliveryMap
from treatment.ledger import Course, History, Part, Run
from treatment.monitor import Monitor
from treatment.record import build

BETWEEN_BEAMS = timedelta(seconds=100)
"""Gantry and couch move, the set-up is looked at again."""

PAUSE = timedelta(minutes=4)
"""From an interruption until the beam goes on."""

AIR = ((21.0, 1008.0), (22.0, 1013.0), (21.5, 1019.0), (22.5, 1002.0))
"""Temperature in degC and pressure in hPa of one day and the next."""


@dataclass(frozen=True)
class Fraction:
    """One fraction to give: when its first beam begins, who treats, and the part after which it is paused."""

    number: int
    begin: datetime
    therapists: Sequence[str]
    paused_at: float | None = None


class Hardware:
    """The simulated beam hardware of a site, without its process: a map goes in, counters come out."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._model: Model = from_site(site)
        self.monitor = Monitor.from_site(site.monitor, site.delivery)

    def give(self, plan: IonPlan, digest: str, fraction: Fraction) -> list[Dataset]:
        """The records of one fraction, one for each part. Raises Refused where the hardware stops itself.

        digest: hash of the approved plan.
        """
        temperature, pressure = AIR[fraction.number % len(AIR)]
        k_tp = air_density_correction(temperature, pressure)
        history = History(operators=list(fraction.therapists))
        begin = fraction.begin
        for beam in plan.beams:
            setup = positioning.target(plan, beam)
            values = positioning.Setup(setup.gantry, setup.couch, False, temperature, pressure).values()
            pause = fraction.paused_at if beam is plan.beams[0] else None
            for run in self._irradiate(beam, digest, fraction, k_tp, values, begin, pause):
                run.serial = len(history.runs) + 1
                history.runs.append(run)
            begin = _moment(history.runs[-1].end_ns) + BETWEEN_BEAMS
        history.finished = True
        history.parts = _parts(history, fraction)
        course = Course(
            plan.sop_instance_uid, digest, fraction.number, tuple(b.number for b in plan.beams), ""
        )
        series = modules.new_uid(plan.sop_instance_uid, str(fraction.number), "record")
        return [
            ion_record.to_dataset(build(plan, course, history, part, self.monitor, series))
            for part in history.parts
        ]

    def _irradiate(
        self,
        beam: IonBeam,
        digest: str,
        fraction: Fraction,
        k_tp: float,
        setup: dict[str, float],
        begin: datetime,
        pause: float | None,
    ) -> list[Run]:
        """The runs of one beam: one, or two where it is paused."""
        wanted = DeliveryMap.from_beam(beam, self.monitor, k_tp)
        first, whole = self._run(wanted, digest, fraction, setup, begin, pause)
        if whole or first.counters is None:
            return [first]
        first.termination, first.cause = "OPERATOR", f"interrupted by {fraction.therapists[0]}"
        rest = wanted.with_done(first.counters.primary)
        again, _whole = self._run(rest, digest, fraction, setup, _moment(first.end_ns) + PAUSE, None)
        return [first, again]

    def _run(
        self,
        wanted: DeliveryMap,
        digest: str,
        fraction: Fraction,
        setup: dict[str, float],
        begin: datetime,
        until: float | None,
    ) -> tuple[Run, bool]:
        """One irradiation, and whether it gave everything; `until`: stop after this part of the layers."""
        body = {
            "beam_number": wanted.beam_number,
            "counts_per_mu": wanted.counts_per_mu,
            "k_tp": wanted.k_tp,
            "plan_hash": digest,
            "resume": bool(wanted.done.any()),
        }
        spots = accept(body, wanted.arrays())
        delivery = Delivery(self._model, spots, blank(spots.count), fraction.number)
        last = len(spots.energy) if until is None else max(1, round(until * len(spots.energy)))
        tick = self._deliver(delivery, last)
        rate = ClockRate(1.0, round(begin.timestamp() * 1e9))
        counters = Counters(**columns(delivery.rows), factor=rate.factor, origin_wall_ns=rate.origin_wall_ns)  # type: ignore[arg-type]
        run = Run(
            serial=0,
            beam=wanted.beam_number,
            digest=wanted.digest(),
            k_tp=wanted.k_tp,
            spots=spots.count,
            setup=setup,
            start_ns=rate.wall_ns_at(0),
            counters=counters,
            termination="NORMAL",
            end_ns=rate.wall_ns_at(tick),
        )
        return run, not len(delivery.todo())

    def _deliver(self, delivery: Delivery, last: int) -> int:
        """Spill after spill until the first `last` layers are given; the tick at which beam ended."""
        tick = end = 0
        while len(todo := delivery.todo()) and (layer := int(delivery.spots.layer[todo[0]])) < last:
            tick += self._model.switch
            energy = float(delivery.spots.energy[layer])
            beam = BeamView(ready=True, energy=energy, k_tp=delivery.spots.k_tp)
            delivery.begin(tick, beam, Faults())
            came = delivery.advance(delivery.end_tick, beam, Faults())
            if came.violation is not None:
                raise Refused(_("the beam hardware stopped itself: {why}").format(why=came.violation.input))
            tick = end = came.tick
        return end


def _parts(history: History, fraction: Fraction) -> list[Part]:
    """A part ends with a run that was interrupted, and with the last one."""
    parts: list[Part] = []
    runs: list[int] = []
    for run in history.runs:
        runs.append(run.serial)
        if run.termination != "NORMAL" or run is history.runs[-1]:
            parts.append(Part(len(parts) + 1, modules.new_uid(), tuple(runs), fraction.therapists[0]))
            runs = []
    return parts


def _moment(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns / 1e9).astimezone()


def hash_of(plan: Dataset) -> str:
    """What the OIS signs of a plan."""
    return canonical.plan_hash(plan)
