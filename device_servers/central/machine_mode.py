"""MachineMode: what the machine is used for. It drives the interlock's service key, and patients need it.

A table of modes says which change to which and who may. Service mode is locked out while a treatment
session has a patient; patients are locked out in service mode and while the machine is off.
"""

import logging
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import tango
from tango import DevState
from tango.server import command

from common.errors import Refused, Unauthorised
from common.files import read_json, write_json
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import derived

log = logging.getLogger(__name__)

TIMEOUT_MS = 1000
FOLLOWED_S = 0.3
"""A reading follows its setting within this: blocks of the plant come 20 times a second."""


class Use(StrEnum):
    """What the machine is used for."""

    OFF = "OFF"
    """Nobody uses it; no patient is loaded."""
    CLINICAL = "CLINICAL"
    """Patients are treated; no interlock input can be masked."""
    PHYSICS = "PHYSICS"
    """Measurements and quality assurance with the clinical interlock."""
    SERVICE = "SERVICE"
    """Engineers work; the service key is turned, so that equipment inputs can be masked."""


TABLE: Mapping[Use, frozenset[Use]] = {
    Use.OFF: frozenset({Use.CLINICAL, Use.PHYSICS, Use.SERVICE}),
    Use.CLINICAL: frozenset({Use.OFF, Use.PHYSICS, Use.SERVICE}),
    Use.PHYSICS: frozenset({Use.OFF, Use.CLINICAL, Use.SERVICE}),
    Use.SERVICE: frozenset({Use.OFF, Use.CLINICAL, Use.PHYSICS}),
}
"""Mode -> modes that it may change to."""

MAY_ENTER: Mapping[Use, frozenset[str]] = {
    Use.OFF: frozenset({"operator", "therapist", "service"}),
    Use.CLINICAL: frozenset({"operator", "therapist"}),
    Use.PHYSICS: frozenset({"operator", "service"}),
    Use.SERVICE: frozenset({"service"}),
}
"""Mode -> roles that may take the machine there. Who serviced it does not declare it clinical."""

PATIENTS = frozenset({Use.CLINICAL, Use.PHYSICS})
"""Modes in which a plan may be loaded."""

NEEDS_IDLE = frozenset({Use.SERVICE, Use.OFF})
"""Modes that no session may be in a patient's treatment for."""


def check_change(now: Use, wanted: Use, roles: frozenset[str], busy: Mapping[str, str]) -> None:
    """Raise Refused or Unauthorised unless this change may be made.

    busy: sessions that are not IDLE, with what they are; one that does not answer is not idle.
    """
    if wanted not in TABLE[now]:
        allowed = ", ".join(sorted(TABLE[now]))
        text = _("{now} does not change to {wanted}: allowed are {allowed}")
        raise Refused(text.format(now=now, wanted=wanted, allowed=allowed))
    if not roles & MAY_ENTER[wanted]:
        allowed = ", ".join(sorted(MAY_ENTER[wanted]))
        raise Unauthorised(_("mode {wanted} is for: {allowed}").format(wanted=wanted, allowed=allowed))
    if wanted in NEEDS_IDLE and busy:
        text = _("mode {wanted} is locked out while a session is not idle: {sessions}")
        sessions = ", ".join(f"{name} {state}" for name, state in sorted(busy.items()))
        raise Refused(text.format(wanted=wanted, sessions=sessions))


class MachineMode(PtcsDevice):
    """The mode of the whole machine, kept over a restart. Each change is in the audit log."""

    def init_device(self) -> None:
        """Take up the mode of the last run, and turn the service key accordingly."""
        super().init_device()
        self._path: Path = self.context.state / "central" / "mode.json"
        self._mode = _kept(self._path)
        self._sessions = [device.name for device in self.context.site.of_class("TreatmentSession")]
        self.driver.turn(self._mode is Use.SERVICE)

    @derived(dtype=str)
    def Mode(self) -> str:
        """CLINICAL, PHYSICS, SERVICE or OFF."""
        return self._mode.value

    @derived(dtype=(str,), max_dim_x=4)
    def Allowed(self) -> list[str]:
        """The modes that this one may change to."""
        return sorted(TABLE[self._mode])

    @command(dtype_in=str, doc_in="CLINICAL, PHYSICS, SERVICE or OFF")
    def SetMode(self, name: str) -> None:
        """Change the mode, as the user of this session."""
        if self.caller is None:
            raise Unauthorised(_("no session of this client; log in and open a session first"))
        try:
            wanted = Use(name)
        except ValueError as why:
            allowed = ", ".join(Use)
            raise Refused(
                _("no mode {name!r}: allowed are {allowed}").format(name=name, allowed=allowed)
            ) from why
        if wanted is self._mode:
            return
        busy = self._busy() if wanted in NEEDS_IDLE else {}
        check_change(self._mode, wanted, self.caller.identity.roles, busy)
        if wanted is Use.CLINICAL:
            self._require_validated()
            self._require_untrimmed()
        self._become(wanted)

    def _become(self, wanted: Use) -> None:
        """The key out first, or in last: what the file says never allows less than the key does."""
        if wanted is not Use.SERVICE:
            self.driver.turn(False)
        try:
            write_json(self._path, {"mode": wanted.value})
        except OSError as why:
            self.driver.turn(self._mode is Use.SERVICE)
            raise Refused(_("mode not changed: it cannot be kept ({why})").format(why=why)) from why
        self._mode = wanted
        self.driver.turn(wanted is Use.SERVICE)

    def _require_validated(self) -> None:
        """Raise Refused while an exchanged device waits for its re-validation, or nobody can tell."""
        for device in self.context.site.of_class("Maintenance"):
            try:
                proxy = tango.DeviceProxy(device.name)
                proxy.set_timeout_millis(TIMEOUT_MS)
                told = proxy.read_attribute("ClinicalLock")
                unknown = _("its register cannot be trusted") if _invalid(told) else ""
                waiting = list(told.value or ())
            except tango.DevFailed as why:
                unknown, waiting = str(why.args[0].desc), []
            if unknown:
                text = _(
                    "mode CLINICAL needs {device}, which does not tell what waits for re-validation: {why}"
                )
                raise Refused(text.format(device=device.name, why=unknown))
            if waiting:
                text = _("mode CLINICAL waits for the re-validation of {devices}; `ptcs revalidate` does it")
                raise Refused(text.format(devices=", ".join(waiting)))

    def _require_untrimmed(self) -> None:
        """Raise Refused while a trim stands that a measurement left, or nobody can tell.

        What is to stay of a trim goes into the beam catalogue: patients get what a version of it holds.
        Supplies ask for the mode before they take a trim, and get no answer while this command runs. So
        who asked before it has written when the first look is over, and the second, after the time in
        which a reading follows its setting, sees what was written.
        """
        for pause in (0.0, FOLLOWED_S):
            time.sleep(pause)
            if trimmed := self._trimmed():
                text = _("mode CLINICAL waits for trims of 0 A: {devices}")
                raise Refused(text.format(devices=", ".join(trimmed)))

    def _trimmed(self) -> list[str]:
        """Supplies whose trim stands, or is unknown. Raises Refused for one that does not answer."""
        trimmed = []
        for device in self.context.site.of_class("MagnetSupply"):
            try:
                proxy = tango.DeviceProxy(device.name)
                proxy.set_timeout_millis(TIMEOUT_MS)
                told = proxy.read_attribute("CurrentTrim")
            except tango.DevFailed as why:
                text = _("mode CLINICAL needs the trim of {device}, which does not tell it: {why}")
                raise Refused(text.format(device=device.name, why=why.args[0].desc)) from why
            if _invalid(told) or told.value != 0.0:
                trimmed.append(device.name)
        return trimmed

    def _busy(self) -> dict[str, str]:
        """Sessions that are not IDLE now, or do not answer."""
        found = {}
        for name in self._sessions:
            try:
                proxy = tango.DeviceProxy(name)
                proxy.set_timeout_millis(TIMEOUT_MS)
                state = str(proxy.read_attribute("SessionState").value)
            except tango.DevFailed as why:
                log.info("session %s: %s", name, why.args[0].desc)
                state = _("does not answer")
            if state != "IDLE":
                found[name] = state
        return found

    def _state(self) -> tuple[DevState, str]:
        if self._mode is Use.OFF:
            return DevState.OFF, _("the machine is off")
        text = _("mode {mode}").format(mode=self._mode)
        return (DevState.DISABLE, text) if self._mode is Use.SERVICE else (DevState.ON, text)


def _invalid(told: tango.DeviceAttribute) -> bool:
    """Whether a device says that it does not know the value."""
    return bool(told.quality == tango.AttrQuality.ATTR_INVALID)


def _kept(path: Path) -> Use:
    """The mode of the last run: CLINICAL at first; OFF where what was kept cannot be read."""
    if not path.exists():
        return Use.CLINICAL
    try:
        return Use(read_json(path)["mode"])
    except (OSError, ValueError, KeyError, TypeError) as why:
        log.error("%s cannot be read (%s): the machine is OFF until somebody sets its mode", path.name, why)
        return Use.OFF
