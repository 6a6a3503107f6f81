"""WaterPump: a pump of the cooling water, read over Modbus."""

from device_servers.channel import channel
from device_servers.kinds.switched import Switched


class WaterPump(Switched):
    """A cooling-water pump."""

    Flow = channel("flow", unit="l/min", format="%7.1f", deadband=0.5, doc="flow")
    Pressure = channel("pressure", unit="bar", format="%5.2f", deadband=0.02, doc="outlet pressure")
    Speed = channel("speed", unit="1/min", format="%6.0f", deadband=5.0, doc="motor speed")
