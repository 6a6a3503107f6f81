"""What Tango and its clients see of the site's limits and alarm levels: the configuration of an attribute."""

from typing import Any

from common.site import Device
from device_servers.channel import channel

LEVELS = ("min_alarm", "min_warning", "max_warning", "max_alarm")


def configure(shown: Any, shape: channel, site: Device) -> None:
    """Give a tango.Attribute the site's limits (minimum, maximum) and alarm levels, at the server's start.

    A write outside minimum and maximum is refused by Tango itself.
    """
    if shape.shown_as not in (int, float):
        return
    limits, alarms = site.limits.get(shape.limit), site.alarms.get(shape.quantity)
    if limits is None and alarms is None:
        return
    wanted = shown.get_properties()
    if limits is not None and limits[0] < limits[1]:
        wanted.min_value, wanted.max_value = (_text(limit, shape) for limit in limits)
    if alarms is not None:
        for name, level in zip(LEVELS, alarms, strict=True):
            setattr(wanted, name, _text(level, shape))
    shown.set_properties(wanted)


def _text(level: float, shape: channel) -> str:
    return repr(shape.shown_as(level))
