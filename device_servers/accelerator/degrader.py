"""Degrader: a wedge pair of variable thickness that sets the energy of a cyclotron's beam."""

from collections.abc import Mapping
from typing import ClassVar

from tango.server import command

from device_servers.channel import channel
from device_servers.kinds.positioner import Positioner, axis_channel


class Degrader(Positioner):
    """A wedge degrader."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {"thickness": ("mm", 0.05)}
    beam_forbids: ClassVar[bool] = False

    Thickness = axis_channel("thickness", "mm", doc="thickness in the beam")
    Energy = channel("energy", unit="MeV", format="%7.2f", deadband=0.02, doc="energy behind the degrader")

    @command(dtype_in=float, doc_in="thickness in mm", dtype_out=str, doc_out="job id")
    def MoveTo(self, thickness: float) -> str:
        """Set the thickness; returns the job id. Done when it has arrived."""
        return self.move_job({"thickness": float(thickness)})
