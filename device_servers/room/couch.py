"""Couch: the patient support, six axes."""

from collections.abc import Mapping
from typing import ClassVar

from tango.server import command

from device_servers.kinds.positioner import Positioner, axis_channel
from device_servers.parse import json_object, number_field

NEAR_MM = 0.1
NEAR_DEG = 0.05


class Couch(Positioner):
    """A six-axis couch (IEC 61217 axes)."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {
        "x": ("mm", NEAR_MM),
        "y": ("mm", NEAR_MM),
        "z": ("mm", NEAR_MM),
        "pitch": ("deg", NEAR_DEG),
        "roll": ("deg", NEAR_DEG),
        "yaw": ("deg", NEAR_DEG),
    }

    X = axis_channel("x", "mm")
    Y = axis_channel("y", "mm")
    Z = axis_channel("z", "mm")
    Pitch = axis_channel("pitch", "deg")
    Roll = axis_channel("roll", "deg")
    Yaw = axis_channel("yaw", "deg")

    @command(dtype_in=str, doc_in='JSON {axis: mm or deg}, e.g. {"x": 10, "yaw": 5}', dtype_out=str)
    def MoveTo(self, target: str) -> str:
        """Move axes; returns the job id. Done when every axis has arrived."""
        values = json_object(target)
        return self.move_job({axis: number_field(values, axis) for axis in values})
