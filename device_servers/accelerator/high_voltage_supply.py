"""HighVoltageSupply: extraction voltage of a source, septum or deflector."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class HighVoltageSupply(Supply):
    """A high-voltage supply with its load current."""

    quantity: ClassVar[str] = "voltage"
    unit: ClassVar[str] = "kV"

    Voltage = channel("voltage", unit="kV", format="%7.3f", deadband=0.01, doc="output voltage")
    VoltageSetpoint = set_channel("kV", "voltage", "output voltage asked for", format="%7.3f")
    Current = channel("current", unit="mA", format="%7.3f", deadband=0.01, doc="load current")
