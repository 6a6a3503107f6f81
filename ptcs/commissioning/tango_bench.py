"""A running facility as a bench: Tango proxies of a logged-in client."""

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tango

from common import site as sites
from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.files import read_json
from common.site import Site
from common.state import StateDir
from common.text import _
from device_servers import control_areas
from ptcs.client import Client
from ptcs.commissioning.bench import Floats, Readings

log = logging.getLogger(__name__)

REFUSALS = frozenset({"Refused", "API_WAttrOutsideLimit", "API_AttrNotWritable"})
CONTROL = "ControlAuthority"
Answer = TypeVar("Answer")


def site_of(state: Path | str) -> Site:
    """The site of the facility in a state directory. Raises LinkLost when none was ever up."""
    try:
        return sites.load(Path(read_json(StateDir(Path(state)).facility)["site_file"]))
    except (OSError, ValueError, KeyError) as why:
        raise LinkLost(_("no facility in {state}: {why}").format(state=state, why=why)) from why


class TangoBench:
    """Implements Bench as the user of a client."""

    def __init__(self, client: Client, site: Site) -> None:
        self.client, self.site, self.user = client, site, client.user
        self.ended = False
        """Whether its user has ended the sessions: then nobody opens them again."""
        self._proxies: dict[str, tango.DeviceProxy] = {}

    def read(self, names: Sequence[str]) -> Readings:
        """Values of attributes that are numbers or truths; one call a device."""
        by_device: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            by_device.setdefault(split(name)[0], []).append(i)
        values, times = np.full(len(names), np.nan), np.zeros(len(names))
        for device, places in by_device.items():
            wanted = [split(names[i])[1] for i in places]
            answers = self._do(device, partial(_read, wanted))
            for i, answer in zip(places, answers, strict=True):
                values[i], times[i] = _number(names[i], answer)
        return Readings(values, times)

    def write(self, name: str, value: float) -> None:
        """Write an attribute as the client's user."""
        device, attribute = split(name)
        self._do(device, lambda proxy: proxy.write_attribute(attribute, value))

    def limits(self, name: str) -> tuple[float, float] | None:
        """Minimum and maximum of the attribute as the device tells them."""
        device, attribute = split(name)
        config = self._do(device, lambda proxy: proxy.get_attribute_config(attribute))
        try:
            return float(config.min_value), float(config.max_value)
        except ValueError:  # "Not specified"
            return None

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        """Names in an area of which somebody else has control, where the site keeps that.

        Without its service nothing is found: the guard of each device decides at the write.
        """
        devices = self.site.of_class(CONTROL)
        if not devices:
            return {}
        try:
            told: dict[str, dict[str, Any]] = json.loads(self.text(f"{devices[0].name}/Holders") or "{}")
        except LinkLost as why:
            log.warning("who has control is not known: %s", why)
            return {}
        areas, found = control_areas.load(self.site).of_device, {}
        for name in names:
            area = areas.get(split(name)[0])
            holder = str(told.get(area.name, {}).get("user", "")) if area else ""
            if holder and holder != self.user:
                found[name] = holder
        return found

    def text(self, name: str) -> str:
        """Value of an attribute that is a text."""
        device, attribute = split(name)
        return str(self._do(device, lambda proxy: proxy.read_attribute(attribute)).value)

    def spectrum(self, name: str) -> Floats:
        """Value of an attribute that is a row of numbers, (n,). Raises LinkLost while it is unknown."""
        device, attribute = split(name)
        answer = self._do(device, lambda proxy: proxy.read_attribute(attribute))
        if answer.quality == tango.AttrQuality.ATTR_INVALID or answer.value is None:
            raise LinkLost(_("{name} is not known now").format(name=name))
        return np.asarray(answer.value, dtype=np.float64)

    def command(self, device: str, name: str, argument: Any = None) -> Any:
        """Send a command."""
        arguments = [] if argument is None else [argument]
        return self._do(device, lambda proxy: proxy.command_inout(name, *arguments))

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def now(self) -> float:
        """Wall time."""
        return time.time()

    def _do(self, device: str, act: Callable[[Any], Answer]) -> Answer:
        try:
            return self._once(device, act)
        except Unauthorised:
            if self.ended or not self._forgotten(device):
                raise
            self.client.renew()
            return self._once(device, act)

    def _forgotten(self, device: str) -> bool:
        """Whether a device's server has no session of this process: it was busy at the log-in, or is new."""
        servers = {row.name: row.server for row in self.site.devices}
        try:
            crate = self.client.proxy(f"crate/server/{servers.get(device, '')}")
            return not str(crate.read_attribute("WhoAmI").value)
        except tango.DevFailed:
            return False

    def _once(self, device: str, act: Callable[[Any], Answer]) -> Answer:
        try:
            if device not in self._proxies:
                self._proxies[device] = self.client.proxy(device)
            return act(self._proxies[device])
        except tango.DevFailed as why:
            raise _translated(device, why) from why


def split(name: str) -> tuple[str, str]:
    """Device and attribute of a name. Raises BadInput."""
    device, _slash, attribute = name.rpartition("/")
    if device.count("/") != 2 or not attribute:
        raise BadInput(_("{name!r}: a name is domain/family/member/Attribute").format(name=name))
    return device, attribute


def _read(wanted: Sequence[str], proxy: tango.DeviceProxy) -> Sequence[Any]:
    answers: Sequence[Any] = proxy.read_attributes(list(wanted))
    return answers


def _number(name: str, answer: Any) -> tuple[float, float]:
    if answer.has_failed:
        errors = answer.get_err_stack()
        raise LinkLost(f"{name}: {errors[0].desc if errors else ''}")
    if isinstance(answer.value, str) or np.ndim(answer.value) != 0:
        raise BadInput(_("{name} is no number").format(name=name))
    invalid = answer.quality == tango.AttrQuality.ATTR_INVALID or answer.value is None
    return (math.nan if invalid else float(answer.value)), float(answer.time.totime())


def _translated(device: str, why: tango.DevFailed) -> LinkLost | Refused:
    first = next((error for error in why.args if error.reason in REFUSALS), why.args[0])
    text = f"{device}: {first.desc.strip()}"
    if first.reason not in REFUSALS:
        return LinkLost(text)
    return (Unauthorised if first.origin == "authority" else Refused)(text)
