"""What the beam hardware does as ticks pass: cycle, beam, counts, checks, interlock."""

from simulation.fpga.model import ENERGY_TOLERANCE
from simulation.fpga.states import State
from simulation.fpga.watch import Sense, Watch

__all__ = ["Beamline", "Sense"]


class Beamline(Watch):
    """One beam line's hardware between commands."""

    def advance(self, tick: int, sense: Sense) -> None:
        """Go on to a tick: beam as permitted until now, then the inputs as they are now.

        Raises ValueError if ticks run backwards.
        """
        if tick < self.tick:
            raise ValueError(f"tick {tick} comes before tick {self.tick}: ticks never run backwards")
        self._follow_off(tick)
        self._sense, self.beam_on = sense, False
        while (self.state is State.SWITCHING and self._switch(tick)) or (
            self.state is State.DELIVERING and self._deliver(tick)
        ):
            pass
        self._outputs += self.cycle.settle(tick)
        self.tick = tick
        self._follow_off(tick)
        self._judge(tick)

    def _switch(self, tick: int) -> bool:
        """Wait for the flat-top and the layer's energy; True when beam has begun.

        A flat-top without beam is given up for another: a stopper that was still closed left the ring empty.
        """
        self._outputs += self.cycle.advance(tick)
        if self.cycle.flat_top is None:
            return False
        delivery, beam = self._loaded(), self._sense.beam
        wanted = float(delivery.spots.energy[delivery.layers_left()[0]])
        off = max(abs(beam.energy - wanted), abs(self.cycle.energy - wanted))
        if beam.ready and beam.ion == delivery.spots.ion and off <= ENERGY_TOLERANCE * wanted:
            begin = max(self.cycle.flat_top, self.tick)
            delivery.begin(begin, beam, self.faults)
            self._go("beam", begin)
            return True
        self._sought = self.cycle.flat_top if self._sought is None else self._sought
        if tick > self._sought + self.model.energy_wait:
            self._violate("energy.selection", tick)
        elif tick > self.cycle.flat_top + self.model.empty_wait:
            self.cycle.refill(tick)
        return False

    def _deliver(self, tick: int) -> bool:
        """Count up to the tick; True when the run is over and the next cycle has begun."""
        delivery = self._loaded()
        if not self._hold:
            delivery.follow(self.tick, self._sense.beam, self.faults)
        step = delivery.advance(tick, self._sense.beam, self.faults)
        self.beam_on = self.beam_on or len(step.touched) > 0
        self._tell(step.ended, step.tick)
        if step.violation is not None:
            self._violate(step.violation.input, step.tick)
            return False
        if delivery.end_tick > tick:
            return False
        end, left = delivery.end_tick, delivery.layers_left()
        if left and self._hold:
            self.cycle.abort(end)
            self._go("held", end, self._hold)
        elif not left or delivery.spots.energy[left[0]] != self.cycle.energy:
            self.cycle.next_layer(end)
            self._go("spill" if left else "complete", end)
        else:
            self.cycle.refill(end)
            self._go("spill", end)
        return self.state is State.SWITCHING
