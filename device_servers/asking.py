"""What a device asks of another device before it lets something happen."""

from typing import Any

import tango

from common.errors import LinkLost, Refused
from common.site import Site
from common.text import _

TIMEOUT_MS = 1000
MEASURING = frozenset({"PHYSICS", "SERVICE"})
"""Modes of the machine in which nobody is treated and measurements may be made."""


def asked(device: str, attribute: str) -> Any:
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


def require_measuring(site: Site) -> None:
    """Raise Refused in a mode for patients, where the site has modes; LinkLost while nobody can tell."""
    for device in site.of_class("MachineMode"):
        mode = asked(device.name, "Mode")
        if mode not in MEASURING:
            text = _("the machine's mode is {mode}: measurements need {allowed}")
            raise Refused(text.format(mode=mode, allowed=", ".join(sorted(MEASURING))))
