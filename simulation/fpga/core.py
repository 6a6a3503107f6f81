"""The beam hardware as a pure function of ticks: interlock, machine cycle, spot delivery, dose counters.

No socket, no clock, no randomness but the seed's: the same calls give the same counts. The process
around it (`service.py`) turns wall time into ticks and carries what `drain` returns.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from common.errors import Refused, Unauthorised
from common.text import _
from interlock.latch import TestRecord
from interlock.matrix import Matrix
from simulation.fpga.beamline import Beamline
from simulation.fpga.delivery import Delivery
from simulation.fpga.model import FAULT_SIZES
from simulation.fpga.rows import Rows, blank
from simulation.fpga.spotmap import SpotMap, check_machine
from simulation.fpga.states import ACTIVE, ENDED, State, after
from simulation.fpga.timing_link import LinkFaults

LARGEST_FAULT = 100.0


class Core(Beamline):
    """The hardware with its commands; each happens at the tick of the last `advance`."""

    unread = False
    """Whether there was beam, or may have been, since the counters were read last."""

    def load(self, spots: SpotMap) -> str:
        """Take a map with counters at zero; returns its digest. Raises Refused."""
        after(self.state, "load")
        if not spots.room and len(self.rooms) == 1:
            spots = replace(spots, room=self.rooms[0])
        self.require(spots.room)
        check_machine(spots, self.energies, self.model.counts_per_mu)
        self.delivery = Delivery(self.model, spots, blank(spots.count), self.seed)
        self._go("load", self.tick)
        return spots.digest

    def restore(self, spots: SpotMap, rows: Rows, state: State, cause: str) -> None:
        """Take map and counters from retained memory after a restart. Beam that was on is tripped."""
        self.delivery = Delivery(self.model, spots, rows, self.seed)
        self.room, self.unread = spots.room or self.room, bool(rows["primary"].any())
        self.energies = tuple(float(energy) for energy in spots.energy)
        cut = state in ACTIVE or state is State.TRIPPED
        self.state, self.cause = (State.TRIPPED, "fpga restarted") if cut else (state, cause)

    def require(self, room: str) -> None:
        """Raise Refused unless this room holds the beam."""
        if room in self.rooms and room == self.room:
            return
        check_room(room, self.rooms)
        holder = self.room or _("nobody")
        raise Refused(_("{room} does not hold the beam, {holder} does").format(room=room, holder=holder))

    def allocate(self, room: str) -> None:
        """Give the beam to a room ("": to nobody). Another room's map is forgotten with it.

        Raises Refused for an unknown room, while beam may come, and while the counters of another
        room's map have not been read since its beam ended.
        """
        if room:
            check_room(room, self.rooms)
        if room == self.room:
            return
        if self.beam_on or self.state in ACTIVE:
            raise Refused(_("the beam is on or under way; hold or terminate first"))
        delivery = self.delivery
        if room and delivery is not None and delivery.spots.room != room:
            if self.unread:
                raise Refused(
                    _("the counters of {room} were not read since beam ended; read or unload them").format(
                        room=delivery.spots.room
                    )
                )
            self.unload()
        self.room = room
        self._judge(self.tick)

    def unload(self) -> None:
        """Forget the map and its counters. Raises Refused while beam may come."""
        self._go("unload", self.tick)
        self.delivery = None

    def start(self) -> None:
        """Begin the loaded map. Raises Refused, also without permit."""
        self._enter("start")

    def resume(self) -> None:
        """Go on with what is left after a hold. Raises Refused, also without permit."""
        self._enter("resume")

    def _enter(self, event: str) -> None:
        after(self.state, event)
        delivery = self._loaded()
        self.require(delivery.spots.room)
        if not self.guard.permits(self.room):
            raise Refused(
                _("no beam permit: {names}; mend and reset first").format(
                    names=", ".join(self.guard.against(self.room))
                )
            )
        check_air(delivery.spots.k_tp, self._sense.beam.k_tp, self.model.tolerance["k_tp_drift"])
        self.unread = True
        self._go(event, self.tick)
        if layers := delivery.layers_left():
            energies = (float(delivery.spots.energy[layer]) for layer in layers)
            self.cycle.start(self.tick, [energy for energy, _ in groupby(energies)])
        else:
            self._go("complete", self.tick)

    def hold(self, cause: str) -> None:
        """Stop after the spot under way, or within it where it lasts too long.

        Where beam has ended already, nothing happens. Raises Refused where none has begun.
        """
        if self.state in ENDED:
            return
        after(self.state, "held")
        if self.state is State.DELIVERING:
            delivery = self._loaded()
            end = delivery.spot_end(self.tick)
            if end is not None and end - self.tick <= self.model.hold_limit:
                delivery.shorten(self.tick)
                self._hold = cause
                return
            self._cut(self.tick, self.model.fast_off)
        self.cycle.abort(self.tick)
        self._go("held", self.tick, cause)

    def terminate(self, cause: str) -> None:
        """End this map for good; beam off at once. Raises Refused where nothing is loaded or all is over."""
        after(self.state, "terminate")
        if self.state is State.DELIVERING:
            self._cut(self.tick, self.model.fast_off)
        self.cycle.abort(self.tick)
        self._go("terminate", self.tick, cause)

    def reset(self, user: str, roles: list[str]) -> None:
        """Clear trips whose cause is gone. Raises Refused or Unauthorised.

        A trip that stands in an isolated room does not keep the map of the room with the beam tripped.
        Who may reset nothing at all may not end a trip either that has left no latch.
        """
        check_reset(self.guard.matrix, user, roles, self.cause or ", ".join(self.guard.tripped("")))
        ready = self.state is State.TRIPPED and not self.guard.tripped(self.room)
        try:
            self.guard.reset(user, roles, self.tick)
        except Refused:
            if not ready:
                raise
        if self.state is State.TRIPPED and not self.guard.tripped(self.room):
            self._go("reset", self.tick, self.cause)

    def self_test(self, user: str, roles: list[str]) -> TestRecord:
        """Test the interlock's inputs with every output held off. Raises Refused or Unauthorised."""
        if self.beam_on or self.state in ACTIVE:
            raise Refused(_("the beam is on or under way; hold or terminate first"))
        return self.guard.self_test(user, roles, self.tick)

    def drive(self, name: str, ok: bool) -> None:
        """Set an interlock input from outside; it counts at once. Raises Refused."""
        self.guard.drive(name, ok)
        self._judge(self.tick)

    def fault(self, kind: str, size: float | None) -> None:
        """Inject a fault (size None: its usual one; 0: none). Raises Refused for an unknown kind."""
        check_fault(kind, size)
        self.faults = replace(self.faults, **{kind: FAULT_SIZES[kind] if size is None else size})
        self.cycle.timing.inject(LinkFaults.of(self.faults))
        if self.state is State.DELIVERING and not self._hold:
            self._loaded().begin(self.tick, self._sense.beam, self.faults)


def check_room(room: str, rooms: Sequence[str]) -> None:
    """Raise Refused for a room that the site does not have."""
    if room not in rooms:
        text = _("no room {room!r}: allowed are {rooms}")
        raise Refused(text.format(room=room, rooms=", ".join(rooms)))


def check_reset(matrix: Matrix, user: str, roles: Sequence[str], what: str) -> None:
    """Raise Unauthorised unless somebody of these roles may reset inputs of any family."""
    if not frozenset().union(*matrix.reset_roles.values()) & frozenset(roles):
        text = _("{user} may not reset {names}; ask somebody who may")
        raise Unauthorised(text.format(user=user, names=what or "beam_off"))


def check_fault(kind: str, size: float | None) -> None:
    """Raise Refused for an unknown kind of fault, or a size outside its limits."""
    if kind not in FAULT_SIZES:
        raise Refused(f"unknown fault {kind!r}: allowed are {', '.join(FAULT_SIZES)}")
    if size is not None and not 0.0 <= size <= LARGEST_FAULT:
        raise Refused(f"fault {kind} of size {size:g}: allowed are 0 to {LARGEST_FAULT:g}")


def check_air(measured: float, now: float, limit: float) -> None:
    """Raise Refused unless the air correction is still the one that the map was made with."""
    drift = abs(measured / now - 1.0)
    if not drift <= limit:
        raise Refused(
            _("air has drifted by {drift:.2%} since k_tp was measured: load the map anew").format(drift=drift)
        )
