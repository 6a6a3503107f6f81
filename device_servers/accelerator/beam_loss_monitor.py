"""BeamLossMonitor: radiation from lost beam at one place of the machine."""

from collections.abc import Mapping
from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class BeamLossMonitor(Monitored):
    """A beam loss monitor; the hardware trips the interlock at its own rate."""

    units: ClassVar[Mapping[str, str]] = {"rate": "1/s"}

    Rate = channel("rate", unit="1/s", format="%9.1f", deadband=1.0, relative=0.05, doc="count rate")
