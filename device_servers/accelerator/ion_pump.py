"""IonPump: an ion getter pump, which also tells the pressure from its current."""

from device_servers.channel import channel
from device_servers.kinds.switched import Switched


class IonPump(Switched):
    """An ion pump."""

    Voltage = channel("voltage", unit="kV", format="%6.3f", deadband=0.01, doc="anode voltage")
    Current = channel("current", unit="uA", format="%8.2f", relative=0.02, deadband=0.01, doc="pump current")
    Pressure = channel(
        "pressure", unit="mbar", format="%8.2e", relative=0.02, doc="pressure from the current"
    )
