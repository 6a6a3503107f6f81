"""RfCavity: one accelerating station of the ring."""

from typing import ClassVar

from device_servers.accelerator.supply import Supply
from device_servers.channel import channel


class RfCavity(Supply):
    """An accelerating cavity with its amplifier."""

    quantity: ClassVar[str] = "voltage"
    unit: ClassVar[str] = "kV"

    Voltage = channel("voltage", unit="kV", format="%7.4f", deadband=0.0005, doc="gap voltage")
    Frequency = channel("frequency", unit="MHz", format="%8.5f", deadband=0.0005, doc="frequency of the gap")
    VoltageSetpoint = channel(
        "setpoint", unit="kV", format="%7.4f", fset=Supply.set_value, doc="gap voltage that is asked for"
    )
