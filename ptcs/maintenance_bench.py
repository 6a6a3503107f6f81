"""Steps of a procedure on a running facility: Tango for the devices, a terminal for the person."""

import json
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import tango

from common.errors import LinkLost, Refused
from common.site import Site
from common.text import _
from device_servers.services.maintenance.procedures import Step
from ptcs.client import Client

JOB_S = 300.0
POLL_S = 0.1
REFUSALS = ("Refused", "API_WAttrOutsideLimit")

Asked = Callable[[Step], tuple[bool, str]]
"""Puts a manual step to the person: the answer, and a note."""


class TangoBench:
    """What a Run needs, as the user of a client."""

    def __init__(self, client: Client, site: Site, ask: Asked) -> None:
        """site: of the facility that the client is logged in at."""
        self._client, self._ask = client, ask
        self._timing = [device.name for device in site.of_class("Timing")]
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self._attributes: dict[str, set[str]] = {}

    def read(self, device: str, attribute: str) -> Any:
        """A value as Python knows it; NaN for a number that is unknown."""
        value = self._call(device, lambda proxy: proxy.read_attribute(attribute))
        if value.quality == tango.AttrQuality.ATTR_INVALID:
            if isinstance(value.value, float | int) and not isinstance(value.value, bool):
                return math.nan
            raise LinkLost(_("{attribute} of {device} is unknown").format(attribute=attribute, device=device))
        if value.type == tango.CmdArgType.DevState:
            return str(value.value)
        return value.value.tolist() if hasattr(value.value, "tolist") else value.value

    def write(self, device: str, attribute: str, value: Any) -> None:
        """Write an attribute."""
        self._call(device, lambda proxy: proxy.write_attribute(attribute, value))

    def command(self, device: str, name: str, argument: Any) -> None:
        """Send a command; where its answer is a job, wait for its end."""
        arguments = [] if argument is None else [argument]
        answer = self._call(device, lambda proxy: proxy.command_inout(name, *arguments))
        if isinstance(answer, str) and answer.isdigit():
            self._job(device, answer)

    def _job(self, device: str, number: str) -> None:
        end = time.monotonic() + JOB_S
        while time.monotonic() < end:
            told = json.loads(self._call(device, lambda proxy: proxy.command_inout("JobStatus", number)))
            if told["state"] == "DONE":
                return
            if told["state"] == "FAILED":
                raise Refused(told["error"])
            time.sleep(POLL_S)
        raise LinkLost(_("{device} is not done after {limit:.0f} s").format(device=device, limit=JOB_S))

    def fault(self, device: str) -> int:
        """Its fault code; 0 where it has none."""
        if "FaultCode" not in self._names(device):
            return 0
        code = self.read(device, "FaultCode")
        if isinstance(code, float) and math.isnan(code):
            raise LinkLost(
                _("{attribute} of {device} is unknown").format(attribute="FaultCode", device=device)
            )
        return int(code)

    def online(self, device: str) -> bool:
        """Whether anybody counts on it."""
        return int(self.read(device, "AdminMode")) == 0

    def findings(self) -> Sequence[str]:
        """Timing errors that every timing system knows."""
        return [finding for device in self._timing for finding in self.read(device, "Findings") or ()]

    def confirm(self, step: Step) -> tuple[bool, str]:
        """Ask the person."""
        return self._ask(step)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def clock(self) -> float:
        """Monotonic time in s."""
        return time.monotonic()

    def now(self) -> str:
        """UTC."""
        return datetime.now(UTC).isoformat(timespec="milliseconds")

    def _names(self, device: str) -> set[str]:
        if device not in self._attributes:
            self._attributes[device] = set(self._call(device, lambda proxy: proxy.get_attribute_list()))
        return self._attributes[device]

    def _call(self, device: str, act: Callable[[tango.DeviceProxy], Any]) -> Any:
        """What the device answers. Raises Refused for what it refuses, LinkLost for everything else."""
        try:
            if device not in self._proxies:
                self._proxies[device] = self._client.proxy(device)
            return act(self._proxies[device])
        except tango.DevFailed as why:
            first = why.args[0]
            refused = any(error.reason in REFUSALS for error in why.args)
            raise (Refused if refused else LinkLost)(f"{device}: {first.desc}") from why
