"""CurrentTransformer: the circulating beam current of the ring."""

from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class CurrentTransformer(Monitored):
    """A DC current transformer."""

    Current = channel("current", unit="mA", format="%7.4f", deadband=0.002, doc="circulating beam current")
