"""VacuumGauge: the pressure in one section."""

from collections.abc import Mapping
from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class VacuumGauge(Monitored):
    """A vacuum gauge."""

    units: ClassVar[Mapping[str, str]] = {"pressure": "mbar"}
    good = "vacuum is good"

    Pressure = channel("pressure", unit="mbar", format="%8.2e", relative=0.02, doc="total pressure")
