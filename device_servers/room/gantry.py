"""Gantry: the rotating beam line of a room."""

from collections.abc import Mapping
from typing import ClassVar

from tango.server import command

from device_servers.kinds.positioner import Positioner, axis_channel


class Gantry(Positioner):
    """A gantry (IEC 61217 angle)."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {"angle": ("deg", 0.1)}

    Angle = axis_channel("angle", "deg")

    @command(dtype_in=float, doc_in="angle in deg", dtype_out=str, doc_out="job id")
    def MoveTo(self, angle: float) -> str:
        """Rotate to an angle; returns the job id. Done when the gantry has arrived."""
        return self.move_job({"angle": float(angle)})
