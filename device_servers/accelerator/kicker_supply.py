"""KickerSupply: the pulsed high-voltage supply of a kicker."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class KickerSupply(Supply):
    """Charges its line to a voltage and discharges it into the magnet with each trigger."""

    quantity: ClassVar[str] = "voltage"
    unit: ClassVar[str] = "kV"

    Voltage = channel("voltage", unit="kV", format="%7.3f", deadband=0.005, doc="charging voltage")
    VoltageSetpoint = set_channel("kV", "voltage", "charging voltage asked for", format="%7.3f")
    Pulses = channel("pulses", dtype=int, format="%d", doc="pulses fired since its electronics started")
