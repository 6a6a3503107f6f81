"""What a device class asks of its hardware: one small Protocol per kind.

A site exchanges the class behind a Protocol (drivers/factory.py), never the device class.
Every method raises Refused when the hardware refuses and LinkLost when it does not answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Wake = Callable[[], None]


@dataclass(frozen=True)
class Reading:
    """A snapshot: `values` in the order of the driver's `quantities` (NaN: unknown), taken at `wall_ns`."""

    values: Floats
    wall_ns: int


class Source(Protocol):
    """What every driver has: a snapshot that never blocks, and the state of its link."""

    quantities: tuple[str, ...]
    """Names of the values that `read` gives, for example ("current", "voltage")."""

    @property
    def up(self) -> bool:
        """Whether the hardware answers now and its values are fresh."""

    def read(self) -> Reading:
        """The latest snapshot; all NaN while the link is lost."""

    def listen(self, wake: Wake) -> None:
        """Call `wake` (from any thread, quickly) after each new snapshot, event or change of the link."""


class Resettable(Source, Protocol):
    """Something with a fault to clear, such as a water circuit."""

    def reset(self) -> None:
        """Clear a fault whose cause is gone."""


class Switchable(Resettable, Protocol):
    """Something with an output to switch: a pump, an amplifier."""

    def on(self) -> None:
        """Switch the output on."""

    def off(self) -> None:
        """Switch the output off."""


class Dosimeter(Switchable, Protocol):
    """An instrument that collects the charge of delivered spots while it is on."""

    def zero(self) -> None:
        """Forget the charge collected so far."""


class LayeredDosimeter(Dosimeter, Protocol):
    """A dosimeter with many layers behind each other."""

    def layers(self) -> tuple[Floats, Floats]:
        """Depth in mm of water, and charge in nC since `zero`, of each layer, (n,) each."""


class PowerSupply(Switchable, Protocol):
    """Ion source, RF station, kicker, chiller: a set value that can be switched on."""

    def set(self, name: str, value: float) -> None:
        """Set a value by its quantity: `set("current", 120.0)`."""


class MagnetPower(PowerSupply, Protocol):
    """A magnet's supply, which also sets its ramp rate (`set("ramp", ...)`) and follows waveforms."""

    def load_waveform(self, points: Floats) -> None:
        """Follow rows (n, 2) of time s from 0 and current A from now on."""

    def waveform(self) -> Floats:
        """The rows (n, 2) loaded last; n is 0 when none was. Asks the hardware."""


class Selector(Source, Protocol):
    """A foil wheel: positions to choose from."""

    def set(self, name: str, value: float) -> None:
        """Choose: `set("position", 2.0)`."""


class Valve(Source, Protocol):
    """A sector valve or beam stopper."""

    def open(self) -> None:
        """Begin to open."""

    def close(self) -> None:
        """Begin to close."""


class Insertable(Source, Protocol):
    """Something that is moved into the beam and out of it."""

    def insert(self) -> None:
        """Begin to move into the beam."""

    def retract(self) -> None:
        """Begin to move out of the beam."""


class ProfileHarp(Insertable, Protocol):
    """A wire harp."""

    def profile(self) -> tuple[Floats, Floats]:
        """Charge of each wire of the x and of the y plane, (64,) each. Asks the hardware."""


class Movable(Source, Protocol):
    """Axes that move together, whatever the beam does: slit, degrader."""

    def move(self, target: Mapping[str, float]) -> None:
        """Begin to move axes to positions (mm, deg)."""

    def stop(self) -> None:
        """Stop all axes."""


class BeamWatch(Source, Protocol):
    """Knows whether there is beam, or will be without asking anybody (a map is being delivered)."""

    def beam(self) -> bool | None:
        """As of the last snapshot; None when unknown."""

    def beam_now(self) -> bool | None:
        """As the hardware answers now (may block for a moment); None when it does not answer."""


class BeamHolder(BeamWatch, Protocol):
    """Gives the beam to one room at a time."""

    def allocate(self, room: str) -> None:
        """Give the beam to a room ("": to nobody); refused while there is beam."""

    def follow(self, room: str) -> None:
        """Have the hardware give the beam to this room as soon as it can, and again whenever it differs."""


class Positioner(Movable, BeamWatch, Protocol):
    """Couch, gantry, snout: axes that move together, and the beam that forbids it."""


class Nozzle(Source, Protocol):
    """The dose monitors and spot measurement."""

    def take_spots(self) -> Floats:
        """Rows (n, 10) of the spots finished since the last call, in order: wall time s, index, x, y,
        size_x, size_y (mm), primary, secondary (counts), start tick, end tick. Each row comes once.
        """


class TimingSystem(Source, Protocol):
    """The timing system's sequence and clock."""

    def load_cycles(self, energies: Sequence[float]) -> None:
        """Load one machine cycle per energy (MeV)."""

    def clock_factor(self) -> float | None:
        """Tick time over wall time; None when unknown."""

    def load(self, change: Mapping[str, Any]) -> None:
        """One change of a sequencer, of a pulser, or of the beam that cycles are for."""

    def look(self, wake: Wake) -> None:
        """Have the view kept fresh from now on; `wake` is called after each change, from any thread."""

    def view(self) -> Mapping[str, Any]:
        """The latest answer to `timing`; empty while unknown."""

    def events(self, since: int) -> Mapping[str, Any]:
        """The event log from a number on."""

    def sequence(self, number: int) -> Mapping[str, Any]:
        """What sequencer 1 or 2 has loaded."""


class InterlockSystem(Source, Protocol):
    """The interlock logic in hardware."""

    def status(self) -> Mapping[str, Any]:
        """The latest `status` reply (empty while unknown): `permit`, `first_fault`, `inputs`, ..."""

    def last_trip(self) -> Mapping[str, Any]:
        """The latest trip: `input`, `cause`, `tick`, `wall_ns`, `beam_off_tick`; empty if none was seen."""

    def reset(self, user: str, roles: Sequence[str]) -> None:
        """Clear latched trips whose cause is gone."""

    def set_input(self, name: str, ok: bool) -> None:
        """Drive an input that belongs to the control system (room search, session request)."""

    def mask(self, name: str, user: str, roles: Sequence[str], reason: str, seconds: float) -> None:
        """Mask an input for a time."""

    def unmask(self, name: str, user: str, roles: Sequence[str]) -> None:
        """End a mask."""

    def self_test(self, user: str, roles: Sequence[str]) -> Mapping[str, Any]:
        """Drop each input in turn, every output held off: `passed`, `cases`, `failures`."""

    def classify(self, name: str, user: str, roles: Sequence[str], reason: str) -> None:
        """Declare one trip of a cause false."""


@dataclass(frozen=True)
class Trips:
    """The latest trips {tick, wall_ns, cause, beam_off_tick}, the hardware's time, and what a post-mortem
    spans (wall time, s).
    """

    trips: tuple[Mapping[str, Any], ...]
    tick: int
    wall_ns: int
    factor: float
    pre_s: float
    post_s: float


@dataclass(frozen=True)
class RingSpan:
    """What ring buffers hold from tick `begin` to `end`; all of it is there from `since` on.

    names: "input" and "output" -> names. changes: the same -> arrays initial (names,), tick, index,
    value (n,); 1 good, 0 bad, -1 unknown. signals: (name, unit) of each column of `samples` (m, k).
    """

    begin: int
    end: int
    since: int
    names: Mapping[str, tuple[str, ...]]
    changes: Mapping[str, Mapping[str, NDArray[Any]]]
    signals: tuple[tuple[str, str], ...]
    samples: Floats


class RingMemory(Source, Protocol):
    """Ring buffers around trips."""

    def on_trip(self, wake: Wake) -> None:
        """Call `wake` when the hardware reports a trip, and when it comes back."""

    def trips(self) -> Trips:
        """The latest trips."""

    def span(self, begin: int, end: int) -> RingSpan:
        """What the buffers hold from one tick to another."""

    def mark(self, cause: str) -> None:
        """Keep this moment as if it were a trip."""


class ServiceKey(Source, Protocol):
    """The key that says whether engineers work on the machine."""

    def turn(self, on: bool) -> None:
        """Turn the key to service or back; hardware that is away follows when it returns."""
