"""Interlock: the window on the interlock logic in the beam hardware. It shows; it never decides."""

import json
from collections.abc import Mapping
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import Refused, Unauthorised
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, derived
from device_servers.parse import json_object, number_field, text_field

LONGEST_MASK_S = 8 * 3600.0


class Interlock(PtcsDevice):
    """Central interlock: permit, trips, inputs and masks."""

    eager = True

    Tripped = channel("tripped", dtype=bool, doc="whether a trip is latched")

    @derived(dtype=bool)
    def Permit(self) -> bool | None:
        """Whether every output of the interlock permits beam."""
        permit = self.driver.status().get("permit")
        return None if not permit else all(permit.values())

    @derived(dtype=str)
    def FirstFault(self) -> str:
        """The input that tripped first; empty without a latched trip."""
        return self._first_fault()

    @derived(dtype=(str,), max_dim_x=512)
    def Inputs(self) -> list[str] | None:
        """Each input as name=OK, BAD, UNKNOWN, LATCHED or MASKED."""
        inputs = self.driver.status().get("inputs")
        return None if inputs is None else [f"{name}={_word(entry)}" for name, entry in inputs.items()]

    @derived(dtype=str)
    def LastTrip(self) -> str:
        """The latest trip seen: JSON {"input", "cause", "tick", "wall_ns", "beam_off_tick"}, or empty."""
        trip = self.driver.last_trip()
        return json.dumps(trip) if trip else ""

    @command
    def ResetTrips(self) -> None:
        """Clear latched trips whose cause is gone, as the user of this session."""
        user, roles = self._who()
        self.driver.reset(user, roles)

    @command(dtype_in=str, doc_in='JSON {"name": input, "ok": true or false}')
    def SetInput(self, text: str) -> None:
        """Drive an input that belongs to the control system (room search, session request)."""
        values = json_object(text)
        if not isinstance(values.get("ok"), bool):
            raise Refused(_("'ok' is missing: it must be true or false"))
        self.driver.set_input(text_field(values, "name"), values["ok"])

    @command(dtype_in=str, doc_in='JSON {"name": input, "reason": text, "seconds": number}')
    def Mask(self, text: str) -> None:
        """Mask an input for a time, as the user of this session."""
        values = json_object(text)
        seconds = number_field(values, "seconds")
        if not 0 < seconds <= LONGEST_MASK_S:
            limit = _("mask of {seconds:g} s: allowed are more than 0 and at most {longest:g} s")
            raise Refused(limit.format(seconds=seconds, longest=LONGEST_MASK_S))
        user, roles = self._who()
        self.driver.mask(text_field(values, "name"), user, roles, text_field(values, "reason"), seconds)

    @command(dtype_in=str, doc_in="input")
    def Unmask(self, name: str) -> None:
        """End a mask, as the user of this session."""
        user, roles = self._who()
        self.driver.unmask(name, user, roles)

    def _who(self) -> tuple[str, list[str]]:
        if self.caller is None:
            raise Unauthorised(_("no session of this client; log in and open a session first"))
        return self.caller.identity.user, sorted(self.caller.identity.roles)

    def _first_fault(self) -> str:
        fault = self.driver.status().get("first_fault")
        return str(fault["input"]) if fault else ""

    def _state(self) -> tuple[DevState, str]:
        if not self.driver.status():
            return DevState.UNKNOWN, _("the interlock logic does not answer")
        if self.value("tripped") > 0:
            return DevState.ALARM, _("tripped: {input}").format(input=self._first_fault() or "?")
        return DevState.ON, _("no trip")


def _word(entry: Mapping[str, Any]) -> str:
    """State of an input in one word."""
    if entry.get("masked"):
        return "MASKED"
    if entry.get("ok") is None:
        return "UNKNOWN"
    if not entry["ok"]:
        return "BAD"
    return "LATCHED" if entry.get("latched") else "OK"
