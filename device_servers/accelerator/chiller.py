"""Chiller: keeps the cooling water at its temperature, read over Modbus."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class Chiller(Supply):
    """A chiller; it cools towards its set temperature while it is on."""

    quantity: ClassVar[str] = "temperature"
    unit: ClassVar[str] = "degC"
    ramp_share: ClassVar[float] = 0.05

    Temperature = channel("temperature", unit="degC", format="%5.2f", deadband=0.05, doc="water temperature")
    TemperatureSetpoint = set_channel("degC", "temperature", "water temperature asked for", format="%5.2f")
    Power = channel("power", unit="kW", format="%6.1f", deadband=0.2, doc="heat taken out of the water")
