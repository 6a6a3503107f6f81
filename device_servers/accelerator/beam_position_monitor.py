"""BeamPositionMonitor: centre and intensity of the beam, without touching it."""

from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class BeamPositionMonitor(Monitored):
    """A beam position monitor; its position is unknown while there is no beam."""

    X = channel("x", unit="mm", format="%7.3f", deadband=0.01, doc="horizontal beam position")
    Y = channel("y", unit="mm", format="%7.3f", deadband=0.01, doc="vertical beam position")
    Intensity = channel("intensity", unit="1", format="%6.3f", deadband=0.005, doc="relative; 1 nominal")
