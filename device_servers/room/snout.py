"""Snout: the extensible end of a nozzle."""

from collections.abc import Mapping
from typing import ClassVar

from tango.server import command

from device_servers.kinds.positioner import Positioner, axis_channel


class Snout(Positioner):
    """A snout; it rests while there is beam."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {"extension": ("mm", 0.2)}

    Extension = axis_channel("extension", "mm")

    @command(dtype_in=float, doc_in="extension in mm", dtype_out=str, doc_out="job id")
    def MoveTo(self, extension: float) -> str:
        """Move the snout; returns the job id. Done when it has arrived."""
        return self.move_job({"extension": float(extension)})
