"""RfAmplifier: the power amplifier of a cavity."""

from device_servers.channel import channel
from device_servers.kinds.switched import Switched


class RfAmplifier(Switched):
    """An RF power amplifier."""

    ForwardPower = channel("forward", unit="kW", format="%7.3f", deadband=0.01, doc="forward power")
    ReflectedPower = channel("reflected", unit="kW", format="%7.3f", deadband=0.01, doc="reflected power")
    Temperature = channel("temperature", unit="degC", format="%5.1f", deadband=0.1, doc="temperature")
