"""RfCavity: one accelerating station."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class RfCavity(Supply):
    """An accelerating cavity with its amplifier."""

    quantity: ClassVar[str] = "voltage"
    unit: ClassVar[str] = "kV"

    Voltage = channel("voltage", unit="kV", format="%7.4f", deadband=0.0005, doc="gap voltage")
    VoltageSetpoint = set_channel("kV", "voltage", "gap voltage that is asked for", format="%7.4f")
    Frequency = channel("frequency", unit="MHz", format="%8.5f", deadband=0.0005, doc="frequency of the gap")
    Phase = channel("phase", unit="deg", format="%7.2f", deadband=0.1, doc="phase against the reference")
