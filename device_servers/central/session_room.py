"""The room and the shared machine as a session reaches them: Tango devices, in a user's name."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tango

from common.errors import BadConfig, LinkLost, PtcsError, Refused
from common.site import Site
from common.text import _
from device_servers.central.machine_mode import PATIENTS
from device_servers.central.session_ports import Operator
from device_servers.sessions import open_sessions
from treatment.positioning import Setup, Target

Answer = TypeVar("Answer")

AXES = ("x", "y", "z", "pitch", "roll", "yaw")
MOTION_LIMIT_S = 180.0
ALLOCATION_LIMIT_S = 60.0
POLL_S = 0.1


class TangoRoom:
    """Implements RoomDevices."""

    def __init__(self, site: Site, room: str) -> None:
        """Finds the device names in the site; connects when first used. Raises BadConfig."""
        self._room = room
        self._names = {
            **{kind: _only(site, kind, room) for kind in ("Couch", "Gantry", "EnvironmentStation")},
            **{kind: _only(site, kind) for kind in ("Timing", "BeamAllocation")},
        }
        if site.of_class("MachineMode"):
            self._names["MachineMode"] = _only(site, "MachineMode")
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self._operator: Operator | None = None

    def enter(self, operator: Operator) -> None:
        """Open a session in the operator's name on every crate."""
        open_sessions(operator.token)
        self._operator = operator

    def check_mode(self) -> None:
        """Raise Refused in service mode and while the machine is off. A site without modes is clinical."""
        if "MachineMode" not in self._names:
            return
        mode = str(self._read("MachineMode", ["Mode"])[0])
        if mode not in PATIENTS:
            text = _("the machine's mode is {mode}: patients are treated in {allowed}")
            raise Refused(text.format(mode=mode, allowed=", ".join(sorted(PATIENTS))))

    def move(self, target: Target, stop: threading.Event) -> None:
        """Move couch and gantry and return when both stand."""
        jobs = {
            "Couch": self._call("Couch", "MoveTo", json.dumps(dict(target.couch))),
            "Gantry": self._call("Gantry", "MoveTo", target.gantry),
        }
        waited = 0.0
        while jobs:
            for kind, job in list(jobs.items()):
                state = json.loads(self._call(kind, "JobStatus", job))
                if state["state"] == "FAILED":
                    self.halt()
                    raise Refused(f"{self._names[kind]}: {state['error']}")
                if state["state"] == "DONE":
                    del jobs[kind]
            if stop.wait(POLL_S) or waited > MOTION_LIMIT_S:
                self.halt()
                raise Refused(_("motion stopped before its target"))
            waited += POLL_S

    def halt(self) -> None:
        """Stop couch and gantry now; both are told even if one does not answer."""
        failed: list[str] = []
        for kind in ("Couch", "Gantry"):
            try:
                self._call(kind, "Stop")
            except PtcsError as why:
                failed.append(str(why))
        if failed:
            raise LinkLost("; ".join(failed))

    def setup(self) -> Setup:
        """Where the room stands, and its air. Raises LinkLost when a value is not known."""
        couch = self._read("Couch", [*(axis.capitalize() for axis in AXES), "Moving"])
        gantry = self._read("Gantry", ["Angle", "Moving"])
        air = self._read("EnvironmentStation", ["Temperature", "AirPressure"])
        return Setup(
            gantry=float(gantry[0]),
            couch=dict(zip(AXES, (float(value) for value in couch[:-1]), strict=True)),
            moving=bool(couch[-1]) or bool(gantry[1]),
            temperature=float(air[0]),
            pressure=float(air[1]),
        )

    def load_cycles(self, energies: Sequence[float]) -> None:
        """Load one machine cycle per energy."""
        self._call("Timing", "LoadCycles", [float(energy) for energy in energies])

    def allocate(self, stop: threading.Event) -> None:
        """Ask for the beam and return when this room has it."""
        self._call("BeamAllocation", "Request", self._room)
        waited = 0.0
        while (owner := str(self._read("BeamAllocation", ["Owner"])[0])) != self._room:
            if stop.wait(POLL_S) or waited > ALLOCATION_LIMIT_S:
                raise Refused(_("the beam is with {owner}; request it again later").format(owner=owner))
            waited += POLL_S

    def release(self) -> None:
        """Give the beam back, if this room has it or waits for it."""
        owner, queue = self._read("BeamAllocation", ["Owner", "Queue"])
        if owner == self._room or self._room in (queue or ()):
            self._call("BeamAllocation", "Release", self._room)

    def _call(self, kind: str, command: str, argument: Any = None) -> Any:
        return _translated(lambda: self._proxy(kind).command_inout(command, argument))

    def _read(self, kind: str, names: list[str]) -> list[Any]:
        answers = _translated(lambda: self._proxy(kind).read_attributes(names))
        for name, answer in zip(names, answers, strict=True):
            empty = answer.value is None and name != "Queue"
            if answer.has_failed or (answer.quality == tango.AttrQuality.ATTR_INVALID) or empty:
                raise LinkLost(
                    _("{device}: {name} is not known now").format(device=self._names[kind], name=name)
                )
        return [answer.value for answer in answers]

    def _proxy(self, kind: str) -> tango.DeviceProxy:
        if kind not in self._proxies:
            self._proxies[kind] = tango.DeviceProxy(self._names[kind])
        return self._proxies[kind]


def _only(site: Site, kind: str, room: str | None = None) -> str:
    names = [device.name for device in site.of_class(kind, room)]
    if len(names) != 1:
        raise BadConfig(
            _("the site has {count} devices of class {kind} for this room; one is needed").format(
                count=len(names), kind=kind
            )
        )
    return names[0]


def _translated(act: Callable[[], Answer]) -> Answer:
    """The answer of a Tango call; its refusal as Refused, anything else as LinkLost."""
    try:
        return act()
    except tango.DevFailed as why:
        first = why.args[0]
        if first.reason == "Refused":
            raise Refused(str(first.desc)) from why
        raise LinkLost(str(first.desc)) from why
