"""RfKnockOut: the exciter that drives the slow extraction; gated off it ends the spill at once."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class RfKnockOut(Supply):
    """An RF knock-out exciter."""

    quantity: ClassVar[str] = "amplitude"
    unit: ClassVar[str] = "kV"

    Amplitude = channel("amplitude", unit="kV", format="%7.4f", deadband=0.001, doc="exciter amplitude")
    AmplitudeSetpoint = set_channel("kV", "amplitude", "exciter amplitude asked for", format="%7.4f")
    Gate = channel("gate", dtype=bool, doc="whether the gate lets the exciter act")
