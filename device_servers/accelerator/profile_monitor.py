"""ProfileMonitor: a wire harp that is moved into the beam and measures its profile."""

from typing import Any

from tango.server import attribute

from device_servers.channel import channel
from device_servers.kinds.in_out import Insertable

WIRES = 64


class ProfileMonitor(Insertable):
    """A profile monitor with 64 wires in each plane, 1 mm apart, centred."""

    X = channel("x", unit="mm", format="%7.3f", deadband=0.02, doc="horizontal centre of the beam")
    Y = channel("y", unit="mm", format="%7.3f", deadband=0.02, doc="vertical centre of the beam")
    SigmaX = channel("sigma_x", unit="mm", format="%7.3f", deadband=0.02, doc="horizontal width, one sigma")
    SigmaY = channel("sigma_y", unit="mm", format="%7.3f", deadband=0.02, doc="vertical width, one sigma")

    @attribute(
        dtype=(float,),
        max_dim_x=WIRES,
        unit="nA",
        format="%9.4f",
        doc="current of each vertical wire, at -31.5 .. 31.5 mm",
    )
    def ProfileX(self) -> Any:
        """The horizontal profile, asked of the hardware now."""
        return self.asked(lambda: self.driver.profile()[0])

    @attribute(
        dtype=(float,),
        max_dim_x=WIRES,
        unit="nA",
        format="%9.4f",
        doc="current of each horizontal wire, at -31.5 .. 31.5 mm",
    )
    def ProfileY(self) -> Any:
        """The vertical profile, asked of the hardware now."""
        return self.asked(lambda: self.driver.profile()[1])
