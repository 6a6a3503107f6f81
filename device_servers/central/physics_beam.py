"""PhysicsBeam: beam for measurements in a room, without a patient.

It drives the beam hardware as a treatment session does, under the same interlock and the same checks of each
spot. It works only while the room's session has no patient and, where the site has modes, in PHYSICS or
SERVICE. The map that it starts is the one that it loaded: the hardware's digest says so.
"""

import json
from typing import Any

import numpy as np
import tango
from tango import DevState
from tango.server import command

from common.errors import LinkLost, Refused
from common.site import CONFIG, load_checked
from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.central.physics_map import asked_map
from device_servers.channel import channel, derived
from device_servers.parse import json_object
from treatment.delivery_map import Machine, check_machine
from treatment.monitor import Monitor

STATES = ("IDLE", "LOADED", "SWITCHING", "DELIVERING", "HELD", "TRIPPED", "COMPLETE", "TERMINATED")
"""Order of `fpga.state` on the wire."""
MODES = frozenset({"PHYSICS", "SERVICE"})
IDLE = "IDLE"
TIMEOUT_MS = 1000


class PhysicsBeam(PtcsDevice):
    """Beam of a room for commissioning and machine tests."""

    Hardware = channel("state", dtype=str, names=STATES, doc="state of the beam hardware")
    Spot = channel("spot", dtype=int, doc="spot under way, index in the map")
    DoseRate = channel("dose_rate", unit="MU/s", format="%7.3f", deadband=0.05, doc="in tick time")

    def init_device(self) -> None:
        """Nothing is loaded by this device yet."""
        super().init_device()
        site = self.context.site
        self._monitor = Monitor.from_site(site.monitor, site.delivery)
        model = load_checked(CONFIG / "beam_models" / f"{site.beam_model}.yaml", "beam_model")
        self._machine = Machine.from_beam_model(site.machine, model)
        self._digest = ""

    @derived(dtype=str)
    def Digest(self) -> str:
        """Digest of the map that this device loaded last; empty: none."""
        return self._digest

    @derived(dtype=float, unit="1/MU", format="%10.2f")
    def CountsPerMU(self) -> float:
        """Declared counts of the monitor per MU at 20 degC and 1013.25 hPa."""
        return self._monitor.counts_per_mu

    @command(dtype_in=str, doc_in="JSON; see docs/reference/commissioning.md")
    def Load(self, text: str) -> None:
        """Load a map for measurements. Energies, positions and meterset are checked as a plan's are."""
        self._require_free()
        wanted = asked_map(json_object(text), self._monitor)
        check_machine(wanted, self._machine)
        self._digest = ""
        self.driver.load(wanted, f"physics-{wanted.digest()[:40]}")
        self._digest = wanted.digest()
        self.refresh()

    @command
    def Start(self) -> None:
        """Ask for beam, and begin the map that was loaded."""
        self._require_mine()
        self.driver.request_beam(True)
        self.driver.start()

    @command
    def Resume(self) -> None:
        """Go on after a hold, or after a trip that was reset."""
        self._require_mine()
        self.driver.request_beam(True)
        self.driver.resume()

    @command
    def Ask(self) -> None:
        """Ask for beam and start nothing: the permit can be seen to come."""
        self._require_free()
        self.driver.request_beam(True)

    @rule(safe=True)
    @command
    def Hold(self) -> None:
        """Stop after the spot under way."""
        self._only_mine()
        self.driver.hold("physics")

    @rule(safe=True)
    @command
    def Terminate(self) -> None:
        """Stop for good, and stop asking for beam."""
        self._only_mine()
        self.driver.terminate("physics")
        self.driver.request_beam(False)

    @command
    def Unload(self) -> None:
        """Forget the map, and stop asking for beam."""
        self._only_mine()
        self.driver.request_beam(False)
        self.driver.unload()
        self._digest = ""
        self.refresh()

    @rule(read=True)
    @command(dtype_out=str, doc_out="JSON {state, digest, x, y, size_x, size_y, primary, secondary}: by spot")
    def Counters(self) -> str:
        """What the monitors have counted and seen of each spot of the map loaded here."""
        held = self.driver.counters()
        if not self._digest or held.digest != self._digest:
            raise Refused(_("the hardware holds no map of this device: load one first"))
        counted = held.counters
        names = ("x", "y", "size_x", "size_y", "primary", "secondary")
        values = {name: np.asarray(getattr(counted, name)).tolist() for name in names}
        return json.dumps({"state": held.state, "digest": held.digest, **values})

    def _only_mine(self) -> None:
        """Raise Refused unless the hardware holds the map that this device loaded."""
        held = self.driver.status().get("digest")
        if not self._digest or held != self._digest:
            raise Refused(_("the hardware holds no map of this device: load one first"))

    def _require_mine(self) -> None:
        self._require_free()
        self._only_mine()

    def _require_free(self) -> None:
        """Raise Refused with a patient in the room, in a mode for patients, or while nobody can tell."""
        site = self.context.site
        for device in site.of_class("TreatmentSession", self.site.room):
            state = _asked(device.name, "SessionState")
            if state != IDLE:
                text = _("{device} is {state}: beam for measurements needs a room without a patient")
                raise Refused(text.format(device=device.name, state=state))
        for device in site.of_class("MachineMode"):
            mode = _asked(device.name, "Mode")
            if mode not in MODES:
                text = _("the machine's mode is {mode}: measurements need {allowed}")
                raise Refused(text.format(mode=mode, allowed=", ".join(sorted(MODES))))

    def _state(self) -> tuple[DevState, str]:
        number = self.value("state")
        state = STATES[int(number)] if 0 <= number < len(STATES) else ""
        if state in ("SWITCHING", "DELIVERING"):
            return DevState.RUNNING, _("beam: {state}").format(state=state)
        return DevState.STANDBY, _("no beam: {state}").format(state=state)


def _asked(device: str, attribute: str) -> Any:
    """A value of another device. Raises LinkLost when it does not tell: nothing is assumed."""
    try:
        proxy = tango.DeviceProxy(device)
        proxy.set_timeout_millis(TIMEOUT_MS)
        told = proxy.read_attribute(attribute)
    except tango.DevFailed as why:
        raise LinkLost(str(why.args[0].desc)) from why
    if told.quality == tango.AttrQuality.ATTR_INVALID:
        raise LinkLost(_("{device}: {name} is not known now").format(device=device, name=attribute))
    return told.value
