"""WaterCircuit: one cooling-water circuit."""

from collections.abc import Mapping
from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.monitored import Resettable


class WaterCircuit(Resettable):
    """A cooling-water circuit."""

    units: ClassVar[Mapping[str, str]] = {
        "flow": "l/min",
        "temperature": "degC",
        "pressure": "bar",
        "conductivity": "uS/cm",
    }
    good = "cooling is good"

    Flow = channel("flow", unit="l/min", format="%6.1f", deadband=0.2, doc="flow")
    Temperature = channel("temperature", unit="degC", format="%5.2f", deadband=0.05, doc="temperature")
    Pressure = channel("pressure", unit="bar", format="%5.2f", deadband=0.02, doc="pressure")
    Conductivity = channel("conductivity", unit="uS/cm", format="%6.3f", deadband=0.005, doc="conductivity")
