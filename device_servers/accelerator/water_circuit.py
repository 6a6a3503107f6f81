"""WaterCircuit: one cooling-water circuit."""

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.accelerator.monitored import Monitored
from device_servers.channel import channel

UNITS = {"flow": "l/min", "temperature": "degC", "pressure": "bar", "conductivity": "uS/cm"}


class WaterCircuit(Monitored):
    """A cooling-water circuit."""

    Flow = channel("flow", unit="l/min", format="%6.1f", deadband=0.2, doc="flow")
    Temperature = channel("temperature", unit="degC", format="%5.2f", deadband=0.05, doc="temperature")
    Pressure = channel("pressure", unit="bar", format="%5.2f", deadband=0.02, doc="pressure")
    Conductivity = channel("conductivity", unit="uS/cm", format="%6.3f", deadband=0.005, doc="conductivity")
    FaultCode = channel("fault", dtype=int, format="%d", doc="0: none; see Status for the fault's name")

    def _state(self) -> tuple[DevState, str]:
        return self.within_limits(UNITS, _("cooling is good"))

    @command
    def Reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self.driver.reset()
