"""What Tango and its clients see of the site's limits and alarm levels: the configuration of an attribute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tango

from common.site import Device
from device_servers.channel import channel

LEVELS = ("min_alarm", "min_warning", "max_warning", "max_alarm")


def configure(shown: Any, shape: channel, site: Device) -> bool:
    """Give a tango.Attribute the site's limits (minimum, maximum) and alarm levels; whether it had others.

    A write outside minimum and maximum is refused by Tango itself.
    """
    if shape.shown_as not in (int, float):
        return False
    limits, alarms = site.limits.get(shape.limit), site.alarms.get(shape.quantity)
    if limits is None and alarms is None:
        return False
    wanted = shown.get_properties()
    texts = {}
    if limits is not None and limits[0] < limits[1]:
        texts = {"min_value": _text(limits[0], shape), "max_value": _text(limits[1], shape)}
    if alarms is not None:
        texts |= {name: _text(level, shape) for name, level in zip(LEVELS, alarms, strict=True)}
    if all(getattr(wanted, name) == text for name, text in texts.items()):
        return False
    for name, text in texts.items():
        setattr(wanted, name, text)
    with _unrecorded():
        shown.set_properties(wanted)
    return True


@contextmanager
def _unrecorded() -> Iterator[None]:
    """Keep the configuration out of the database: the site file is in force, and a call for each attribute
    of 500 devices would take a start from nothing half a minute longer.
    """
    if not tango.Util._UseDb:
        yield
        return
    tango.Util.instance().set_use_db(False)
    try:
        yield
    finally:
        tango.Util.instance().set_use_db(True)


def _text(level: float, shape: channel) -> str:
    return repr(shape.shown_as(level))
