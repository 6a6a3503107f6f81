"""Who tells the alarm server what: a source for each server, and for each attribute beside the blocks."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tango
from numpy.typing import NDArray

from common.site import Device, Site
from device_servers.registration import crate_name
from device_servers.services.alarms.attributes import LINKED, STANDING, UP, Attribute, Origin
from device_servers.services.alarms.intake import Intake, Value
from device_servers.services.archive.recorder import Batch
from device_servers.services.sources import TIMEOUT_MS, BlockSource, Source

log = logging.getLogger(__name__)

ASK_PERIOD_S = 1.0
"""How often a server is asked how its devices stand, unless one of their fault codes moves."""
FAULT = "/FaultCode"
Told = Mapping[str, Sequence[str]]
"""Device -> State, HealthState, AdminMode, Status."""


class ServerSource:
    """One server: whether it answers, the standing of its devices, the values of its block."""

    def __init__(
        self,
        server: str,
        devices: Sequence[Device],
        wired: frozenset[str],
        inputs: Sequence[str],
        intake: Intake,
        own: Callable[[], Told] | None = None,
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        """`wired`: devices with hardware, UNKNOWN without their link. `inputs`: names that come from here.

        own: how to ask when it is this very process. hurry: asks for a `check` soon; any thread.
        """
        self.server = server
        self.checked = False
        self._intake, self._own = intake, own
        self._inputs = tuple(inputs)
        self._names = [device.name for device in devices]
        self._wired = wired & set(self._names)
        self._crate = crate_name(server).lower()
        self._block = BlockSource(crate_name(server), self) if own is None else None
        self._proxy: tango.DeviceProxy | None = None
        self._told: Mapping[str, Value] = {}
        self._hurry, self._ask_at = hurry, 0.0
        self._faults: tuple[Sequence[str], NDArray[np.bool_]] = ((), np.empty(0, dtype=bool))

    @property
    def up(self) -> bool:
        """Whether the server answers."""
        return self._block is None or self._block.up

    def check(self) -> None:
        """See whether the server is there, (re)subscribe, and ask how its devices stand."""
        if self._block is not None:
            self._block.check()
        if self.up:
            if time.monotonic() >= self._ask_at:
                self._ask()
        elif not self.checked:
            self.gap((), time.time())
        self.checked = True

    def close(self) -> None:
        """End the subscription."""
        if self._block is not None:
            self._block.close()

    # --- Sink of the block

    def take(self, batch: Batch) -> None:
        """Values that changed. A fault code that moves moves a State: it is asked for at once."""
        self._intake.take(batch)
        if batch.triples is not None and self._mask(batch.names)[batch.triples[:, 1].astype(np.intp)].any():
            self._ask_at = 0.0
            self._hurry()

    def missed(self) -> None:
        """Tango lost events."""
        self._intake.missed()

    def gap(self, _names: Sequence[str], when: float) -> None:
        """Everything of this server is unknown from now on."""
        self._told, self._ask_at = {}, 0.0
        self._intake.gone(self._inputs, when, {f"{self._crate}/{UP}": 0.0, f"{self._crate}/{LINKED}": 0.0})

    # --- Inner

    def _mask(self, names: Sequence[str]) -> NDArray[np.bool_]:
        if self._faults[0] is not names:
            self._faults = (names, np.array([name.endswith(FAULT) for name in names], dtype=bool))
        return self._faults[1]

    def _ask(self) -> None:
        self._ask_at = time.monotonic() + ASK_PERIOD_S
        try:
            told = self._own() if self._own is not None else self._read()
        except (tango.DevFailed, ValueError, TypeError) as why:
            log.debug("%s does not tell its devices: %s", self._crate, why)
            return
        values = self._values(told)
        news = {name: value for name, value in values.items() if self._told.get(name, self) != value}
        self._told = values
        if news:
            self._intake.put(news, time.time())

    def _read(self) -> Told:
        if self._proxy is None:
            self._proxy = tango.DeviceProxy(self._crate)
            self._proxy.set_timeout_millis(TIMEOUT_MS)
        try:
            return dict(json.loads(self._proxy.read_attribute("Devices").value))
        except tango.DevFailed:
            self._proxy = None
            raise

    def _values(self, told: Told) -> dict[str, Value]:
        values: dict[str, Value] = {}
        unlinked = 0
        for name in self._names:
            words = told.get(name, ("GONE", "UNKNOWN", "ONLINE"))
            unlinked += name in self._wired and words[0] in ("UNKNOWN", "GONE", "INIT")
            for attribute, word in zip(STANDING, words, strict=False):
                values[f"{name.lower()}/{attribute}"] = word
        values[f"{self._crate}/{UP}"] = 1.0
        values[f"{self._crate}/{LINKED}"] = float(not self._wired or unlinked < len(self._wired))
        return values


class ValueSource(Source[Intake]):
    """One attribute that is in no block: its change events, else nothing is known of it."""

    def __init__(self, name: str, intake: Intake, clock: Callable[[], float] = time.time) -> None:
        device, _slash, self.attribute = name.rpartition("/")
        super().__init__(device, intake, clock)
        self.name = name
        self.checked = False
        self._known = False
        self._intake = intake

    def check(self) -> None:
        """See whether the attribute is there, and (re)subscribe."""
        super().check()
        self.checked = True

    def prepare(self, proxy: tango.DeviceProxy) -> None:
        """Nothing: the value says all."""

    def accept(self, value: Any) -> None:
        """Hand on a number or a word; what is neither is unknown."""
        if self._known:
            self._intake.put({self.name: plain(value)}, self._clock())

    def lost(self) -> None:
        """From now on the value is unknown."""
        self._intake.put({self.name: None}, self._clock(), lost=True)

    def _event(self, event: Any) -> None:
        """Called by Tango. An error, or quality INVALID, is an unknown value."""
        value = None if event.err else event.attr_value
        self._known = (
            value is not None and value.value is not None and value.quality != tango.AttrQuality.ATTR_INVALID
        )
        super()._event(event)
        if not self._known:
            self._intake.put({self.name: None}, self._clock(), lost=bool(event.err))


def plain(value: Any) -> Value:
    """A scalar of Tango as number or word; None for anything else."""
    if isinstance(value, str | tango.DevState):
        return str(value)
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return float(value)
    return None


def of_site(
    site: Site,
    shapes: Sequence[Attribute],
    wired: frozenset[str],
    intake: Intake,
    own: Mapping[str, Callable[[], Told]],
    hurry: Callable[[], None],
) -> list[ServerSource | ValueSource]:
    """The sources of a site's rules. own: how to ask servers that are this very process."""
    servers: list[ServerSource | ValueSource] = []
    for server in site.servers:
        names = [
            shape.name for shape in shapes if shape.server == server and shape.origin is not Origin.ALONE
        ]
        servers.append(
            ServerSource(server, site.on_server(server), wired, names, intake, own.get(server), hurry)
        )
    alone = [shape.name for shape in shapes if shape.origin is Origin.ALONE]
    return [*servers, *(ValueSource(name, intake) for name in alone)]
