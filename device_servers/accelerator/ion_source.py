"""IonSource: the source of the injector."""

from typing import ClassVar

from device_servers.channel import channel
from device_servers.kinds.supply import Supply, set_channel


class IonSource(Supply):
    """An ECR ion source with its extracted current."""

    unit: ClassVar[str] = "uA"

    Current = channel("current", unit="uA", format="%8.2f", deadband=0.2, doc="extracted beam current")
    CurrentSetpoint = set_channel("uA", "current", "extracted current asked for", format="%8.2f")
