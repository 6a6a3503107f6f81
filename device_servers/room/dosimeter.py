"""LayerChamber and ReferenceChamber: instruments at the isocentre, collecting the charge of spots."""

from typing import Any

from tango import DevState
from tango.server import attribute, command

from common.text import _
from device_servers.channel import channel, derived
from device_servers.kinds.switched import Switched

MOST_LAYERS = 512


class Dosimeter(Switched):
    """An electrometer that is switched on, and the charge since the last Zero."""

    Charge = channel("charge", unit="nC", format="%10.5f", deadband=1e-5, doc="collected since the last Zero")

    def _running(self) -> tuple[DevState, str]:
        return DevState.ON, _("collects charge")

    @command
    def Zero(self) -> None:
        """Begin to collect anew."""
        self.driver.zero()


class LayerChamber(Dosimeter):
    """A multi-layer ionisation chamber: depth dose of a beam in one delivery."""

    @attribute(dtype=(float,), max_dim_x=MOST_LAYERS, unit="mm", format="%7.3f", doc="of each layer's middle")
    def Depth(self) -> Any:
        """Depth of the middle of each layer, window included, asked of the instrument now."""
        return self.asked(lambda: self.driver.layers()[0])

    @attribute(dtype=(float,), max_dim_x=MOST_LAYERS, unit="nC", format="%10.6f", doc="charge of each layer")
    def Layers(self) -> Any:
        """Charge of each layer since the last Zero, asked of the instrument now."""
        return self.asked(lambda: self.driver.layers()[1])


class ReferenceChamber(Dosimeter):
    """A large plane-parallel chamber that sees a whole spot, behind water; vented to the room's air."""

    @derived(dtype=float, unit="mm", format="%7.2f")
    def Depth(self) -> float:
        """Water before the chamber."""
        return float(self.site.plant.get("depth_mm", 20.0))

    @derived(dtype=float, unit="Gy mm2/nC", format="%9.5f")
    def Coefficient(self) -> float:
        """Dose-area product to water per charge at 20 degC and 1013.25 hPa, of the certificate."""
        return float(self.site.plant.get("gy_mm2_per_nc", 1.0))
