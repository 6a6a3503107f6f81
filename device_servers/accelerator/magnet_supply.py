"""MagnetSupply: the current supply of one magnet or family."""

from device_servers.accelerator.supply import Supply
from device_servers.channel import channel


class MagnetSupply(Supply):
    """A magnet's current supply."""

    Current = channel("current", unit="A", format="%9.4f", deadband=0.005, doc="measured output current")
    Voltage = channel("voltage", unit="V", format="%8.3f", deadband=0.02, doc="measured output voltage")
    CurrentSetpoint = channel(
        "setpoint",
        unit="A",
        format="%9.4f",
        fset=Supply.set_value,
        doc="current that it regulates to",
    )
