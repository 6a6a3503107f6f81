"""PhysicsBeam: beam for measurements in a room, without a patient.

It drives the beam hardware as a treatment session does, under the same interlock and the same checks of each
spot. It works only while the room's session has no patient and, where the site has modes, in PHYSICS or
SERVICE. The map that it starts is the one that it loaded: the hardware's digest says so.
"""

import json

import numpy as np
from tango import DevState
from tango.server import command

from common.errors import Refused
from common.site import CONFIG, Site, load_checked
from common.text import _
from device_servers.asking import asked, require_measuring
from device_servers.base import PtcsDevice, rule
from device_servers.central.physics_map import asked_map
from device_servers.central.physics_steps import STEPS, check_step
from device_servers.channel import channel, derived
from device_servers.parse import json_object
from treatment.delivery_map import DeliveryMap, Machine, check_machine
from treatment.monitor import Monitor

STATES = ("IDLE", "LOADED", "SWITCHING", "DELIVERING", "HELD", "TRIPPED", "COMPLETE", "TERMINATED")
"""Order of `fpga.state` on the wire."""
IDLE = "IDLE"
COUNTED = ("x", "y", "size_x", "size_y", "primary", "secondary")
"""What the monitors tell of each spot."""


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
        self._wanted: DeliveryMap | None = None

    @derived(dtype=str)
    def Digest(self) -> str:
        """Digest of the map that this device loaded last; empty: none."""
        return self._digest

    @derived(dtype=float, unit="1/MU", format="%10.2f")
    def CountsPerMU(self) -> float:
        """Declared counts of the monitor per MU at 20 degC and 1013.25 hPa."""
        return self._monitor.counts_per_mu

    @derived(dtype=(str,), max_dim_x=8)
    def LegalSteps(self) -> list[str]:
        """Commands that the state of the beam hardware allows, if its map is this device's."""
        return sorted(STEPS.get(self._shown_state(), ()))

    @command(dtype_in=str, doc_in="JSON; see docs/reference/commissioning.md")
    def Load(self, text: str) -> None:
        """Load a map for measurements. Energies, positions and meterset are checked as a plan's are."""
        self._require_free()
        wanted = asked_map(json_object(text), self._monitor)
        check_machine(wanted, self._machine)
        self._take(wanted, "Load")

    @command
    def Ready(self) -> None:
        """Load the last map anew, after it was terminated, tripped or is complete; counters begin at zero."""
        self._require_free()
        if self._wanted is None:
            raise Refused(_("this device has loaded no map since it was started: load one first"))
        self._take(self._wanted, "Ready")

    @command
    def Start(self) -> None:
        """Ask for beam, and begin the map that was loaded."""
        self._require_free()
        self._only_mine("Start")
        self.driver.request_beam(True)
        self.driver.start()

    @command
    def Resume(self) -> None:
        """Go on after a hold, or after a trip that was reset."""
        self._require_free()
        self._only_mine("Resume")
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
        self._only_mine("Hold")
        self.driver.hold("physics")

    @rule(safe=True)
    @command
    def Terminate(self) -> None:
        """Stop for good, and stop asking for beam."""
        self._only_mine("Terminate")
        self.driver.terminate("physics")
        self.driver.request_beam(False)

    @command
    def Unload(self) -> None:
        """Forget the map, and stop asking for beam."""
        self._only_mine("Unload")
        self.driver.request_beam(False)
        self.driver.unload()
        self._digest = ""
        self.refresh()

    @rule(read=True)
    @command(dtype_out=str, doc_out="JSON {state, cause, mine: whether the map is this device's}")
    def Standing(self) -> str:
        """How the beam hardware stands, asked of it now: the attribute Hardware is that of its last block."""
        held = self.driver.status()
        digest = str(held.get("digest") or "")
        told = {"state": str(held.get("state", "")), "cause": str(held.get("cause") or "")}
        return json.dumps({**told, "mine": bool(digest) and digest == self._digest})

    @rule(read=True)
    @command(dtype_out=str, doc_out="JSON {state, digest, x, y, size_x, size_y, primary, secondary}: by spot")
    def Counters(self) -> str:
        """What the monitors have counted and seen of each spot of the map loaded here."""
        held = self.driver.counters()
        if not self._digest or held.digest != self._digest:
            raise Refused(_("the hardware holds no map of this device: load one first"))
        values = {name: np.asarray(getattr(held.counters, name)).tolist() for name in COUNTED}
        return json.dumps({"state": held.state, "digest": held.digest, **values})

    def _take(self, wanted: DeliveryMap, step: str) -> None:
        """Have the hardware load a map; a tripped one is given up for it, so that nobody resumes it."""
        state = str(self.driver.status().get("state", ""))
        check_step(state, step)
        self._digest = ""
        if state == "TRIPPED":
            self.driver.terminate("physics")
        self.driver.load(wanted, label_of(wanted.digest()))
        self._digest, self._wanted = wanted.digest(), wanted
        self.refresh()

    def _only_mine(self, step: str) -> None:
        """Raise Refused unless the hardware holds this device's map and its state allows a step.

        A device that was started anew knows its map by the label that it gave it.
        """
        held = self.driver.status()
        digest = str(held.get("digest") or "")
        if digest and not self._digest and self.driver.label() == label_of(digest):
            self._digest = digest
        if not self._digest or digest != self._digest:
            raise Refused(_("the hardware holds no map of this device: load one first"))
        check_step(str(held.get("state", "")), step)

    def _require_free(self) -> None:
        require_free(self.context.site, self.site.room)

    def _shown_state(self) -> str:
        number = self.value("state")
        return STATES[int(number)] if 0 <= number < len(STATES) else ""

    def _state(self) -> tuple[DevState, str]:
        state = self._shown_state()
        if state in ("SWITCHING", "DELIVERING"):
            return DevState.RUNNING, _("beam: {state}").format(state=state)
        return DevState.STANDBY, _("no beam: {state}").format(state=state)


def label_of(digest: str) -> str:
    """What the hardware keeps with a map of this device."""
    return f"physics-{digest[:40]}"


def require_free(site: Site, room: str) -> None:
    """Raise Refused with a patient in the room, in a mode for patients, or while nobody can tell."""
    for device in site.of_class("TreatmentSession", room):
        state = asked(device.name, "SessionState")
        if state != IDLE:
            text = _("{device} is {state}: beam for measurements needs a room without a patient")
            raise Refused(text.format(device=device.name, state=state))
    require_measuring(site)
