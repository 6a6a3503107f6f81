"""Slit: a pair of jaws."""

from collections.abc import Mapping
from typing import ClassVar

from tango.server import command

from device_servers.kinds.positioner import Positioner, axis_channel
from device_servers.parse import json_object, number_field


class Slit(Positioner):
    """Two jaws, as centre and gap."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {"centre": ("mm", 0.05), "gap": ("mm", 0.05)}
    beam_forbids: ClassVar[bool] = False

    Centre = axis_channel("centre", "mm")
    Gap = axis_channel("gap", "mm")

    @command(dtype_in=str, doc_in='JSON {axis: mm}, e.g. {"centre": 0, "gap": 20}', dtype_out=str)
    def MoveTo(self, target: str) -> str:
        """Move the jaws; returns the job id. Done when they have arrived."""
        values = json_object(target)
        return self.move_job({axis: number_field(values, axis) for axis in values})
