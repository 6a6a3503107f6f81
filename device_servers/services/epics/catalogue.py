"""Every attribute and writing command of a site's devices as a PV, from the device classes themselves.

So the gateway knows every PV before, and whether or not, its server answers.
"""

import math
import re
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

from tango import AttrDataFormat, AttrWriteType, CmdArgType
from tango.server import attribute

from common.errors import BadConfig
from common.site import Device, Site
from device_servers.channel import channel
from device_servers.services.epics.pv import LONGEST_NAME, STATES, Shape

ClassOf = Callable[[str], Any]

FLOATS = {CmdArgType.DevDouble, CmdArgType.DevFloat}
TEXTS = {CmdArgType.DevString}
ARGUMENTS: dict[CmdArgType, tuple[str, bool]] = {
    CmdArgType.DevVoid: ("int", False),
    CmdArgType.DevString: ("text", False),
    CmdArgType.DevDouble: ("float", False),
    CmdArgType.DevLong64: ("int", False),
    CmdArgType.DevLong: ("int", False),
    CmdArgType.DevShort: ("int", False),
    CmdArgType.DevBoolean: ("bool", False),
    CmdArgType.DevVarDoubleArray: ("float", True),
    CmdArgType.DevVarStringArray: ("text", True),
}
"""Argument of a command -> kind of its PV, and whether it is an array. Without one, any number will do."""

PRIVATE = {"PatientName", "PatientId"}
"""Attributes that name a patient: EPICS knows no reader, so their PVs only say whether there is one."""
INTERNAL = {"changes", "Channels", "OpenSession", "CloseSession", "WhoAmI", "WriteAs", "Init"}
"""Members of the transport itself."""
LONGEST_COMMAND = 1000


def catalogue(site: Site, class_of: ClassOf) -> list[Shape]:
    """The PVs of a site, each name once. Raises BadConfig for a name that Channel Access does not take."""
    shapes: dict[str, Shape] = {}
    for device in site.devices:
        kind = class_of(device.tango_class)
        for shape in (*_attributes(device, kind), *_commands(device, kind)):
            shapes.setdefault(shape.name, shape)
    long = [name for name in shapes if len(name) > LONGEST_NAME]
    if long:
        raise BadConfig(
            f"PV name {long[0]}: allowed are {LONGEST_NAME} characters; shorten the device's name"
        )
    return list(shapes.values())


def _attributes(device: Device, kind: Any) -> Iterable[Shape]:
    yield Shape(
        device.name, "State", device.server, "enum", choices=STATES, description="state of the device"
    )
    yield Shape(device.name, "Status", device.server, "text", description="why the device is in its state")
    for name, shown in kind.TangoClassClass.attr_list.items():
        if name not in INTERNAL:
            yield _attribute(device, name, shown)


def _attribute(device: Device, name: str, shown: attribute) -> Shape:
    options = shown._kwargs
    words: tuple[str, ...] = tuple(getattr(shown, "names", ()))
    labels = _labels(options.get("dtype"))
    array = shown.attr_format != AttrDataFormat.SCALAR
    quantity, limit = getattr(shown, "quantity", ""), getattr(shown, "limit", "")
    return Shape(
        device=device.name,
        member=name,
        server=device.server,
        kind="enum" if words or labels else _kind(shown.attr_type),
        array=array,
        longest=max(1, shown.dim_x) * max(1, shown.dim_y) if array else 1,
        writable=shown.attr_write != AttrWriteType.READ,
        block=isinstance(shown, channel),
        words=bool(words),
        private=name in PRIVATE,
        choices=words or labels,
        unit=options.get("unit", ""),
        decimals=_decimals(options.get("format", "")),
        description=" ".join(str(options.get("doc", "")).split()),
        limits=device.limits.get(limit, _range(options)) if limit else _range(options),
        alarms=device.alarms.get(quantity),
    )


def _labels(dtype: Any) -> tuple[str, ...]:
    """Words of an enum, in the order of its values 0, 1, ..."""
    is_enum = isinstance(dtype, type) and issubclass(dtype, IntEnum)
    return tuple(member.name for member in dtype) if is_enum else ()


def _kind(type_: CmdArgType) -> str:
    if type_ in FLOATS:
        return "float"
    if type_ == CmdArgType.DevBoolean:
        return "bool"
    return "text" if type_ in TEXTS else "int"


def _range(options: dict[str, Any]) -> tuple[float, float]:
    return float(options.get("min_value", -math.inf)), float(options.get("max_value", math.inf))


def _decimals(form: str) -> int:
    """Decimals of a printf format; six for one without."""
    found = re.search(r"\.(\d+)", form)
    if found:
        return int(found.group(1))
    return 0 if form.endswith("d") else 6


def _commands(device: Device, kind: Any) -> Iterable[Shape]:
    for name, ((argument, help_), _answer, _options) in (
        (name, (entry[0][:2], entry[1], entry[2:])) for name, entry in kind.TangoClassClass.cmd_list.items()
    ):
        rule = getattr(getattr(kind, name), "write_rule", None)
        if name in INTERNAL or rule is None or rule.read or argument not in ARGUMENTS:
            continue
        form, array = ARGUMENTS[argument]
        void = argument == CmdArgType.DevVoid
        yield Shape(
            device.name, name, device.server, form, array=array, longest=LONGEST_COMMAND if array else 1,
            writable=True, command=True, description="any number executes it" if void else str(help_),
            choices=("void",) if void else (),
        )  # fmt: skip
