"""IonSource: the source of the injector."""

from typing import ClassVar

from device_servers.accelerator.supply import Supply
from device_servers.channel import channel


class IonSource(Supply):
    """An ECR ion source with its extracted current."""

    unit: ClassVar[str] = "uA"

    Current = channel("current", unit="uA", format="%8.2f", deadband=0.2, doc="extracted beam current")
    CurrentSetpoint = channel(
        "setpoint",
        unit="uA",
        format="%8.2f",
        fset=Supply.set_value,
        doc="extracted current asked for",
    )
