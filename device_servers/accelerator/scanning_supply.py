"""ScanningSupply: the fast supply of one scanning magnet. The beam hardware drives its current."""

from device_servers.channel import channel
from device_servers.kinds.switched import Switched


class ScanningSupply(Switched):
    """A scanning magnet's supply; it follows the delivery, nobody sets it here."""

    Current = channel("current", unit="A", format="%8.3f", deadband=0.05, doc="output current")
    Voltage = channel("voltage", unit="V", format="%8.2f", deadband=0.5, doc="output voltage")
    Temperature = channel("temperature", unit="degC", format="%5.1f", deadband=0.1, doc="temperature")
