"""TurboPump: a turbomolecular pump."""

from tango import DevState

from common.text import _
from device_servers.channel import channel
from device_servers.kinds.switched import Switched

AT_SPEED = 0.95
"""Share of the nominal speed from which it pumps fully."""


class TurboPump(Switched):
    """A turbomolecular pump; MOVING while it runs up."""

    Speed = channel("speed", unit="Hz", format="%6.1f", deadband=1.0, doc="rotor speed")
    Current = channel("current", unit="A", format="%6.3f", deadband=0.02, doc="motor current")
    Temperature = channel("temperature", unit="degC", format="%5.1f", deadband=0.2, doc="bearing temperature")

    def _running(self) -> tuple[DevState, str]:
        nominal = float(self.site.plant.get("nominal_hz", 0.0))
        if self.value("speed") < AT_SPEED * nominal:
            return DevState.MOVING, _("runs up to {nominal:g} Hz").format(nominal=nominal)
        return DevState.ON, _("at nominal speed")
