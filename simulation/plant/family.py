"""All devices of one class as one block of arrays: the frame that each kind of physics fills in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.world import World

Floats = NDArray[np.float64]


COMMON: tuple[tuple[str, str], ...] = (("fault", ""), ("ok", ""))
"""What every device shows besides its quantities: its fault code, and 1 while it is good for beam."""


class Effect(StrEnum):
    """What a fault does to beam that is being delivered."""

    TRIP = "trip"
    """The device is not good for beam any more, at once."""
    SLOW = "slow"
    """Something passes its limit after a while, or settles within it."""
    BEAM = "beam"
    """The beam changes; by how much decides whether it stays right or is taken away."""
    QUIET = "quiet"
    """Beam stays as it is: a reading is wrong, or something that nobody uses now does not work."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `code` is shown in the channel `fault`; 0: only the readings show it.

    given: what it does to beam; without it, a code trips and a wrong reading does nothing.
    """

    code: int
    text: str
    given: Effect | None = None

    @property
    def effect(self) -> Effect:
        """What it does to beam that is being delivered."""
        return self.given or (Effect.TRIP if self.code else Effect.QUIET)


class Family(ABC):
    """Devices of one class. Row i of `values` belongs to `devices[i]`, column j to `quantities[j]`;
    the last two columns, `fault` and `ok`, are written by `advance`.

    faults: the kinds of faults that these devices can have.
    latching: a fault code stays until `reset`, which works once the cause is cleared.
    elsewhere: the quantities travel over another protocol; the block has `fault` and `ok` only.
    period_s: wall time between two steps, for what is slow; 0: every step of the plant.
    """

    quantities: ClassVar[tuple[tuple[str, str], ...]]
    faults: ClassVar[Mapping[str, Fault]] = {}
    latching: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False
    period_s: ClassVar[float] = 0.0
    retained: ClassVar[tuple[str, ...]] = ()
    """Arrays (n,) or (n, axes) that equipment keeps when the process that simulates it dies."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = tuple(devices)
        self.count = len(self.devices)
        self.code = np.zeros(self.count)
        self._causes = {kind: np.zeros(self.count, dtype=np.bool_) for kind in self.faults}
        self.values: Floats = np.zeros((self.count, len(self.quantities) + len(COMMON)))
        self._waited = self.period_s

    def connect(self, families: Mapping[str, "Family"]) -> None:  # noqa: B027 - most have nothing to do
        """Meet the other families of the plant, by class name; called once, before the first step."""

    def advance(self, dt: float, world: World) -> None:
        """Let `dt` seconds of wall time pass: step when it is time, then show fault and fitness."""
        self._waited += dt
        if self._waited >= self.period_s:
            self.step(self._waited, world)
            self._waited = 0.0
            self.values[:, -2], self.values[:, -1] = self.code, self.good

    @abstractmethod
    def step(self, dt: float, world: World) -> None:
        """Let `dt` seconds of wall time pass and write the quantities into `values`."""

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which devices are good for beam as they are, (n,); read after `step`."""
        good: NDArray[np.bool_] = self.code == 0
        return good

    @property
    def ok(self) -> bool:
        """Whether every device of the family is good for beam."""
        return bool(self.good.all())

    def shut_down(self) -> None:  # noqa: B027 - most have nothing to do
        """As an operator leaves these devices for the night."""

    def channels(self) -> list[tuple[str, str]]:
        """Name and unit of each value that these devices have in the block, in order."""
        shown = COMMON if self.elsewhere else (*self.quantities, *COMMON)
        return [(f"{device.wire}.{name}", unit) for device in self.devices for name, unit in shown]

    def block(self) -> Floats:
        """The values of `channels`, in that order."""
        return (self.values[:, -len(COMMON) :] if self.elsewhere else self.values).ravel()

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """A command to device i. Raises Refused with the verbs that this class knows."""
        raise self._unknown(i, f"{verb} {body.get('name', '')}".strip())

    def ask(self, verb: str, i: int, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:  # noqa: ARG002
        """A command to device i that carries or answers arrays. Raises Refused."""
        raise self._unknown(i, verb)

    def _unknown(self, i: int, verb: str) -> Refused:
        device = self.devices[i]
        return Refused(
            _("{device}: a {kind} does not know {verb}").format(
                device=device.wire, kind=device.tango_class, verb=verb
            )
        )

    def inject(self, i: int, kind: str) -> None:
        """Let a fault happen. Raises Refused for a kind that this class does not have."""
        self._check_kind(i, kind)
        self._causes[kind][i] = True
        self.update_code(i)

    def clear(self, i: int, kind: str | None) -> None:
        """Take the cause of a fault away (None: of all). A latched code waits for `reset`."""
        if kind is not None:
            self._check_kind(i, kind)
        for gone in self.faults if kind is None else (kind,):
            self._causes[gone][i] = False
        if not self.latching:
            self.code[i] = 0.0
            self.update_code(i)

    def _check_kind(self, i: int, kind: str) -> None:
        if kind not in self.faults:
            raise Refused(
                _("{device} has no fault {kind}: allowed are {allowed}").format(
                    device=self.devices[i].wire, kind=kind, allowed=", ".join(self.faults)
                )
            )

    def update_code(self, i: int) -> None:
        """Show the code of what is wrong with device i; a code that is there already stays."""
        codes = sorted(self.faults[kind].code for kind in self.causes(i) if self.faults[kind].code)
        if codes and not self.code[i]:
            self.code[i] = codes[0]

    def reset(self, i: int) -> None:
        """Clear a latched code. Raises Refused while its cause is there."""
        causes = [kind for kind in self.causes(i) if self.faults[kind].code]
        if causes:
            raise Refused(
                _("{device}: {causes} is still there; mend it, then reset").format(
                    device=self.devices[i].wire, causes=", ".join(causes)
                )
            )
        self.code[i] = 0.0

    def memory(self, i: int) -> dict[str, Any]:
        """What device i keeps over a restart, as JSON values."""
        return {name: getattr(self, name)[i].tolist() for name in self.retained}

    def recall(self, i: int, memory: Mapping[str, Any]) -> None:
        """Take back what `memory` gave. Raises ValueError for another shape."""
        for name in self.retained:
            if name in memory:
                getattr(self, name)[i] = memory[name]

    def has(self, kind: str) -> NDArray[np.bool_]:
        """Which devices have a cause of that kind, (n,)."""
        return self._causes[kind]

    def causes(self, i: int) -> list[str]:
        """Kinds of faults that device i has a cause of."""
        return [kind for kind, flags in self._causes.items() if flags[i]]

    def column(self, name: str) -> int:
        """Place of a quantity in `values`."""
        return [quantity for quantity, _ in (*self.quantities, *COMMON)].index(name)

    def parameter(self, key: str, default: float) -> Floats:
        """A number of each device's `plant` section, (n,)."""
        return np.array([float(device.plant.get(key, default)) for device in self.devices])

    def limit(self, key: str, side: int, default: float) -> Floats:
        """A limit of each device, (n,); side 0 lowest, 1 highest."""
        return np.array([device.limits.get(key, (default, default))[side] for device in self.devices])


def setting(device: Device, names: Sequence[str], limit: str, body: Mapping[str, Any]) -> float:
    """The value of a `set` request, within the device's limits. Raises Refused."""
    name, value = body.get("name"), body.get("value")
    if name not in names:
        raise Refused(
            _("{device} has nothing to set called {name}: allowed are {allowed}").format(
                device=device.wire, name=name, allowed=", ".join(names)
            )
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Refused(_("{device}: a setting must be a finite number").format(device=device.wire))
    low, high = device.limits.get(limit, (-np.inf, np.inf))
    if not low <= value <= high:
        raise Refused(
            _("{device}: {value:g} is outside its limits: allowed are {low:g} to {high:g}").format(
                device=device.wire, value=value, low=low, high=high
            )
        )
    return float(value)
