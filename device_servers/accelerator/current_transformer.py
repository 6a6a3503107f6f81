"""CurrentTransformer: the circulating beam current of the ring."""

from tango import DevState

from common.text import _
from device_servers.accelerator.monitored import Monitored
from device_servers.channel import channel


class CurrentTransformer(Monitored):
    """A DC current transformer."""

    Current = channel("current", unit="mA", format="%7.4f", deadband=0.002, doc="circulating beam current")

    def _state(self) -> tuple[DevState, str]:
        return self.within_limits({}, _("measures"))
