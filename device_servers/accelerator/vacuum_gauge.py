"""VacuumGauge: the pressure in one section."""

from tango import DevState

from common.text import _
from device_servers.accelerator.monitored import Monitored
from device_servers.channel import channel


class VacuumGauge(Monitored):
    """A vacuum gauge."""

    Pressure = channel("pressure", unit="mbar", format="%8.2e", relative=0.02, doc="total pressure")
    FaultCode = channel("fault", dtype=int, format="%d", doc="0: none; see Status for the fault's name")

    def _state(self) -> tuple[DevState, str]:
        return self.within_limits({"pressure": "mbar"}, _("vacuum is good"))
