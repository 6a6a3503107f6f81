"""Interlock: the window on the interlock logic in the beam hardware. It shows; it never decides."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tango import DevState
from tango.server import command

from common.clock import seconds
from common.errors import Refused, Unauthorised
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, derived
from device_servers.parse import json_object, number_field, text_field
from interlock.matrix import load

MOST_INPUTS = 2048
MOST_OUTPUTS = 64
AGE_STEP_S = 60.0
"""SelfTestAge moves in steps, so that it is no event each second."""


class InterlockDisplay(PtcsDevice):
    """What the interlock shows."""

    eager = True

    Tripped = channel("tripped", dtype=bool, doc="whether a trip is latched")
    Permit = channel("permit", dtype=bool, doc="whether every output of the interlock permits beam")
    PermitBits = channel("permits", dtype=int, doc="bit k: output k of `Permits` is given (archived)")

    @derived(dtype=(str,), max_dim_x=MOST_OUTPUTS)
    def Permits(self) -> list[str] | None:
        """Each output as name=1 (permitted) or name=0."""
        permit = self._known("permit")
        return None if permit is None else [f"{name}={int(given)}" for name, given in permit.items()]

    @derived(dtype=str)
    def FirstFault(self) -> str:
        """The input that tripped first; empty without a latched trip."""
        return self._first_fault()

    @derived(dtype=(str,), max_dim_x=MOST_INPUTS)
    def Inputs(self) -> list[str] | None:
        """Each input as name=OK, BAD, UNKNOWN, LATCHED or MASKED."""
        inputs = self._known("inputs")
        return None if inputs is None else [f"{name}={_word(entry)}" for name, entry in inputs.items()]

    @derived(dtype=(str,), max_dim_x=MOST_INPUTS)
    def Blocking(self) -> list[str] | None:
        """What withholds a permit now: inputs, `self_test`, `beam_off`."""
        blocking = self._known("blocking")
        return None if blocking is None else list(blocking)

    @derived(dtype=(str,), max_dim_x=MOST_INPUTS)
    def Masks(self) -> list[str] | None:
        """The masks in force, each JSON {"input", "user", "reason", "until"}."""
        state = self._known("interlock")
        if state is None:
            return None
        return [json.dumps(_mask(mask)) for mask in state["masks"]]

    @derived(dtype=str)
    def SelfTestState(self) -> str | None:
        """NOT_NEEDED, NONE, PASSED, FAILED or EXPIRED."""
        state = self._known("interlock")
        if state is None:
            return None
        test = state["self_test"]
        if test is None:
            return "NONE" if state["self_test_needed"] else "NOT_NEEDED"
        if not test["passed"]:
            return "FAILED"
        return "PASSED" if test["valid"] or not state["self_test_needed"] else "EXPIRED"

    @derived(dtype=float, unit="s", format="%8.0f")
    def SelfTestAge(self) -> float | None:
        """Time since the last self-test, in steps of a minute of wall time."""
        state = self._known("interlock")
        if state is None or state["self_test"] is None:
            return None
        age = time.time() - float(state["self_test"]["wall_ns"]) / 1e9
        return max(age - age % AGE_STEP_S, 0.0)

    @derived(dtype=str)
    def BeamOff(self) -> str | None:
        """OFF, READY, AWAITING a confirmation, or HELD and DOWN after an escalation."""
        state = self._known("interlock")
        return None if state is None else str(state["beam_off"]["state"])

    @derived(dtype=str)
    def Statistics(self) -> str | None:
        """JSON {"causes": {input: {"trips", "confirmed", "escalations", "false"}}, "tests": {...}}."""
        state = self._known("interlock")
        return None if state is None else json.dumps(state["statistics"], sort_keys=True)

    @derived(dtype=str)
    def LastTrip(self) -> str:
        """The latest trip seen: JSON {"input", "cause", "tick", "wall_ns", "beam_off_tick"}, or empty."""
        trip = self.driver.last_trip()
        return json.dumps(trip) if trip else ""

    def _known(self, key: str) -> Any:
        """A part of the hardware's status; None while it does not answer."""
        return self.driver.status().get(key)

    def _first_fault(self) -> str:
        fault = self._known("first_fault")
        return str(fault["input"]) if fault else ""

    def _state(self) -> tuple[DevState, str]:
        if not self.driver.status():
            return DevState.UNKNOWN, _("the interlock logic does not answer")
        if self.value("tripped") > 0:
            return DevState.ALARM, _("tripped: {input}").format(input=self._first_fault() or "?")
        return DevState.ON, _("no trip")


class Interlock(InterlockDisplay):
    """Central interlock: permit, trips, inputs and masks."""

    def init_device(self) -> None:
        """Know the table's limits."""
        super().init_device()
        site = self.context.site
        matrix = load(site.interlock_path)
        self._longest_mask_s = seconds(matrix.mask_limit_ticks)
        self._key = matrix.service_key if site.of_class("MachineMode") else ""

    @command
    def ResetTrips(self) -> None:
        """Clear latched trips whose cause is gone, as the user of this session."""
        self.driver.reset(*self._who())

    @command(dtype_in=str, doc_in='JSON {"name": input, "ok": true or false}')
    def SetInput(self, text: str) -> None:
        """Drive an input that belongs to the control system (room search, session request)."""
        values = json_object(text)
        if not isinstance(values.get("ok"), bool):
            raise Refused(_("'ok' is missing: it must be true or false"))
        name = text_field(values, "name")
        if name == self._key:
            raise Refused(_("{name} follows the machine mode: set that").format(name=name))
        self.driver.set_input(name, values["ok"])

    @command(dtype_in=str, doc_in='JSON {"name": input, "reason": text, "seconds": number}')
    def Mask(self, text: str) -> None:
        """Mask an input for a time, as the user of this session."""
        values = json_object(text)
        seconds = number_field(values, "seconds")
        if not 0 < seconds <= self._longest_mask_s:
            limit = _("mask of {seconds:g} s: allowed are more than 0 and at most {longest:g} s")
            raise Refused(limit.format(seconds=seconds, longest=self._longest_mask_s))
        user, roles = self._who()
        self.driver.mask(text_field(values, "name"), user, roles, text_field(values, "reason"), seconds)

    @command(dtype_in=str, doc_in="input")
    def Unmask(self, name: str) -> None:
        """End a mask, as the user of this session."""
        self.driver.unmask(name, *self._who())

    @command(dtype_out=str, doc_out='JSON {"passed", "cases", "failures"}')
    def SelfTest(self) -> str:
        """Have the hardware drop every input in turn, its outputs held off, as the user of this session."""
        return json.dumps(self.driver.self_test(*self._who()))

    @command(dtype_in=str, doc_in='JSON {"name": input, "reason": text}')
    def ClassifyTrip(self, text: str) -> None:
        """Declare one trip of a cause false, as the user of this session."""
        values = json_object(text)
        self.driver.classify(text_field(values, "name"), *self._who(), text_field(values, "reason"))

    def _who(self) -> tuple[str, list[str]]:
        if self.caller is None:
            raise Unauthorised(_("no session of this client; log in and open a session first"))
        return self.caller.identity.user, sorted(self.caller.identity.roles)


def _word(entry: Mapping[str, Any]) -> str:
    """State of an input in one word."""
    if entry.get("masked"):
        return "MASKED"
    if entry.get("ok") is None:
        return "UNKNOWN"
    if not entry["ok"]:
        return "BAD"
    return "LATCHED" if entry.get("latched") else "OK"


def _mask(mask: Mapping[str, Any]) -> dict[str, str]:
    """A mask of the hardware's status with the end of its time as text."""
    until = datetime.fromtimestamp(mask["until_wall_ns"] / 1e9, UTC).isoformat(timespec="seconds")
    return {**{key: str(mask[key]) for key in ("input", "user", "reason")}, "until": until}
